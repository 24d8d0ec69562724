"""A checkpoint's config.json, and its quantization_config."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fidelity.errors import ConfigError
from fidelity.outside.documents import read_document

ModelJson = Mapping[str, Any]
"""A JSON object of a checkpoint (config.json, or a part of it), with keys that other software defines."""
WIDTHS = (
    "hidden_size",
    "intermediate_size",
    "moe_intermediate_size",
    "shared_expert_intermediate_size",
    "n_embd",
    "d_ff",
)
"""Keys with possible widths of a row of weights."""

LANGUAGE_MODELS = ("text_config", "llm_config", "language_config", "thinker_config")
"""Keys of the language model's config in multimodal models."""

RANDOM_WEIGHTS = "fidelity_random_weights"
"""The key of config.json that marks a checkpoint of benchmarks/shapes.py."""
RANDOM_WEIGHTS_NOTE = "random weights: price only, never drift"


def has_random_weights(config: ModelJson) -> bool:
    """Whether a checkpoint is marked as one with random weights, which is honest for price and means nothing else."""
    return config.get(RANDOM_WEIGHTS) is True


def read_config(checkpoint: Path) -> ModelJson:
    """The checkpoint's config.json, with `hf_quant_config.json` as its quantization_config; empty for a GGUF.

    Raises:
        ConfigError: One of them can't be read as a JSON object, or they state different algorithms.
    """
    if checkpoint.is_file():
        return {}
    config = _json_object(checkpoint / "config.json")
    beside = checkpoint / "hf_quant_config.json"
    if beside.is_file():
        written = _json_object(beside)
        stated = quantization_of(config)
        if stated is None:
            return {**config, "quantization_config": {"quant_method": "modelopt", **written}}
        _refuse_two_algorithms(checkpoint, stated, written)
    return config


def _json_object(file: Path) -> ModelJson:
    try:
        written = read_document(file)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: can't be read as JSON ({error})") from error
    if not isinstance(written, dict):
        raise ConfigError(f"{file}: not a JSON object, but {type(written).__name__}")
    return written


def _refuse_two_algorithms(checkpoint: Path, stated: ModelJson, beside: ModelJson) -> None:
    inner = beside.get("quantization")
    other = inner.get("quant_algo") if isinstance(inner, Mapping) else None
    own = stated.get("quant_algo")
    if isinstance(own, str) and isinstance(other, str) and own.upper() != other.upper():
        raise ConfigError(
            f"{checkpoint}: config.json states the quantization {own}, but hf_quant_config.json states {other}"
        )


def quantization_of(config: ModelJson) -> ModelJson | None:
    """The quantization_config, of a multimodal model also from its text_config; None if there is none.

    Raises:
        ConfigError: It is not a JSON object.
    """
    for place in (config, *(value for key, value in config.items() if key.endswith("_config"))):
        if not isinstance(place, Mapping):
            continue
        for key in ("quantization_config", "compression_config", "quantization"):
            if (written := place.get(key)) is None:
                continue
            if not isinstance(written, Mapping):
                raise ConfigError(f"config.json: {key} is {written!r:.60}, not a JSON object")
            if written:
                return written
    return None


def text_of(config: ModelJson) -> ModelJson:
    """The part of the config that describes the language model."""
    for key in LANGUAGE_MODELS:
        if isinstance(text := config.get(key), Mapping):
            return text_of(text)
    return config


def count(config: ModelJson, *keys: str) -> int | None:
    """The value of the first key with a positive integer."""
    values = (config.get(key) for key in keys)
    return next(
        (value for value in values if isinstance(value, int) and not isinstance(value, bool) and value > 0), None
    )


@dataclass(frozen=True, slots=True)
class Widths:
    """The widths that rows of weights have by config.json."""

    all: tuple[int, ...] = ()
    by_projection: Mapping[str, int] = field(default_factory=dict)

    def of(self, layer: str) -> tuple[int, ...]:
        """The possible widths of a layer: those of its kind if its name shows it, else all."""
        last = layer.rpartition(".")[2]
        if last in self.by_projection and not re.search(r"vision|visual|audio|expert", layer):
            return (self.by_projection[last],)
        return self.all


def widths_of(config: ModelJson) -> Widths:
    """The possible widths of rows of weights; empty if the config doesn't state them."""
    text = text_of(config)
    hidden, inner = count(text, "hidden_size", "n_embd"), count(text, "intermediate_size")
    heads, size = count(text, "num_attention_heads", "n_head"), count(text, "head_dim")
    joined = heads * (size or (hidden or 0) // heads) if heads and (size or hidden) else None
    known = {
        **dict.fromkeys(("q_proj", "k_proj", "v_proj", "qkv_proj", "gate_proj", "up_proj", "gate_up_proj"), hidden),
        "down_proj": inner,
        "o_proj": joined,
    }
    widths = [*(count(text, key) for key in WIDTHS), joined]
    return Widths(
        tuple(dict.fromkeys(width for width in widths if width)),
        {name: width for name, width in known.items() if width},
    )
