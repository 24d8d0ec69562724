"""Logical shapes of packed weights, from the width of packing, the scales, and shapes that are written down."""

import math
from collections.abc import Sequence

from fidelity.checkpoints.families.base import ANOTHER, Contradiction, UnknownLayout
from fidelity.checkpoints.layers import Layer
from fidelity.checkpoints.tensors import ITEM_BITS, Tensor


def written_shape(tensor: Tensor | None) -> tuple[int, ...] | None:
    """The content of `weight_shape`; None where it wasn't read or holds nothing but zeros."""
    numbers = tensor.numbers() if tensor else None
    return tuple(int(n) for n in numbers) if numbers and all(n > 0 for n in numbers) else None


def padded_row(
    layer: Layer, packed: Tensor, bits: int, *, scale: Tensor | None, group: int | None, candidates: Sequence[int]
) -> int:
    """Weights in a row of integers that hold 32 // bits each, the last one perhaps not full (compressed-tensors).

    Args:
        layer: For its name, and for `weight_shape` if it is there.
        packed: The integers, (..., outputs, integers of a row).
        bits: Of one weight.
        scale: The scales, (..., outputs, groups).
        group: Weights of a group; None for a scale per row.
        candidates: Widths in config.json that a row may have, tried where nothing else tells.

    Raises:
        Contradiction: The scales are for another number of weights than a row holds.
        UnknownLayout: The last integer may or may not be full, and nothing tells.
    """
    each = 32 // bits
    most = packed.shape[-1] * each
    if shape := written_shape(layer.tensors.get("weight_shape")):
        if not most - each < shape[-1] <= most or shape[-2] != packed.shape[-2]:
            raise Contradiction(
                f"{layer.name}: at the {bits} bits that config.json states it has {most} weights a row, and "
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
            f"{layer.name}: at the {bits} bits that config.json states it has {most} weights a row, and scales for "
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
    raise UnknownLayout(f"{layer.name}: how many weights a row of {packed.shape[-1]} integers holds isn't stated")


def refuse_other_bits(layer: Layer, columns: int, bits: int, candidates: Sequence[int]) -> None:
    """Where no scale proves a row's width: refuse one that the model has if the weights are of other bits.

    Raises:
        Contradiction: Names both widths.
    """
    if columns in candidates:
        return
    for width in candidates:
        if bits * columns % width == 0 and bits * columns // width in range(2, 9):
            raise Contradiction(
                f"{layer.name}: at the {bits} bits that config.json states it has {columns} weights a row, and the "
                f"model's are {width}; {ANOTHER}"
            )


def dense_row(layer: Layer, packed: Tensor, bits: int) -> int:
    """Weights in a row of integers without padding (GPTQ, MLX): they may reach over two integers."""
    wide = packed.shape[-1] * ITEM_BITS.get(packed.dtype, 0)
    if wide % bits:
        raise Contradiction(
            f"{layer.name}: {wide} bits a row are no whole number of the {bits}-bit weights that config.json states; "
            f"{ANOTHER}"
        )
    return wide // bits


def check_groups(layer: Layer, columns: int, groups: int, group: int | None, bits: int) -> None:
    """Refuse scales that are for another number of weights.

    Raises:
        Contradiction: Names both numbers.
    """
    if groups != (math.ceil(columns / group) if group else 1):
        scaled = f"{groups * group}" if group else f"{groups} groups"
        raise Contradiction(
            f"{layer.name}: at the {bits} bits that config.json states it has {columns} weights a row, and scales for "
            f"{scaled}; {ANOTHER}"
        )


def matrix(layer: Layer, tensor: Tensor) -> tuple[int, ...]:
    """The shape of a tensor that must be a matrix, or one for each expert.

    Raises:
        UnknownLayout: It is not.
    """
    if len(tensor.shape) not in (2, 3) or 0 in tensor.shape:
        raise UnknownLayout(f"{layer.name}: {tensor.dtype} {list(tensor.shape)} is no matrix")
    return tensor.shape
