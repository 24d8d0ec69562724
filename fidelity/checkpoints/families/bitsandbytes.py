"""bitsandbytes: NF4 or FP4 as a column of bytes whose shape is in a `quant_state`, and LLM.int8()."""

import json
import math

from fidelity.checkpoints.config import ModelJson
from fidelity.checkpoints.families.base import Contradiction, Reading, UnknownLayout, Written, settings
from fidelity.checkpoints.families.bytewise import read_bytes
from fidelity.checkpoints.layers import Layer
from fidelity.checkpoints.schemes import Activations, Scheme
from fidelity.checkpoints.tensors import Tensor

INT8 = Scheme("INT8", 8, activations=Activations(8, True, "token"))
"""LLM.int8(): the few columns with outliers have 16 bits."""


class BitsAndBytesConfig(Written):
    """The quantization_config."""

    load_in_4bit: bool = False
    load_in_8bit: bool = False
    bnb_4bit_quant_type: str = "fp4"
    llm_int8_skip_modules: tuple[str, ...] | None = None


class QuantState(Written):
    """bitsandbytes' description of a weight."""

    quant_type: str
    blocksize: int
    shape: tuple[int, ...]


class BitsAndBytes:
    """One checkpoint's config."""

    name = "bitsandbytes"
    on_load = True

    def __init__(self, written: ModelJson) -> None:
        self.config = settings(BitsAndBytesConfig, {key: value for key, value in written.items() if value is not None})

    def asked(self, layer: Layer) -> Scheme | None:
        if any(name in layer.name for name in self.config.llm_int8_skip_modules or ()):
            return None
        if layer.kind in ("embedding", "lm_head", "norm"):
            return None
        if self.config.load_in_8bit:
            return INT8
        return Scheme(self.config.bnb_4bit_quant_type.upper(), 4, 64) if self.config.load_in_4bit else None

    def read(self, layer: Layer) -> Reading | None:
        own = layer.tensors
        weight = own.get("weight")
        if weight is None:
            return None
        if "SCB" in own:
            if self.config.load_in_4bit:
                raise Contradiction(f"{layer.name} is stored in 8 bits, but config.json has load_in_4bit")
            reading = read_bytes(layer, asked=INT8)
            if own["SCB"].elements != reading.shape[0]:
                raise Contradiction(f"{layer.name}: {own['SCB'].elements} scales for {reading.shape[0]} rows")
            return Reading(INT8, reading.shape, frozenset({"weight", "SCB", "weight_format"} & set(own)))
        absmax = own.get("weight.absmax") or own.get("absmax")
        if absmax is None:
            if weight.dtype in ("U8", "I8"):
                raise UnknownLayout(f"{layer.name}: {weight.dtype} weights without absmax or SCB")
            return None
        if self.config.load_in_8bit:
            raise Contradiction(f"{layer.name} is stored in 4 bits, but config.json has load_in_8bit")
        return self._four_bits(layer, weight, absmax)

    def _four_bits(self, layer: Layer, weight: Tensor, absmax: Tensor) -> Reading:
        """Two weights per byte, for any type that the bytes are stored as."""
        roles = [role for role in layer.tensors if "absmax" in role or "quant_map" in role or "quant_state" in role]
        noted = next((role for role in roles if "quant_state" in role), None)
        state = _state(layer.tensors[noted]) if noted else None
        count = weight.bits // 4
        kind = (noted or self.config.bnb_4bit_quant_type).rpartition("__")[2].lower()
        shape = state.shape if state else (count,)
        if math.prod(shape) > count or count - math.prod(shape) > 1:
            raise Contradiction(f"{layer.name}: {count} packed weights, but its quant_state states {list(shape)}")
        group = state.blocksize if state else _block(count, absmax.elements)
        if -(-math.prod(shape) // group) != absmax.elements:
            raise Contradiction(f"{layer.name}: {count} weights in blocks of {group}, but {absmax.elements} scales")
        if state and state.quant_type.lower() != kind:
            raise Contradiction(f"{layer.name}: its quant_state is called {kind}, but states {state.quant_type}")
        if kind not in ("nf4", "fp4"):
            raise UnknownLayout(f"{layer.name}: bitsandbytes' {kind}")
        stated = self.config.bnb_4bit_quant_type.lower()
        if stated != kind:
            raise Contradiction(f"{layer.name} is stored as {kind}, but config.json has bnb_4bit_quant_type {stated}")
        return Reading(Scheme(kind.upper(), 4, group), shape, frozenset({"weight", *roles}))


def _state(tensor: Tensor) -> QuantState | None:
    """The content of the description; None if it wasn't read."""
    try:
        written = json.loads(tensor.content or b"")
        return settings(QuantState, written)
    except (ValueError, TypeError, Contradiction):
        return None


def _block(weights: int, scales: int) -> int:
    """The block size, a power of two, that gives this number of scales."""
    powers = (1 << n for n in range(5, 13))
    return next((size for size in powers if -(-weights // size) == scales), max(1, -(-weights // max(1, scales))))
