"""Logical shapes of packed weights, from the packed width, the scales, and stored shapes."""

import math
import re
from collections.abc import Sequence

from fidelity.checkpoints.families.base import ANOTHER, Contradiction, UnknownLayout
from fidelity.checkpoints.layers import Layer
from fidelity.checkpoints.tensors import ITEM_BITS, Tensor


def written_shape(tensor: Tensor | None) -> tuple[int, ...] | None:
    """The content of `weight_shape`; None if it wasn't read or is all zeros."""
    numbers = tensor.numbers() if tensor else None
    return tuple(int(n) for n in numbers) if numbers and all(n > 0 for n in numbers) else None


def padded_row(
    layer: Layer, packed: Tensor, bits: int, *, scale: Tensor | None, group: int | None, candidates: Sequence[int]
) -> int:
    """Weights in a row of integers with 32 // bits weights each, the last one possibly incomplete (compressed-tensors).

    Args:
        layer: The layer, for its name and its `weight_shape`, if any.
        packed: The integers, (..., outputs, integers of a row).
        bits: The bits of a weight.
        scale: The scales, (..., outputs, groups).
        group: Weights of a group; None for a scale per row.
        candidates: Possible widths of a row by config.json, used if nothing else determines it.

    Raises:
        Contradiction: The scales are for another number of weights per row.
        UnknownLayout: It is unknown how many weights the last integer has.
    """
    each = 32 // bits
    most = packed.shape[-1] * each
    if shape := written_shape(layer.tensors.get("weight_shape")):
        if not most - each < shape[-1] <= most or shape[-2] != packed.shape[-2]:
            raise Contradiction(
                f"{layer.name}: at the {bits} bits that config.json states it has {most} weights per row, but "
                f"weight_shape states {shape[-1]}; {ANOTHER}"
            )
        most, each = shape[-1], 1
    if scale is not None and group and scale.shape:
        scaled = scale.shape[-1] * group
        if most - each < scaled <= most:
            return scaled
        if scaled - group < most <= scaled and (each == 1 or 32 % bits == 0):
            return most
        raise Contradiction(
            f"{layer.name}: at the {bits} bits that config.json states it has {most} weights per row, but scales for "
            f"{scaled}; {ANOTHER}"
        )
    if each == 1:
        return most
    fitting = {width for width in candidates if most - each < width <= most}
    if len(fitting) == 1:
        return fitting.pop()
    if not fitting:
        refuse_other_bits(layer, most, bits, candidates)
    if 32 % bits == 0:
        return most
    raise UnknownLayout(f"{layer.name}: the number of weights in a row of {packed.shape[-1]} integers isn't stated")


def refuse_other_bits(layer: Layer, columns: int, bits: int, candidates: Sequence[int]) -> None:
    """Without scales that confirm a row's width: refuse a width that the model only has with other bits.

    Raises:
        Contradiction: Names both widths.
    """
    if columns in candidates:
        return
    for width in candidates:
        if bits * columns % width == 0 and bits * columns // width in range(2, 9):
            raise Contradiction(
                f"{layer.name}: at the {bits} bits that config.json states it has {columns} weights per row, but the "
                f"model's are {width}; {ANOTHER}"
            )


def dense_row(layer: Layer, packed: Tensor, bits: int) -> int:
    """Weights in a row of integers without padding (GPTQ, MLX), where a weight can span two integers."""
    wide = packed.shape[-1] * ITEM_BITS.get(packed.dtype, 0)
    if wide % bits:
        raise Contradiction(
            f"{layer.name}: {wide} bits per row are not a multiple of the {bits}-bit weights that config.json states; "
            f"{ANOTHER}"
        )
    return wide // bits


def check_groups(layer: Layer, columns: int, groups: int, group: int | None, bits: int) -> None:
    """Refuse scales for another number of weights.

    Raises:
        Contradiction: Names both numbers.
    """
    if groups != (math.ceil(columns / group) if group else 1):
        scaled = f"{groups * group}" if group else f"{groups} groups"
        raise Contradiction(
            f"{layer.name}: at the {bits} bits that config.json states it has {columns} weights per row, but scales "
            f"for {scaled}; {ANOTHER}"
        )


def matrix(layer: Layer, tensor: Tensor) -> tuple[int, ...]:
    """The shape of a tensor that must be a matrix, or one matrix per expert.

    Raises:
        UnknownLayout: It is not a matrix.
    """
    most = 3 if layer.kind == "experts" and not re.search(r"experts\.\d", layer.name) else 2
    if not 2 <= len(tensor.shape) <= most or 0 in tensor.shape:
        raise UnknownLayout(f"{layer.name}: {tensor.dtype} {list(tensor.shape)} is no matrix")
    return tensor.shape
