"""GPTQ and AWQ: integers packed along inputs or outputs, with scales of (groups, outputs) that confirm the shape."""

import re
from typing import Literal

from pydantic import Field

from fidelity.checkpoints.config import ModelJson, Widths
from fidelity.checkpoints.families.base import ANOTHER, Contradiction, Reading, UnknownLayout, Written, settings
from fidelity.checkpoints.families.shapes import check_groups, refuse_other_bits
from fidelity.checkpoints.layers import Layer
from fidelity.checkpoints.schemes import Scheme
from fidelity.checkpoints.tensors import ITEM_BITS

INTEGERS = ("I8", "I16", "I32", "I64", "U8", "U32")
Bits = Literal[1, 2, 3, 4, 5, 6, 7, 8]


class GptqConfig(Written):
    """The quantization_config."""

    bits: Bits = 4
    group_size: int = -1
    dynamic: dict[str, ModelJson] = Field(default_factory=dict)
    modules_to_not_convert: tuple[str, ...] | None = None
    version: str = ""
    lm_head: bool = False


class DynamicRule(Written):
    """The settings of GPTQModel's `dynamic` for the layers that match an expression."""

    bits: Bits | None = None
    group_size: int | None = None


class Gptq:
    """One checkpoint's config; `name` is "gptq" or "awq"."""

    on_load = False

    def __init__(self, written: ModelJson, name: str, widths: Widths) -> None:
        written = {**written, "bits": written.get("bits", written.get("w_bit", 4))}  # llm-awq's names
        written["group_size"] = written.get("group_size", written.get("q_group_size", -1))
        self.config = settings(GptqConfig, {key: value for key, value in written.items() if value is not None})
        self.name = name
        self.widths = widths

    def asked(self, layer: Layer) -> Scheme | None:
        if layer.kind in ("embedding", "norm", "router") or (layer.kind == "lm_head" and not self.config.lm_head):
            return None
        if any(module in layer.name for module in self.config.modules_to_not_convert or ()):
            return None
        bits, group = self.config.bits, self.config.group_size
        for expression, overrides in self.config.dynamic.items():
            if _fits(expression.removeprefix("-:").removeprefix("+:"), layer.name):
                if expression.startswith("-:"):
                    return None
                override = settings(DynamicRule, overrides)
                bits, group = override.bits or bits, override.group_size or group
                break
        return integers(bits, group)

    def read(self, layer: Layer) -> Reading | None:
        if "qweight" not in layer.tensors:
            return None
        asked = self.asked(layer) or integers(self.config.bits, self.config.group_size)
        version = self.config.version.lower()
        return read_packed(
            layer, asked, self.widths, transposed=version == "gemv", padded=version in ("gemv", "gemv_fast")
        )


def integers(bits: int, group: int) -> Scheme:
    return Scheme(f"INT{bits}", bits, group if group > 0 else None)


def read_packed(
    layer: Layer, asked: Scheme, widths: Widths, *, transposed: bool = False, padded: bool = False
) -> Reading:
    """A `qweight` with its `scales`, packed along either dimension, and Marlin's tiles.

    All bits of the integers are used, so their number is inputs x outputs x bits; the scales give the outputs.

    Args:
        layer: The layer.
        asked: The scheme that config.json states.
        widths: The possible widths of a row.
        transposed: Whether the scales are (outputs, groups).
        padded: Whether the scales can have up to 31 groups too many (AutoAWQ's gemv and gemv_fast).

    Raises:
        UnknownLayout: There are no scales of shape (groups, outputs).
        Contradiction: The scales or `g_idx` are for another number of inputs.
    """
    packed, scales = layer.tensors["qweight"], layer.tensors.get("scales") or layer.tensors.get("weight_scale")
    if scales is None or len(scales.shape) < 2 or len(packed.shape) < 2 or packed.dtype not in ITEM_BITS:
        raise UnknownLayout(f"{layer.name}: a qweight without scales of (groups, outputs)")
    *experts, groups, outputs = scales.shape if not transposed else (scales.shape[1], scales.shape[0])
    count = outputs
    for length in experts:
        count *= length
    if not count or packed.bits % (asked.bits * count):
        raise Contradiction(
            f"{layer.name}: {packed.bits} bits are not a multiple of {asked.bits}-bit weights for {count} outputs; "
            f"{ANOTHER}"
        )
    inputs = packed.bits // (asked.bits * count)
    needed = -(-inputs // asked.group) if asked.group else 1
    if padded and needed <= groups < needed + 32:
        groups = needed
    check_groups(layer, inputs, groups, asked.group, asked.bits)
    if not transposed:
        _check_zeros(layer, groups, outputs, asked.bits)
    index = layer.tensors.get("g_idx")
    if index is not None and index.elements not in (0, inputs):
        raise Contradiction(
            f"{layer.name}: at the {asked.bits} bits that config.json states it has {inputs} weights per row, but a "
            f"g_idx for {index.elements}; {ANOTHER}"
        )
    if index is None and not asked.group:
        refuse_other_bits(layer, inputs, asked.bits, widths.of(layer.name))
    used = {"qweight", "scales", "weight_scale", "qzeros", "g_idx"} & set(layer.tensors)
    return Reading(asked, (*experts, outputs, inputs), frozenset(used))


def _check_zeros(layer: Layer, groups: int, outputs: int, bits: int) -> None:
    """Refuse packed zero points of other bits, since scales can be for half as many weights in groups of half the size.

    Raises:
        Contradiction: Names the shape and the bits.
    """
    zeros = layer.tensors.get("qzeros")
    if zeros is None or zeros.dtype not in INTEGERS or zeros.shape[-2:-1] != (groups,):
        return
    if zeros.shape[-1] != -(-outputs * bits // ITEM_BITS[zeros.dtype]):
        raise Contradiction(
            f"{layer.name}: {list(zeros.shape)} qzeros aren't zero points of {bits} bits, which config.json states, "
            f"for {outputs} outputs; {ANOTHER}"
        )


def _fits(expression: str, name: str) -> bool:
    try:
        return re.match(expression, name) is not None
    except re.error as error:
        raise Contradiction(f"quantization_config: {expression!r} is not a regular expression ({error})") from error
