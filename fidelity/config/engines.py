"""What answers the prompts, as a user writes it: one frozen model for each kind of engine."""

from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from fidelity.config.files import RelativePath
from fidelity.schema import JsonObject, Settings


class TorchAO(Settings):
    """Quantization by torchao while the model loads; linear layers only, embeddings and lm_head stay as they are."""

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
            raise ValueError(f"{self.scheme} has one scale per output channel: leave 'group_size' out")
        return self


class ChildProcess(Settings):
    """An engine in a child process of its own."""

    deadline: float = Field(default=600.0, gt=0)
    """Seconds without progress after which the engine is given up; it can't change an output."""
    env: dict[str, str] = Field(default_factory=dict)
    """Environment variables of the child process (`VLLM_CPU_INT4_W4A8: "0"`)."""

    def decisive(self) -> JsonObject:
        """What of it can change an output, as plain data."""
        return self.model_dump(mode="json", exclude={"deadline"})


class VllmSettings(ChildProcess):
    """How vLLM loads a model, wherever it runs."""

    dtype: str | None = None
    """The compute type (`bfloat16`, `float32`, ...); the checkpoint's own if not given."""
    max_model_len: int | None = Field(default=None, ge=1)
    """The context, in tokens."""
    options: JsonObject = Field(default_factory=dict)
    """Any other argument of vLLM's `LLM(...)`, passed on as it is; checked against the installed vLLM's own."""
    allow_pickle: bool = False
    """Load weights that Python has to unpickle, which can run code."""


class VllmEngine(VllmSettings):
    """vLLM, in a child process of its own."""

    kind: Literal["vllm"]
    torchao: TorchAO | None = None
    """Quantize with torchao while loading: `{scheme: 8da4w, group_size: 32}`."""


class TransformersEngine(ChildProcess):
    """transformers, in a child process of its own: slower than an engine that serves, and runs what those can't."""

    kind: Literal["transformers"]
    dtype: str | None = None
    """The compute type (`bfloat16`, `float32`, ...); the checkpoint's own if not given."""
    device: str | None = None
    """`cpu`, `cuda`, `cuda:1`, ...; the first GPU if there is one and PyTorch can use it, else the processor."""
    max_model_len: int | None = Field(default=None, ge=1)
    """The context, in tokens; the model's own if not given."""
    batch: int = Field(default=16, ge=1)
    """How many prompts, of about the same length, are answered together."""
    options: JsonObject = Field(default_factory=dict)
    """Any other argument of `AutoModelForCausalLM.from_pretrained`, passed on as it is, such as
    `quantization_config: {load_in_4bit: true}` or `attn_implementation: eager`."""
    torchao: TorchAO | None = None
    """Quantize with torchao while loading: `{scheme: 8da4w, group_size: 32}`."""
    allow_pickle: bool = False
    """Load weights that Python has to unpickle, which can run code."""


class ExecuTorchEngine(ChildProcess):
    """An ExecuTorch program, in a child process of its own; it answers one prompt after another."""

    kind: Literal["executorch"]
    path: RelativePath
    """The exported model, a .pte file."""
    tokenizer: RelativePath
    """A directory with the model's tokenizer.json, and its chat template if it has one."""
    environment: RelativePath | None = None
    """The virtual environment that has the package `executorch`; this command's own if not given."""


