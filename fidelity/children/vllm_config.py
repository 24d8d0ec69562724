"""A loaded vLLM engine's configuration besides its layers, from attributes that vLLM 0.26 and 0.32 share."""

from functools import partial
from typing import Any

from fidelity.children.wire import JsonRecord

SPECULATIVE = ("method", "model", "num_speculative_tokens")
"""The keys of a speculative configuration that name the method."""


def kv_cache(config: Any) -> str:
    """The KV cache's type; "auto" means the model's type."""
    named = str(config.cache_config.cache_dtype)
    return str(config.model_config.dtype).removeprefix("torch.") if named == "auto" else named


def on_cpu(config: Any) -> bool:
    """Whether the engine runs on a CPU, which is assumed if the configuration doesn't name the device."""
    device = getattr(config, "device_config", None)
    return getattr(device, "device_type", "cpu") == "cpu"


def parallelism(config: Any) -> JsonRecord:
    """Parallelism and speculative decoding, as fields of `EngineInfo`."""
    parallel = getattr(config, "parallel_config", None)
    return {
        "tensor_parallel": getattr(parallel, "tensor_parallel_size", None),
        "pipeline_parallel": getattr(parallel, "pipeline_parallel_size", None),
        "speculative": speculative(getattr(config, "speculative_config", None)),
    }


def speculative(config: Any) -> str:
    """`ngram, 4 tokens` or `eagle, MODEL, 2 tokens`, from vLLM's object or from the option."""
    if not config:
        return "none"
    get = config.get if isinstance(config, dict) else partial(getattr, config)
    method, model, tokens = (get(key, None) for key in SPECULATIVE)
    proposer = None if model in (None, method) else str(model).rpartition("/")[2]
    return ", ".join(str(word) for word in (method, proposer, tokens and f"{tokens} tokens") if word) or "draft model"


def end_tokens(model_config: Any, tokenizer: Any) -> list[int] | None:
    """The ids of the end tokens: the tokenizer's, and those of the model's generation config."""
    read = getattr(model_config, "try_get_generation_config", None)
    if read is None:
        return None
    named = read().get("eos_token_id")
    many = named if isinstance(named, list) else [named]
    own = getattr(tokenizer, "eos_token_id", None)
    return sorted({int(token) for token in (*many, own) if token is not None})
