"""A checkpoint's format, parameters and size, from its config and its files' headers."""

from dataclasses import dataclass
from pathlib import Path

from fidelity.checkpoints.config import ModelJson, quantization_of, read_config
from fidelity.checkpoints.families import Contradiction, UnknownLayout, family_of
from fidelity.checkpoints.headline import composition, headline, shares
from fidelity.checkpoints.kv_cache import NAMES, asked_cache, kv_cache
from fidelity.checkpoints.layers import Layer
from fidelity.checkpoints.resolution import Resolution, resolve
from fidelity.checkpoints.schemes import NOT_KNOWN
from fidelity.checkpoints.source import pickled_weights
from fidelity.checkpoints.tensors import read_weights
from fidelity.schema import REFUSE_UNKNOWN_KEYS

TYPES = {"bfloat16": "BF16", "float16": "FP16", "float32": "FP32"}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint as its files describe it; None for what they don't state."""

    __pydantic_config__ = REFUSE_UNKNOWN_KEYS

    format: str | None = None
    """The format: `BF16`, `W8A8-INT8`, `W4A16-INT4 g64`, `W4A16-MXFP4 g32 (experts)`, `layout not known (hqq)`."""
    parameters: int | None = None
    """The number of weights before packing; a tied lm_head counts once."""
    bytes: int | None = None
    """The size of the weight files that an engine reads."""
    kv_cache: str | None = None
    """The format that the checkpoint configures for its KV cache (`FP8`); None if it leaves it to the engine."""
    weights: str | None = None
    """The hash of the weights (`weights_id`); not read by `describe`."""
    tensors: str | None = None
    """The identity of their tensors (`tensors_id`), whatever files they are in; not read by `describe`."""
    composition: str | None = None
    """Several schemes by their shares of the weights: `78% W4A16-INT4 g128, 20% BF16, 2% W8A16-INT8`."""


def describe(checkpoint: Path) -> Checkpoint:
    """Describe a checkpoint.

    Raises:
        ConfigError: Its config.json or a safetensors header is damaged.
    """
    config, weights = read_config(checkpoint), read_weights(checkpoint)
    size = weights.bytes
    if not weights.tensors and checkpoint.is_dir():
        size = sum(file.stat().st_size for file in pickled_weights(checkpoint))
    return described(config, resolve(config, weights, gguf=checkpoint.is_file()), size=size)


def described(config: ModelJson, resolution: Resolution, *, size: int) -> Checkpoint:
    """The same from what was read of a checkpoint, local or on the Hub; `size` is the size of its weight files."""
    cache = kv_cache(config, scales=resolution.kv_scales)
    return Checkpoint(
        format=headline(resolution, cache) if resolution.layers else _by_config(config),
        parameters=resolution.parameters,
        bytes=size or None,
        kv_cache=NAMES.get(asked_cache(config)[0] or ""),
        composition=composition(formats) if len(formats := shares(resolution)) > 1 else None,
    )


def _by_config(config: ModelJson) -> str | None:
    """The format in config.json, for weights that can't be read without running code."""
    quantization = quantization_of(config)
    if quantization is None:
        return TYPES.get(str(config.get("dtype") or config.get("torch_dtype")))
    try:
        family = family_of(quantization)
        scheme = family.asked(Layer("model.layers.0.mlp.up_proj", "mlp", {}))
    except (Contradiction, UnknownLayout) as error:
        return f"{NOT_KNOWN} ({error})"
    if scheme is None:
        return NOT_KNOWN
    return scheme.full + (f" ({family.name})" if family.name else "")