NAMED_IN_REQUESTS = frozenset(
    {"model", "messages", "prompt", "stream", "n", "echo", "logprobs", "top_logprobs", "return_token_ids"}
    | {"max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "min_p", "seed", "stop"}
    | {"repetition_penalty", "repeat_penalty"}
)
"""What fidelity itself writes into a request."""


class Requests(Settings):
    """How a server is asked; what the server may not know of is left out where it refuses it."""

    api: Literal["chat", "completion"] = "chat"
    """`chat`: the server applies its chat template; `completion`: the prompt's text goes in as it is."""
    concurrency: int = Field(default=64, ge=1)
    """How many requests are under way at once."""
    request: JsonObject = Field(default_factory=dict)
    """More fields of each request, as they are (`chat_template_kwargs`, `reasoning_effort`, `cache_prompt`)."""
    timeout: float = Field(default=600.0, gt=0)
    """Seconds that one attempt may take; like the two below it can't change an output."""
    patience: float = Field(default=1800.0, gt=0)
    """Seconds after which no further attempt at a prompt is begun: it counts as failed."""

    @field_validator("request")
    @classmethod
    def _nothing_with_a_place_of_its_own(cls, request: JsonObject) -> JsonObject:
        if named := sorted(NAMED_IN_REQUESTS & set(request)):
            raise ValueError(f"{named[0]!r} has a place of its own ('sampling', 'api', ...), leave it out here")
        return request


class OpenAIEngine(Requests):
    """A server that speaks OpenAI's protocol and that somebody else runs."""

    kind: Literal["openai"]
    base_url: str
    """As the openai package takes it, mostly with `/v1` at its end: `http://localhost:8080/v1`."""
    model: str | None = None
    """The name by which the server serves it; not needed where it serves one only."""
    api_key_env: str | None = None
    """The environment variable that holds the key; the key itself stands nowhere."""
    deadline: float = Field(default=120.0, gt=0)
    """Seconds for which nothing may be reached at the address before the run is given up; what is answered is kept."""

    @field_validator("base_url")
    @classmethod
    def _an_address_without_secrets(cls, base_url: str) -> str:
        try:
            parts = urlsplit(base_url)
            complete = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
        except ValueError:
            complete = False
        if not complete:
            raise ValueError("an address is expected, such as http://localhost:8080/v1")
        if parts.username is not None or parts.password is not None:
            raise ValueError("it holds a user or a password; put the key into an environment variable: api_key_env")
        if parts.query or parts.fragment:
            raise ValueError("nothing may follow the path (a '?' or '#'), since it would be kept with the run")
        return base_url.rstrip("/")

    def decisive(self) -> JsonObject:
        """What of it can change an output, as plain data; where the server is and what it says isn't among it."""
        return self.model_dump(mode="json", include={"kind", "api", "concurrency", "request", "model"})


class VllmServeEngine(VllmSettings, Requests):
    """`vllm serve`, started on this machine for the run and stopped after it."""

    kind: Literal["vllm-serve"]

    def decisive(self) -> JsonObject:
        """What of it can change an output, as plain data."""
        return self.model_dump(mode="json", exclude={"deadline", "timeout", "patience"})


class Ran(Settings):
    """What really ran when outputs were recorded; what isn't said stays unknown, and is held against nobody."""

    engine: str | None = None
    """`vllm`, ...; "recorded" if not given."""
    version: str | None = None
    """The engine's."""
    device: str | None = None
    """Name of the processor or the GPU."""
    mode: Literal["eager", "compiled"] | None = None
    dtype: str | None = None
    ran_as: str | None = None
    """The number format that the kernels computed in."""
    attention: str | None = None
    """The attention backend."""
    kv_cache: str | None = None
    """The number format of the KV cache."""
    context: int | None = Field(default=None, ge=1)
    """The longest prompt plus answer, in tokens."""
    chat_template: str | None = None
    """A name or hash of the template that was applied; equal where two recordings had the same."""
    end_tokens: tuple[int | str, ...] | None = None
    """The tokens that end an answer."""
    tensor_parallel: int | None = Field(default=None, ge=1)
    pipeline_parallel: int | None = Field(default=None, ge=1)
    speculative: str | None = None
    """How tokens were proposed (`ngram, 4 tokens`); `none` where nothing proposed any."""
    environment: dict[str, str] | None = None
    """The environment variables that pick kernels."""
    quantized_layers: int | None = Field(default=None, ge=0)
    unquantized_layers: int | None = Field(default=None, ge=0)
    bytes: int | None = Field(default=None, ge=1)
    """Size of the model's files."""

    def decisive(self) -> JsonObject:
        """What enters a run's digest, as plain data; keys that were added later only where they are given."""
        given = self.model_dump(mode="json", exclude={"bytes"})
        return {key: value for key, value in given.items() if key in FIRST_OF_RAN or value is not None}


FIRST_OF_RAN = frozenset(
    {"engine", "version", "device", "mode", "dtype", "ran_as", "attention", "quantized_layers", "unquantized_layers"}
)
"""Keys of `ran:` that are in every digest."""


class RecordedEngine(Settings):
    """Outputs that were generated elsewhere, from a JSONL or Parquet file, or the output of an OpenAI batch.

    Only `id` and `text` are required of a row.
    """

    kind: Literal["recorded"]
    path: RelativePath
    ran: Ran | None = None
    """What the outputs were generated with; a control is taken to have run with the same."""


class StoredEngine(Settings):
    """A finished run's directory, for comparing on a machine without an engine."""

    kind: Literal["stored"]
    path: RelativePath


AnyEngine = Annotated[
    VllmEngine | VllmServeEngine | OpenAIEngine | TransformersEngine | ExecuTorchEngine | RecordedEngine | StoredEngine,
    Field(discriminator="kind"),
]
