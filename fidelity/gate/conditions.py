"""Under which conditions a run was generated, read from its manifest, also from those of older versions.

Each function gives a value that can be compared with another run's, or None where the run doesn't tell.
"""

from collections.abc import Mapping
from typing import Any

from fidelity.checkpoints import FLOATS
from fidelity.children.vllm_config import speculative
from fidelity.engines.environment import picks_kernels

Manifest = Mapping[str, Any]
DTYPES = {"BF16": "bfloat16", "FP16": "float16", "FP32": "float32"}
SHORT_DTYPES = {"half": "float16", "bf16": "bfloat16", "fp16": "float16", "fp32": "float32", "float": "float32"}
OF_VLLM = ("vllm", "vllm-serve")
"""Engines whose options are vLLM's, with defaults that are known."""


def engine_of(manifest: Manifest) -> Mapping[str, Any]:
    """The engine as the user's YAML has it."""
    return manifest["config"].get("engine") or {}


def options_of(manifest: Manifest) -> Mapping[str, Any]:
    """The engine's options as the user's YAML has them."""
    return engine_of(manifest).get("options") or {}


def kind(manifest: Manifest) -> str | None:
    """The engine that ran; None for a recording that doesn't say."""
    named = manifest["engine"]["kind"]
    return None if named in (None, "recorded") else str(named)


def dtype(manifest: Manifest) -> str | None:
    """The compute type: what the engine says, else the format of a run that isn't quantized."""
    named = manifest["engine"].get("dtype")
    if named:
        plain = str(named).removeprefix("torch.")
        return SHORT_DTYPES.get(plain, plain)
    checkpoint = manifest.get("checkpoint") or {}
    for form in (manifest["engine"].get("ran_as"), checkpoint.get("format"), manifest.get("label")):
        if form:
            return next((full for short, full in DTYPES.items() if str(form).startswith(short)), None)
    return None


def kv_cache(manifest: Manifest) -> str | None:
    """The KV cache's number format; "as computed" where it is that of the computation."""
    named = manifest["engine"].get("kv_cache") or options_of(manifest).get("kv_cache_dtype")
    own = dtype(manifest)
    if named is None or (named == "auto" and own is None):
        return None
    plain = SHORT_DTYPES.get(str(named), str(named))
    return "as computed" if plain in ("auto", own) else plain


def kv_cache_follows_from_the_checkpoint(manifest: Manifest) -> bool:
    """Whether the checkpoint itself asks for the format of its KV cache, so that it belongs to how it is quantized."""
    asked = options_of(manifest).get("kv_cache_dtype") not in (None, "auto")
    return bool((manifest.get("checkpoint") or {}).get("kv_cache")) and not asked


def parallel(manifest: Manifest, direction: str) -> int | None:
    """Over how many devices: `direction` is "tensor" or "pipeline"."""
    revealed = manifest["engine"].get(f"{direction}_parallel")
    if revealed is None and engine_of(manifest).get("kind") in OF_VLLM:
        revealed = options_of(manifest).get(f"{direction}_parallel_size", 1)
    return None if revealed is None else int(revealed)


def proposals(manifest: Manifest) -> str | None:
    """How tokens are proposed (speculative decoding); "none" where they aren't."""
    revealed = manifest["engine"].get("speculative")
    if revealed is None and engine_of(manifest).get("kind") in OF_VLLM:
        revealed = speculative(options_of(manifest).get("speculative_config"))
    return None if revealed is None else str(revealed)


def attention(manifest: Manifest) -> str | None:
    """The attention backend."""
    options = options_of(manifest)
    named = manifest["engine"].get("attention")
    named = named or options.get("attention_backend") or options.get("attn_implementation")
    return None if named is None else str(named)


def environment(manifest: Manifest) -> dict[str, str] | None:
    """The variables that pick kernels; older runs recorded vLLM's under another name."""
    recorded = manifest["engine"].get("environment")
    if recorded is not None:
        return dict(recorded)
    ambient = manifest["identity"].get("ambient")
    if ambient is None:
        return None
    given = {**ambient, **(engine_of(manifest).get("env") or {})}
    return {name: str(value) for name, value in given.items() if value is not None and picks_kernels(name)}


def longest_prompt_and_answer(manifest: Manifest) -> int | None:
    """The most tokens that a prompt and its answer may have taken."""
    prompt = manifest["counts"].get("longest_prompt")
    sampling = manifest.get("sampling") or {}
    return None if not prompt or "max_tokens" not in sampling else int(prompt) + int(sampling["max_tokens"])


def weights(manifest: Manifest) -> str | None:
    """The hash of the weights alone, shortened for people."""
    known = (manifest["checkpoint"] or {}).get("weights")
    return str(known)[:12] if known else None


def is_float(form: str | None) -> bool:
    """Whether a format is none that quantizes: `BF16`, `FP32 (linear only)`."""
    return form is not None and str(form).startswith(tuple(FLOATS.values()))
