"""How a checkpoint is made up: layers by kind and scheme, with parameters and bytes, and what is left unquantized."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fidelity.checkpoints.formats import (
    FLOATS,
    PACKED,
    Checkpoint,
    bits_of,
    describe,
    parameters_of,
    quantization_of,
    read_config,
    scheme_of,
)
from fidelity.checkpoints.kv_cache import BYTES, KVCache, kv_cache
from fidelity.checkpoints.source import chat_template, fingerprint
from fidelity.checkpoints.tensors import ModelJson, Tensor, read_tensors

KINDS = {
    "embedding": r"embed|token_embd|wte",
    "lm_head": r"lm_head|^output\.",
    "norm": r"norm|ln_",
    "experts": r"experts?\.|_exps",
    "attention": r"attn|attention",
    "mlp": r"mlp|ffn|feed_forward",
}
"""What a layer is, by its name in the checkpoints of Hugging Face and in GGUF; the first that fits."""


@dataclass(frozen=True, slots=True)
class StoredLayers:
    """All layers of one kind that are stored in one way."""

    kind: str
    scheme: str
    """`BF16`, `INT4 g64`, `INT8`, `FP8`, `Q4_1`."""
    layers: int
    parameters: int
    bytes: int
    """Scales and zero points included."""
    names: tuple[str, ...]
    """The layers, with `*` for the number of the block."""
    shape: tuple[int, int] | None
    """Outputs and inputs of the first of them as the model had it before it was packed; None for vectors."""

    @property
    def bits_per_weight(self) -> float | None:
        return self.bytes * 8 / self.parameters if self.parameters else None

    def bytes_loaded(self, dtype: str | None) -> int:
        """In an engine that computes in `dtype` (`bfloat16`): plain floats are made that, quantized weights stay.

        What a kernel packs anew while loading may take more or less.
        """
        width = BYTES.get(str(dtype))
        return self.parameters * width if self.scheme in FLOATS.values() and width else self.bytes


@dataclass(frozen=True, slots=True)
class Anatomy:
    """What can be known of a checkpoint without loading it."""

    checkpoint: Checkpoint
    architecture: str | None
    vocabulary: int | None
    context: int | None
    """The longest sequence that the config allows, in tokens."""
    tied_embeddings: bool | None
    """Whether lm_head is the embedding again, and takes no bytes of its own."""
    chat_template: str | None
    """Its hash, as in `EngineInfo.chat_template`."""
    activations: str | None
    """What the checkpoint asks of activations: `8-bit, dynamic, token`; None where they stay as they are."""
    kv_cache: KVCache | None
    """In the checkpoint's own type; None where the config doesn't tell."""
    parts: tuple[StoredLayers, ...]

    @property
    def tensor_bytes(self) -> int:
        """What is loaded; the files' headers are the rest of `checkpoint.bytes`."""
        return sum(part.bytes for part in self.parts)

    @property
    def bits_per_weight(self) -> float | None:
        """Of the whole checkpoint, scales included."""
        parameters = sum(part.parameters for part in self.parts)
        return self.tensor_bytes * 8 / parameters if parameters else None

    @property
    def unquantized(self) -> tuple[str, ...]:
        """The layers whose weights are plain floating point; norms, which nobody quantizes, left out."""
        plain = (part for part in self.parts if part.scheme in FLOATS.values() and part.kind != "norm")
        return tuple(name for part in plain for name in part.names)


def dissect(checkpoint: Path) -> Anatomy:
    """Read all that the files say.

    Raises:
        ConfigError: Its config.json or a header is damaged.
    """
    template = fingerprint(chat_template(checkpoint))
    return dissected(read_config(checkpoint), read_tensors(checkpoint), describe(checkpoint), chat_template=template)


def dissected(
    config: ModelJson, tensors: Mapping[str, Tensor], checkpoint: Checkpoint, *, chat_template: str | None
) -> Anatomy:
    """The same from what was read of a checkpoint, wherever it lies."""
    text = config.get("text_config") or config
    tied = config.get("tie_word_embeddings")
    return Anatomy(
        checkpoint=checkpoint,
        architecture=next(iter(config.get("architectures") or ()), None),
        vocabulary=text.get("vocab_size"),
        context=text.get("max_position_embeddings"),
        tied_embeddings=tied if isinstance(tied, bool) else None,
        chat_template=chat_template,
        activations=_activations(quantization_of(config)),
        kv_cache=kv_cache(config),
        parts=_parts(tensors, quantization_of(config)),
    )


def _activations(quantization: ModelJson) -> str | None:
    inputs = scheme_of(quantization)[1]
    if not inputs:
        return None
    return ", ".join(
        [f"{inputs['num_bits']}-bit", "dynamic" if inputs.get("dynamic") else "static", str(inputs.get("strategy"))]
    )


def _parts(tensors: Mapping[str, Tensor], quantization: ModelJson) -> tuple[StoredLayers, ...]:
    layers: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        layer, _, last = name.rpartition(".")
        layers.setdefault(layer, {})[last] = tensor
    grouped: dict[tuple[str, str], list[str]] = {}
    for layer, own in layers.items():
        grouped.setdefault((_kind(layer + "."), _scheme(own, quantization)), []).append(layer)
    bits = bits_of(quantization)
    parts = [
        StoredLayers(
            kind=kind,
            scheme=scheme,
            layers=len(names),
            parameters=sum(parameters_of(last, t, bits) for name in names for last, t in layers[name].items()),
            bytes=sum(tensor.bytes for name in names for tensor in layers[name].values()),
            names=tuple(dict.fromkeys(re.sub(r"\b\d+\b", "*", name) for name in names)),
            shape=_shape(layers[names[0]], bits),
        )
        for (kind, scheme), names in grouped.items()
    ]
    return tuple(sorted(parts, key=lambda part: (-part.bytes, part.kind)))


def _shape(own: Mapping[str, Tensor], bits: int) -> tuple[int, int] | None:
    """AWQ and GPTQ pack other dimensions than compressed-tensors; what they hold is only known by its product."""
    tensor = own.get("weight") or own.get("weight_packed")
    if tensor is None or len(tensor.shape) != 2:
        return None
    rows, columns = tensor.shape
    return rows, columns * (32 // bits) if "weight_packed" in own and tensor.dtype == "I32" else columns


def _kind(layer: str) -> str:
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, layer)), "other")


def _scheme(own: Mapping[str, Tensor], quantization: ModelJson) -> str:
    """How a layer's weights are stored: its tensors tell, and the config the bits and group size of packed ones."""
    if any(name in PACKED for name in own):
        weights = scheme_of(quantization)[0] or quantization
        group = weights.get("group_size") or -1
        return f"INT{bits_of(quantization)}" + (f" g{group}" if group > 0 else "")
    weight = own.get("weight") or max(own.values(), key=lambda tensor: tensor.bytes)
    plain = {**FLOATS, "I8": "INT8", "F8_E4M3": "FP8", "F8_E5M2": "FP8 (E5M2)", "F16": "FP16", "F32": "FP32"}
    return "FP4" if weight.dtype == "U8" and len(own) > 1 else plain.get(weight.dtype, weight.dtype)
