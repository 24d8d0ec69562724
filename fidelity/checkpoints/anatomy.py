"""The composition of a checkpoint: layers by kind and scheme, with parameters and bytes."""

from dataclasses import dataclass
from pathlib import Path

from fidelity.checkpoints.config import (
    RANDOM_WEIGHTS_NOTE,
    ModelJson,
    count,
    has_random_weights,
    read_config,
    text_of,
)
from fidelity.checkpoints.formats import Checkpoint, described
from fidelity.checkpoints.headline import shares
from fidelity.checkpoints.kv_cache import WIDTHS, KVCache, kv_cache
from fidelity.checkpoints.resolution import Resolution, Resolved, resolve
from fidelity.checkpoints.schemes import NOT_KNOWN, Scheme
from fidelity.checkpoints.source import chat_template, fingerprint
from fidelity.checkpoints.tensors import Weights, read_weights


@dataclass(frozen=True, slots=True)
class StoredLayers:
    """All layers of one kind that are stored in the same way."""

    kind: str
    scheme: str
    """`BF16`, `INT4 g64`, `INT8`, `FP8`, `Q4_1`; `layout not known`."""
    format: str
    """With the activations: `W4A16-INT4 g64`."""
    layers: int
    parameters: int
    """0 if the layout is unknown."""
    bytes: int
    """Scales and zero points included."""
    names: tuple[str, ...]
    """The layers' names, with `*` for the number of the block."""
    shape: tuple[int, int] | None
    """Outputs and inputs of the first layer before packing; None for vectors."""
    is_float: bool
    """Whether it isn't quantized."""

    @property
    def bits_per_weight(self) -> float | None:
        return self.bytes * 8 / self.parameters if self.parameters else None

    def bytes_loaded(self, dtype: str | None) -> int:
        """The size in an engine that computes in `dtype` (`bfloat16`): floats are converted, quantized weights are not.

        A kernel that repacks weights while loading can need more or less.
        """
        width = WIDTHS.get(str(dtype))
        return self.parameters * width if self.is_float and width else self.bytes


@dataclass(frozen=True, slots=True)
class Anatomy:
    """The properties of a checkpoint that are known without loading it."""

    checkpoint: Checkpoint
    architecture: str | None
    vocabulary: int | None
    context: int | None
    """The maximum sequence length by the config, in tokens."""
    dtype: str | None
    """The compute type by its config: `bfloat16`."""
    tied_embeddings: bool | None
    """Whether lm_head shares the embedding, and takes no bytes."""
    chat_template: str | None
    """Its hash, as in `EngineInfo.chat_template`."""
    activations: str | None
    """The checkpoint's quantization of activations: `8-bit, dynamic, token`; None if they aren't quantized, or if it
    differs by layer."""
    sparsity: str | None
    """`2:4`; None if nothing is pruned, or it is unknown."""
    kv_cache: KVCache | None
    """The KV cache that the checkpoint configures; None if the config doesn't state it."""
    kv_scale_bytes: int
    """The size of the KV cache's scales, which belong to no weight."""
    shares: tuple[tuple[str, float], ...]
    """Each scheme with its share of all weights, largest first."""
    notes: tuple[str, ...]
    """Notes that are not errors."""
    parts: tuple[StoredLayers, ...]

    @property
    def tensor_bytes(self) -> int:
        """The size of the tensors; the files' headers are the rest of `checkpoint.bytes`."""
        return sum(stored.bytes for stored in self.parts) + self.kv_scale_bytes

    @property
    def bits_per_weight(self) -> float | None:
        """Bits per weight of the whole checkpoint, scales included; None if a layout is unknown."""
        parameters = self.checkpoint.parameters
        return self.tensor_bytes * 8 / parameters if parameters else None

    @property
    def unquantized(self) -> tuple[str, ...]:
        """The layers with floating-point weights, without norms and other vectors."""
        plain = (stored for stored in self.parts if stored.is_float and stored.kind != "norm" and stored.shape)
        return tuple(name for stored in plain for name in stored.names)


