"""What a loaded vLLM engine's configuration says beyond its layers; attributes that vLLM 0.26 and 0.32 both have."""

from functools import partial
from typing import Any

from fidelity.children.wire import JsonRecord

SPECULATIVE = ("method", "model", "num_speculative_tokens")
"""What of a speculative configuration names how tokens are proposed."""


def kv_cache(config: Any) -> str:
    """The KV cache's type; "auto" means the model's own."""
    named = str(config.cache_config.cache_dtype)
    return str(config.model_config.dtype).removeprefix("torch.") if named == "auto" else named


def parallelism(config: Any) -> JsonRecord:
    """Over how many devices the model is spread, and how tokens are proposed: fields of `EngineInfo`."""
    parallel = getattr(config, "parallel_config", None)
    return {
        "tensor_parallel": getattr(parallel, "tensor_parallel_size", None),
        "pipeline_parallel": getattr(parallel, "pipeline_parallel_size", None),
        "speculative": speculative(getattr(config, "speculative_config", None)),
    }


def speculative(config: Any) -> str:
    """`ngram, 4 tokens` or `eagle, MODEL, 2 tokens`, from vLLM's own object or from the option that asks for it."""
    if not config:
        return "none"
    get = config.get if isinstance(config, dict) else partial(getattr, config)
    method, model, tokens = (get(key, None) for key in SPECULATIVE)
    proposer = None if model in (None, method) else str(model).rpartition("/")[2]
    return ", ".join(str(word) for word in (method, proposer, tokens and f"{tokens} tokens") if word) or "draft model"


def end_tokens(model_config: Any, tokenizer: Any) -> list[int] | None:
    """The ids that end an answer: the tokenizer's own, and those of the model's generation config."""
    read = getattr(model_config, "try_get_generation_config", None)
    if read is None:
        return None
    named = read().get("eos_token_id")
    many = named if isinstance(named, list) else [named]
    own = getattr(tokenizer, "eos_token_id", None)
    return sorted({int(token) for token in (*many, own) if token is not None})
