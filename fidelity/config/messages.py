"""Pydantic's errors for a YAML file in the words of its user: the place, the problem, and what to write."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from fidelity.errors import ConfigError
from fidelity.outside.strings import cut
from fidelity.schema import nearest

LONGEST_VALUE = 60
"""Characters of a value that an error repeats."""
WORDS = {"batching": "continuous", "control": "none", "kl": "none"}
"""Keys whose value is a mapping or this word; pydantic names the form that it tried as a part of the place."""
EXAMPLES = {"name": "name: llama-8b-w4a16", "engine": "engine: {kind: vllm}"}
"""What to write for a key that is missing."""
OF_SAMPLING = frozenset(
    {"max_tokens", "min_p", "repeats", "repetition_penalty", "seed", "stop", "temperature", "top_k", "top_p"}
)
OF_ENGINE = frozenset({"allow_pickle", "deadline", "device", "dtype", "env", "max_model_len", "options", "torchao"})
OF_VLLM = frozenset(
    {"attention_backend", "block_size", "cpu_offload_gb", "data_parallel_size", "enable_chunked_prefill"}
    | {"enable_expert_parallel", "enable_prefix_caching", "enforce_eager", "gpu_memory_utilization", "hf_overrides"}
    | {"kv_cache_dtype", "load_format", "max_num_batched_tokens", "max_num_seqs", "pipeline_parallel_size"}
    | {"quantization", "speculative_config", "swap_space", "tensor_parallel_size", "tokenizer", "trust_remote_code"}
)
"""Well-known arguments of vLLM, which belong under `options:`."""


def explained(path: Path, error: ValidationError) -> ConfigError:
    """Pydantic's errors for a file, one line each, with the place in the file."""
    errors = error.errors()
    mappings = {e["loc"][0] for e in errors if len(e["loc"]) > 1 and not _is_word(e)}
    relevant = [e for e in errors if not (_is_word(e) and e["loc"][0] in mappings)]
    return ConfigError("\n".join(dict.fromkeys(f"{path}: {_message(e)}" for e in relevant)))


def _is_word(error: ErrorDetails) -> bool:
    """Whether it is the form of a value that is one word, such as `control: none`."""
    return str(error["loc"][-1]).startswith("literal[") if error["loc"] else False


def _place(error: ErrorDetails) -> str:
    """The place in the file as a user would write it (`engine.dtype`), without the tags of unions."""
    keys = [str(key) for key in error["loc"]]
    top = keys[0] if keys else ""
    tag = {"engine": 1, "metrics": 2, **dict.fromkeys(WORDS, 1)}.get(top)
    return ".".join(key for number, key in enumerate(keys) if number != tag)


def _message(error: ErrorDetails) -> str:
    place = _place(error)
    if error["type"] == "missing":
        return f"{place!r} is missing; add {EXAMPLES.get(place, place.rpartition('.')[2] + ': ...')}"
    return f"{place}: {_problem(error)}" if place else _problem(error)


def _problem(error: ErrorDetails) -> str:
    context, value = error.get("ctx", {}), error["input"]
    key = str(error["loc"][-1]) if error["loc"] else ""
    match error["type"]:
        case "union_tag_invalid":
            tag, known = context["tag"], re.findall(r"'([^']+)'", context["expected_tags"])
            return f"unknown kind {tag!r}{nearest(tag, known)}"
        case "union_tag_not_found":
            return _without_kind(value, context)
        case "model_attributes_type" if isinstance(value, str) and key == "engine":
            return f"expected a mapping, got {_shown(value)}; write engine: {{kind: {value}}}"
        case "string_pattern_mismatch":
            rule = "use letters, digits and . _ + -, and begin with a letter or digit"
            return f"{value!r} is invalid; {rule}{_as_name(value)}"
        case "unknown_key":
            where = _elsewhere(error)
            return f"unknown key {context['key']!r}; {where}" if where else str(context["message"])
        case "tuple_type" | "list_type":
            return f"expected a list, got {_shown(value)}" + (
                "" if isinstance(value, dict) else f"; write {key}: [{value}]"
            )
        case "dict_type" | "model_type" | "model_attributes_type":
            word = WORDS.get(_place(error))
            return f"expected a mapping{f' or {word}' if word else ''}, got {_shown(value)}"
        case "string_type" if isinstance(value, int | float | bool):
            return f"expected a text, got {_shown(value)}; put it in quotes: {key}: '{_shown(value)}'"
        case kind if kind.endswith(("_type", "_parsing")):
            return f"{error['msg']}, got {_shown(value)}"
    return str(error["msg"]).removeprefix("Value error, ")


def _without_kind(value: Any, context: Mapping[str, Any]) -> str:
    """A mapping without its `kind`; `{rouge: {stemmer: true}}` is meant as `{kind: rouge, stemmer: true}`."""
    match list(value.items()) if isinstance(value, dict) else []:
        case [(str() as kind, dict() as fields)]:
            return f"'kind' is missing; write {_flow({'kind': kind, **fields})}"
    return f"'kind' is missing; write {{kind: ..., {_flow(value)[1:] if isinstance(value, dict) else '}'}"


def _as_name(value: Any) -> str:
    """The end of the error about a name: what is left of a model's id or a path."""
    name = re.sub(r"[^A-Za-z0-9._+-]+", "-", str(value).rstrip("/").rpartition("/")[2]).lstrip("._+-")[:100]
    return f"; such as name: {name}" if name else ""


def _elsewhere(error: ErrorDetails) -> str:
    """The mapping that an unknown key belongs to; empty if it is unknown everywhere."""
    key, place = str(error["ctx"]["key"]), _place(error)
    entry = f"{key}: {_flow(error['input'].get(key))}"
    if key in OF_VLLM and place in ("", "engine"):
        return f"put it under options: engine: {{kind: vllm, options: {{{entry}}}}}"
    if key in OF_SAMPLING and not place:
        return f"put it under sampling: sampling: {{{entry}}}"
    return f"put it under engine: engine: {{kind: vllm, {entry}}}" if key in OF_ENGINE and not place else ""


def _shown(value: Any) -> str:
    return cut(json.dumps(value, ensure_ascii=False, default=str), LONGEST_VALUE)


def _flow(value: Any) -> str:
    """A value as YAML on one line."""
    match value:
        case dict():
            return "{" + ", ".join(f"{key}: {_flow(one)}" for key, one in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_flow, value)) + "]"
        case str():
            return cut(value, LONGEST_VALUE)
    return _shown(value)