def dissect(checkpoint: Path) -> Anatomy:
    """Read everything that the files state.

    Raises:
        ConfigError: Its config.json or a header is damaged.
    """
    template = fingerprint(chat_template(checkpoint))
    config, weights = read_config(checkpoint), read_weights(checkpoint)
    return dissected(config, weights, chat_template=template, gguf=checkpoint.is_file())


def dissected(config: ModelJson, weights: Weights, *, chat_template: str | None, gguf: bool = False) -> Anatomy:
    """The same from what was read of a checkpoint, local or on the Hub."""
    resolution = resolve(config, weights, gguf=gguf)
    cache = kv_cache(config, scales=resolution.kv_scales)
    text = text_of(config)
    architectures = config.get("architectures")
    activations = _activations(resolution)
    dtype = next((place[key] for place in (text, config) for key in ("dtype", "torch_dtype") if place.get(key)), None)
    return Anatomy(
        checkpoint=described(config, resolution, size=weights.bytes),
        architecture=str(architectures[0]) if isinstance(architectures, list) and architectures else None,
        vocabulary=count(text, "vocab_size"),
        context=count(text, "max_position_embeddings"),
        dtype=None if dtype is None else str(dtype),
        tied_embeddings=_tied(config, resolution),
        chat_template=chat_template,
        activations=activations,
        sparsity=next((one.scheme.sparsity for one in resolution.layers if one.scheme and one.scheme.sparsity), None),
        kv_cache=cache,
        kv_scale_bytes=sum(tensor.bytes for tensor in (resolution.kv_scales or {}).values()),
        shares=shares(resolution),
        notes=(
            *([RANDOM_WEIGHTS_NOTE] if has_random_weights(config) else []),
            *resolution.notes,
            *_cache_notes(cache, resolution),
        ),
        parts=_parts(resolution.layers),
    )


def _activations(resolution: Resolution) -> str | None:
    asked = {str(one.scheme.activations) for one in resolution.layers if one.scheme and not one.scheme.is_float}
    return asked.pop() if len(asked) == 1 and "None" not in asked else None


def _tied(config: ModelJson, resolution: Resolution) -> bool | None:
    """Whether embeddings are tied: by the config, else if there are embeddings but no lm_head."""
    for place in (config, text_of(config)):
        if isinstance(stated := place.get("tie_word_embeddings"), bool):
            return stated
    kinds = {one.layer.kind for one in resolution.layers}
    return True if "embedding" in kinds and "lm_head" not in kinds else None


def _cache_notes(cache: KVCache | None, resolution: Resolution) -> list[str]:
    notes = [f"KV cache {cache.dtype}: {cache.fault}"] if cache and cache.fault else []
    if resolution.kv_scales and cache and cache.scales is None:
        notes.append("it has scales for an 8-bit KV cache, but doesn't configure one")
    return notes


def _parts(layers: tuple[Resolved, ...]) -> tuple[StoredLayers, ...]:
    grouped: dict[tuple[str, Scheme | None], list[Resolved]] = {}
    for one in layers:
        grouped.setdefault((one.layer.kind, one.scheme), []).append(one)
    parts = [
        StoredLayers(
            kind=kind,
            scheme=scheme.label if scheme else NOT_KNOWN,
            format=scheme.full if scheme else NOT_KNOWN,
            layers=len(members),
            parameters=sum(one.parameters or 0 for one in members),
            bytes=sum(one.layer.bytes for one in members),
            names=tuple(dict.fromkeys(one.layer.pattern for one in members)),
            shape=next(((one.shape[-2], one.shape[-1]) for one in members if one.shape), None),
            is_float=scheme is not None and scheme.is_float,
        )
        for (kind, scheme), members in grouped.items()
    ]
    return tuple(sorted(parts, key=lambda stored: (-stored.bytes, stored.kind)))
