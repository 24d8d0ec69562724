"""The `engine:` mapping of a run's YAML: one frozen model for each kind of engine."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator, model_validator

from fidelity.config.files import RelativePath
from fidelity.outside.secrets import KNOWN_FORMS, names_secret
from fidelity.schema import JsonObject, Settings, nearest


class TorchAO(Settings):
    """Quantization by torchao while the model loads. Linear layers only: embeddings and lm_head are not quantized."""

    scheme: Literal["int8wo", "int4wo", "8da8w", "8da4w"]
    """`int8wo`, `int4wo`: weights only; `8da8w`, `8da4w`: with 8-bit activations, scaled token by token while serving.
    `8da4w` in groups of 32 is the scheme of Meta's mobile Llama 3.2."""
    group_size: int | None = Field(default=None, ge=2)
    """How many 4-bit weights share a scale (32 by default); 8-bit weights have one scale per output channel."""

    @model_validator(mode="before")
    @classmethod
    def _group_size_of_4_bit_weights(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "4" not in str(data.get("scheme")):
            return data
        return {"group_size": 32, **data}

    @model_validator(mode="after")
    def _no_groups_of_8_bit_weights(self) -> Self:
        if self.group_size is not None and "4" not in self.scheme:
            raise ValueError(f"{self.scheme} has one scale per output channel: remove 'group_size'")
        return self


class ChildProcess(Settings):
    """An engine that runs in its own child process."""

    deadline: float = Field(default=600.0, gt=0)
    """Stop the engine after this many seconds without progress. It can't change an output."""
    env: dict[str, str] = Field(default_factory=dict)
    """Environment variables of the child process (`VLLM_CPU_INT4_W4A8: "0"`)."""

    def decisive(self) -> JsonObject:
        """The settings that can change an output, as plain data. Newer keys are included only if they are set."""
        return _without_unset(self.model_dump(mode="json", exclude={"deadline"}))


LATER_SETTINGS = frozenset({"tool_call_parser"})
"""Settings that the digests of older runs don't have."""


def _without_unset(settings: JsonObject) -> JsonObject:
    return {key: value for key, value in settings.items() if key not in LATER_SETTINGS or value is not None}


NAMES_OF_DTYPES = {
    **dict.fromkeys(("bf16", "torch.bfloat16"), "bfloat16"),
    **dict.fromkeys(("fp16", "f16", "torch.float16"), "float16"),
    **dict.fromkeys(("fp32", "f32", "torch.float32"), "float32"),
}
"""Other names of compute types, and those that engines know."""
VLLM_DTYPES = ("auto", "half", "float16", "bfloat16", "float", "float32")


def _a_compute_type(dtype: str | None) -> str | None:
    if dtype is not None and (name := NAMES_OF_DTYPES.get(dtype.lower())):
        raise ValueError(f"unknown type {dtype!r}; write {name}")
    return dtype


def _a_compute_type_of_vllm(dtype: str | None) -> str | None:
    if dtype is None or _a_compute_type(dtype) in VLLM_DTYPES:
        return dtype
    if dtype.lower().startswith(("fp8", "float8", "int", "fp4", "nvfp4", "mxfp4")):
        raise ValueError(f"{dtype!r} is no compute type; to quantize while loading: options: {{quantization: {dtype}}}")
    raise ValueError(f"unknown type {dtype!r}{nearest(dtype, VLLM_DTYPES)}")


class VllmSettings(ChildProcess):
    """How vLLM loads a model, in process or as a server."""

    dtype: Annotated[str | None, AfterValidator(_a_compute_type_of_vllm)] = None
    """The compute type (`bfloat16`, `float32`, ...). Default: the checkpoint's."""
    max_model_len: int | None = Field(default=None, ge=1)
    """The context length, in tokens."""
    options: JsonObject = Field(default_factory=dict)
    """Any other argument of vLLM's `LLM(...)`, passed on unchanged and checked against the installed vLLM."""
    allow_pickle: bool = False
    """Load weights that Python has to unpickle, which can run arbitrary code."""
    tool_call_parser: str | None = None
    """vLLM's parser for the model's tool calls: `hermes`, `llama3_json`, `mistral`, ... For prompts with `tools`."""


class VllmEngine(VllmSettings):
    """vLLM, in its own child process."""

    kind: Literal["vllm"]
    torchao: TorchAO | None = None
    """Quantize with torchao while loading: `{scheme: 8da4w, group_size: 32}`."""


class TransformersEngine(ChildProcess):
    """transformers, in its own child process. Slower than vLLM, but runs models that vLLM can't."""

    kind: Literal["transformers"]
    dtype: Annotated[str | None, AfterValidator(_a_compute_type)] = None
    """The compute type (`bfloat16`, `float32`, ...). Default: the checkpoint's."""
    device: str | None = None
    """`cpu`, `cuda`, `cuda:1`, ... Default: the first GPU that PyTorch can use, else the CPU."""
    max_model_len: int | None = Field(default=None, ge=1)
    """The context length, in tokens. Default: the model's."""
    batch: int = Field(default=16, ge=1)
    """The number of prompts in a batch; prompts of similar length share one."""
    options: JsonObject = Field(default_factory=dict)
    """Any other argument of `AutoModelForCausalLM.from_pretrained`, passed on unchanged, such as
    `quantization_config: {load_in_4bit: true}` or `attn_implementation: eager`."""
    torchao: TorchAO | None = None
    """Quantize with torchao while loading: `{scheme: 8da4w, group_size: 32}`."""
    allow_pickle: bool = False
    """Load weights that Python has to unpickle, which can run arbitrary code."""


class ExecuTorchEngine(ChildProcess):
    """An ExecuTorch program, in its own child process. It answers one prompt at a time."""

    kind: Literal["executorch"]
    path: RelativePath
    """The exported model (a .pte file)."""
    tokenizer: RelativePath
    """A directory with the model's tokenizer.json and, if there is one, its chat template."""
    environment: RelativePath | None = None
    """The virtual environment that has the package `executorch`. Default: the one that fidelity runs in."""


NAMED_IN_REQUESTS = frozenset(
    {"model", "messages", "prompt", "stream", "n", "echo", "logprobs", "top_logprobs", "return_token_ids"}
    | {"max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "min_p", "seed", "stop"}
    | {"repetition_penalty", "repeat_penalty"}
)
"""What fidelity itself writes into a request."""


class Requests(Settings):
    """Settings for requests to a server. An optional field that the server refuses is dropped."""

    api: Literal["chat", "completion"] = "chat"
    """`chat`: the server applies its chat template. `completion`: the prompt's text is sent unchanged."""
    concurrency: int = Field(default=64, ge=1)
    """The number of requests in flight at once."""
    request: JsonObject = Field(default_factory=dict)
    """Extra fields of each request, sent unchanged (`chat_template_kwargs`, `reasoning_effort`, `cache_prompt`)."""
    timeout: float = Field(default=600.0, gt=0)
    """The longest that one attempt can take, in seconds. Like the two settings below, it can't change an output."""
    patience: float = Field(default=1800.0, gt=0)
    """After this many seconds a prompt is not tried again: it counts as failed."""

    @field_validator("request")
    @classmethod
    def _nothing_with_a_place_of_its_own(cls, request: JsonObject) -> JsonObject:
        if named := sorted(NAMED_IN_REQUESTS & set(request)):
            raise ValueError(f"{named[0]!r} is set elsewhere ('sampling', 'api', ...); remove it here")
        if secret := next(_secret_names(request), None):
            raise ValueError(f"{secret!r} holds a secret; put it into an environment variable: api_key_env")
        return request


def _secret_names(data: Any, key: str = "") -> Iterator[str]:
    """The keys of secrets, by their name or by a known form of their value."""
    match data:
        case str() if names_secret(key) or KNOWN_FORMS.search(data):
            yield key
        case dict():
            for inner, value in data.items():
                yield from _secret_names(value, str(inner) if not names_secret(key) else key)
        case list():
            for value in data:
                yield from _secret_names(value, key)


class OpenAIEngine(Requests):
    """A running server that speaks OpenAI's protocol."""

    kind: Literal["openai"]
    base_url: str
    """The base URL, usually ending in `/v1`: `http://localhost:8080/v1`."""
    model: str | None = None
    """The model's name on the server. Optional if the server has only one model."""
    api_key_env: str | None = None
    """The environment variable that holds the API key. The key itself is never written to disk."""
    deadline: float = Field(default=120.0, gt=0)
    """Stop the run after the server has been unreachable for this many seconds. Finished answers are saved."""

    @field_validator("base_url")
    @classmethod
    def _an_address_without_secrets(cls, base_url: str) -> str:
        try:
            parts = urlsplit(base_url)
            complete = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
        except ValueError:
            complete = False
        if not complete:
            raise ValueError("not an HTTP address; write one such as http://localhost:8080/v1")
        if parts.username is not None or parts.password is not None:
            raise ValueError(
                "the URL contains a user name or a password; put the key in the environment variable api_key_env"
            )
        if parts.query or parts.fragment:
            raise ValueError("a query or fragment ('?' or '#') would be saved with the run; remove it")
        return base_url.rstrip("/")

    def decisive(self) -> JsonObject:
        """The settings that can change an output, as plain data, without the server's address."""
        return self.model_dump(mode="json", include={"kind", "api", "concurrency", "request", "model"})


class VllmServeEngine(VllmSettings, Requests):
    """`vllm serve`, started on this machine for the run and stopped afterwards."""

    kind: Literal["vllm-serve"]

    def decisive(self) -> JsonObject:
        """The settings that can change an output, as plain data."""
        return _without_unset(self.model_dump(mode="json", exclude={"deadline", "timeout", "patience"}))


class Ran(Settings):
    """What ran when outputs were recorded. A field that is not given is unknown and never counts as a difference."""

    engine: str | None = None
    """The engine: `vllm`, ... Default: "recorded"."""
    version: str | None = None
    """The engine's version."""
    device: str | None = None
    """The name of the CPU or GPU."""
    mode: Literal["eager", "compiled"] | None = None
    dtype: str | None = None
    ran_as: str | None = None
    """The compute type of the kernels."""
    attention: str | None = None
    """The attention backend."""
    kv_cache: str | None = None
    """The number format of the KV cache."""
    context: int | None = Field(default=None, ge=1)
    """The context length (prompt plus answer), in tokens."""
    chat_template: str | None = None
    """A name or hash of the chat template. Equal for two recordings that used the same template."""
    bos_tokens: int | None = Field(default=None, ge=0)
    """The number of BOS tokens at the start of a prompt."""
    end_tokens: tuple[int | str, ...] | None = None
    """The end-of-sequence tokens."""
    generation_config: JsonObject | None = None
    """Sampling defaults of the model or server that applied in addition to `sampling`."""
    tensor_parallel: int | None = Field(default=None, ge=1)
    pipeline_parallel: int | None = Field(default=None, ge=1)
    speculative: str | None = None
    """Speculative decoding (`ngram, 4 tokens`), or `none`."""
    environment: dict[str, str] | None = None
    """Environment variables that select kernels."""
    quantized_layers: int | None = Field(default=None, ge=0)
    unquantized_layers: int | None = Field(default=None, ge=0)
    bytes: int | None = Field(default=None, ge=1)
    """The size of the model's files."""

    def decisive(self) -> JsonObject:
        """The fields that enter a run's digest, as plain data. Newer keys are included only if they are set."""
        given = self.model_dump(mode="json", exclude={"bytes"})
        return {key: value for key, value in given.items() if key in FIRST_OF_RAN or value is not None}


FIRST_OF_RAN = frozenset(
    {"engine", "version", "device", "mode", "dtype", "ran_as", "attention", "quantized_layers", "unquantized_layers"}
)
"""Keys of `ran:` that are in every digest."""


class RecordedEngine(Settings):
    """Outputs that were generated elsewhere: a JSONL or Parquet file, or the output file of an OpenAI batch.

    Each row needs `id` and `text`; other fields are optional.
    """

    kind: Literal["recorded"]
    path: RelativePath
    ran: Ran | None = None
    """What the outputs were generated with. A control is assumed to have run with the same settings."""


class StoredEngine(Settings):
    """The directory of a finished run, for comparing on a machine without an engine."""

    kind: Literal["stored"]
    path: RelativePath


AnyEngine = Annotated[
    VllmEngine | VllmServeEngine | OpenAIEngine | TransformersEngine | ExecuTorchEngine | RecordedEngine | StoredEngine,
    Field(discriminator="kind"),
]
