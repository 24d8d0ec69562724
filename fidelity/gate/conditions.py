"""The conditions under which a run was generated, from its manifest (older versions included).

Each function returns a value to compare with another run's, or None if it is unknown.
"""

from collections.abc import Mapping
from typing import Any

from fidelity.checkpoints import FLOATS
from fidelity.children.vllm_config import speculative
from fidelity.config.engines import RecordedEngine, Requests
from fidelity.outside.environment import picks_kernels
from fidelity.store.manifests import RunManifest

DTYPES = {"BF16": "bfloat16", "FP16": "float16", "FP32": "float32"}
SHORT_DTYPES = {"half": "float16", "bf16": "bfloat16", "fp16": "float16", "fp32": "float32", "float": "float32"}
OF_VLLM = ("vllm", "vllm-serve")
"""Engines with vLLM's options and known defaults."""


def configured(manifest: RunManifest) -> Mapping[str, Any]:
    """The `engine:` mapping of the user's YAML, as plain data."""
    return manifest.config.engine.model_dump(mode="json")


def options_of(manifest: RunManifest) -> Mapping[str, Any]:
    """The engine's options in the user's YAML; empty for engines without options."""
    return getattr(manifest.config.engine, "options", None) or {}


def kind(manifest: RunManifest) -> str | None:
    """The engine that ran; None for a recording that doesn't state it."""
    return None if manifest.engine.kind == "recorded" else manifest.engine.kind


def dtype(manifest: RunManifest) -> str | None:
    """The compute type: as the engine reports it, else the format of an unquantized run."""
    if named := manifest.engine.dtype:
        plain = named.removeprefix("torch.")
        return SHORT_DTYPES.get(plain, plain)
    form = manifest.engine.ran_as or manifest.checkpoint.format or manifest.label or ""
    return next((full for short, full in DTYPES.items() if form.startswith(short)), None)


def kv_cache_format(manifest: RunManifest) -> str | None:
    """The KV cache's number format, as the engine names it."""
    return manifest.engine.kv_cache or options_of(manifest).get("kv_cache_dtype")


def kv_cache(manifest: RunManifest) -> str | None:
    """The KV cache's number format for comparing: "as computed" if it equals the compute type."""
    named = kv_cache_format(manifest)
    own = dtype(manifest)
    if named is None or (named == "auto" and own is None):
        return None
    plain = SHORT_DTYPES.get(str(named), str(named))
    return "as computed" if plain in ("auto", own) else plain


def kv_cache_follows_from_the_checkpoint(manifest: RunManifest) -> bool:
    """Whether the checkpoint sets the format of its KV cache, so it belongs to the quantization."""
    asked = options_of(manifest).get("kv_cache_dtype") not in (None, "auto")
    return manifest.checkpoint.kv_cache is not None and not asked


def parallel(manifest: RunManifest, direction: str) -> int | None:
    """The number of devices for "tensor" or "pipeline" parallelism."""
    revealed = getattr(manifest.engine, f"{direction}_parallel")
    if revealed is None and manifest.config.engine.kind in OF_VLLM:
        revealed = options_of(manifest).get(f"{direction}_parallel_size", 1)
    return None if revealed is None else int(revealed)


def proposals(manifest: RunManifest) -> str | None:
    """Speculative decoding, or "none"."""
    if manifest.engine.speculative is None and manifest.config.engine.kind in OF_VLLM:
        return speculative(options_of(manifest).get("speculative_config"))
    return manifest.engine.speculative


def attention(manifest: RunManifest) -> str | None:
    """The attention backend."""
    options = options_of(manifest)
    named = manifest.engine.attention or options.get("attention_backend") or options.get("attn_implementation")
    return None if named is None else str(named)


def environment(manifest: RunManifest) -> dict[str, str] | None:
    """The environment variables that select kernels. Older runs recorded vLLM's under another name."""
    if manifest.engine.environment is not None:
        return manifest.engine.environment
    ambient = manifest.identity.get("ambient")
    if not isinstance(ambient, Mapping):
        return None
    given = {**ambient, **getattr(manifest.config.engine, "env", {})}
    return {name: str(value) for name, value in given.items() if value is not None and picks_kernels(name)}


def batching(manifest: RunManifest) -> str | None:
    """Continuous, drained, or proven to be invariant; None for servers, which choose their batches."""
    if isinstance(manifest.config.engine, Requests | RecordedEngine):
        return None
    if manifest.batch_invariant:
        return "invariant"
    return manifest.batching or ("drained" if manifest.chunk else None)


def longest_prompt_and_answer(manifest: RunManifest) -> int | None:
    """The maximum number of tokens of a prompt and its answer."""
    prompt, sampling = manifest.counts.longest_prompt, manifest.sampling
    return None if prompt is None or sampling is None else prompt + sampling.max_tokens


def weights_of(runs: tuple[RunManifest, RunManifest]) -> tuple[str | None, str | None]:
    """The identities of two runs' weights: of their tensors if both are known, else of their files."""
    one, other = (manifest.checkpoint for manifest in runs)
    if one.tensors and other.tensors:
        return one.tensors, other.tensors
    return one.weights, other.weights


def is_float(form: str | None) -> bool:
    """Whether a format is unquantized: `BF16`, `FP32 (linear only)`."""
    return form is not None and form.startswith(tuple(FLOATS.values()))
