"""Kinds of servers: their engine, version and model, and their names of request fields."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from fidelity.checkpoints import fingerprint
from fidelity.config import Requests, Sampling
from fidelity.engines.connection import Connection, is_loopback
from fidelity.engines.messages import ServerJson
from fidelity.engines.replies import json_object
from fidelity.engines.trouble import TroubleError
from fidelity.errors import EngineError
from fidelity.records import Prompt


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a kind of server has beyond OpenAI's protocol."""

    kind: str
    """`EngineInfo.kind`."""
    version_at: str | None = None
    """The endpoint of its version, outside `/v1`."""
    version_key: str = "version"
    sampling: Mapping[str, str] = field(default_factory=dict)
    """Additional sampling parameters: fidelity's names and the server's. Always sent, since defaults can differ."""
    token_ids: ServerJson = field(default_factory=dict)
    """The fields that make it return token ids."""


PLAIN = {"top_p": "top_p", "top_k": "top_k", "min_p": "min_p"}
WIDE = {**PLAIN, "repetition_penalty": "repetition_penalty"}
UNKNOWN = Dialect("openai")
DIALECTS = {
    "vllm": Dialect("vllm-serve", "/version", sampling=WIDE, token_ids={"return_token_ids": True}),
    "llamacpp": Dialect(
        "llama.cpp",
        "/props",
        "build_info",
        sampling={**PLAIN, "repetition_penalty": "repeat_penalty"},
        token_ids={"top_logprobs": 1},  # the default is twenty
    ),
    "sglang": Dialect("sglang", "/get_server_info", sampling=WIDE),
    "library": Dialect("ollama", "/api/version"),
}
"""Kinds of servers by the `owned_by` of their models."""
CHANGING = frozenset({"created", "permission", "object", "id", "owned_by", "tags", "aliases"})
"""Fields of a model's listing that change between requests, or are recorded elsewhere."""


@dataclass(frozen=True, slots=True)
class Served:
    """What a server reports about itself and the requested model."""

    model: str
    """The model's name on the server."""
    owner: str | None
    version: str | None
    context: int | None
    """The context length (prompt plus answer), in tokens."""
    ran_as: str | None
    """The number format of the weights, as reported."""
    chat_template: str | None
    """Hash of the template, as in `EngineInfo`."""
    about: ServerJson
    """Other properties of the model: path, size."""
    reveals: ServerJson = field(default_factory=dict)
    """Further fields of `EngineInfo`, recorded with a run but not in its digest."""

    @property
    def dialect(self) -> Dialect:
        """The kind of the server."""
        return DIALECTS.get(self.owner or "", UNKNOWN)


async def served(connection: Connection, model: str | None) -> Served:
    """Ask a server for its kind and model. If it lists no models, the configured one is assumed.

    Raises:
        TroubleError: It can't be reached, or is not ready yet.
        EngineError: It doesn't serve the model, or isn't an OpenAI-compatible server.
    """
    try:
        listed = json_object(await connection.get("/models")).get("data")
    except TroubleError as trouble:
        if trouble.kind in ("unreachable", "passing"):
            raise
        if model is None:
            raise EngineError(
                f"{connection.address}: doesn't list its models ({trouble.reason}); if it is an OpenAI-compatible "
                f"server, set 'model', and check whether base_url has to end in /v1"
            ) from None
        return Served(model, None, None, None, None, None, {})
    rows = {row["id"]: row for row in listed or () if isinstance(row, dict) and isinstance(row.get("id"), str)}
    name = model or (next(iter(rows)) if len(rows) == 1 else None)
    if name is None or (rows and name not in rows):
        raise EngineError(f"{connection.address}: {_which(model)}; it serves {', '.join(sorted(rows)) or 'none'}")
    row = rows.get(name, {})
    owner = row.get("owned_by") if isinstance(row.get("owned_by"), str) else None
    dialect = DIALECTS.get(owner or "", UNKNOWN)
    properties: ServerJson = {}
    if dialect.version_at:
        with suppress(TroubleError):
            properties = json_object(await connection.get(connection.beside(dialect.version_at)))
    version, template = properties.get(dialect.version_key), properties.get("chat_template")
    about = {key: value for key, value in row.items() if key not in CHANGING and value is not None}
    if isinstance(properties.get("model_path"), str):
        about["root"] = properties["model_path"]
    return Served(
        model=name,
        owner=owner,
        version=None if version is None else str(version),
        context=_context(row, properties),
        ran_as=properties.get("model_ftype") if isinstance(properties.get("model_ftype"), str) else None,
        chat_template=fingerprint(template) if isinstance(template, str) else None,
        about=about,
        reveals=_REVEALED.get(owner or "", _nothing)(properties),
    )


def body_of(
    prompt: Prompt,
    sampling: Sampling,
    requests: Requests,
    model: Served,
    *,
    logprobs: bool,
    token_ids: bool,
    longest: str,
) -> ServerJson:
    """One prompt as a request; `longest` is the server's name for the maximum length of an answer."""
    dialect = model.dialect
    body: ServerJson = {"model": model.model, "temperature": sampling.temperature, longest: sampling.max_tokens}
    if requests.api == "chat":
        body["messages"] = prompt.chat
        body |= prompt.offer
    else:
        body["prompt"] = prompt.text
    plain = Sampling()
    for option in WIDE:
        value = getattr(sampling, option)
        if option in dialect.sampling or value != getattr(plain, option):
            body[dialect.sampling.get(option, option)] = value
    if sampling.temperature > 0:
        body["seed"] = sampling.seed
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if logprobs:
        body["logprobs"] = True if requests.api == "chat" else 1
    if token_ids:
        body |= dialect.token_ids
    return {**body, **requests.request}


def same_place(base_url: str) -> str | None:
    """The address as an identity of the server, without the port if it is this machine."""
    return None if is_loopback(base_url) else urlsplit(base_url).netloc + urlsplit(base_url).path


def _nothing(_: ServerJson) -> ServerJson:
    return {}


def _llama_cpp(props: ServerJson) -> ServerJson:
    """From `/props`: the end token, and the server's sampling that requests don't override."""
    slot = props.get("default_generation_settings")
    params = slot.get("params", slot) if isinstance(slot, dict) else None
    end, draft = props.get("eos_token"), props.get("speculative")
    return {
        "end_tokens": (end,) if isinstance(end, str) and end else None,
        "generation_config": _numbers(params, LLAMA_SAMPLING) if isinstance(params, dict) else None,
        "speculative": ("draft model" if draft else "none") if isinstance(draft, bool) else None,
    }


def _sglang(info: ServerJson) -> ServerJson:
    """From `/get_server_info`: the arguments that the server was started with."""
    text = {key: str(info[key]) for key in ("dtype", "attention_backend", "kv_cache_dtype") if info.get(key)}
    count = {key: info[key] for key in ("tp_size", "pp_size") if type(info.get(key)) is int}
    cache = text.get("kv_cache_dtype")
    return {
        "dtype": text.get("dtype") if text.get("dtype") != "auto" else None,
        "attention": text.get("attention_backend"),
        "kv_cache": cache if cache != "auto" else None,
        "tensor_parallel": count.get("tp_size"),
        "pipeline_parallel": count.get("pp_size"),
        "speculative": str(info["speculative_algorithm"] or "none") if "speculative_algorithm" in info else None,
    }


LLAMA_SAMPLING = ("presence_penalty", "frequency_penalty", "dry_multiplier", "xtc_probability", "typical_p", "mirostat")
"""llama.cpp's sampling settings that affect tokens and that fidelity's requests don't set."""
_REVEALED = {"llamacpp": _llama_cpp, "sglang": _sglang}


def _numbers(values: ServerJson, names: Sequence[str]) -> ServerJson:
    return {name: values[name] for name in names if isinstance(values.get(name), int | float)}


def _which(model: str | None) -> str:
    return f"doesn't serve {model!r}" if model else "choose a model with 'model'"


def _context(row: ServerJson, properties: ServerJson) -> int | None:
    """The context length: vLLM lists it with the model; llama.cpp divides it among its slots."""
    slot = properties.get("default_generation_settings")
    context = row.get("max_model_len") or (slot.get("n_ctx") if isinstance(slot, dict) else None)
    return context if isinstance(context, int) else None
