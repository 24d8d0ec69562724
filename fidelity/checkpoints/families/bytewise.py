"""Weights of one byte, and 4-bit floats of half a byte, with scales, as in several families."""

import math

from fidelity.checkpoints.families.base import ANOTHER, Contradiction, Reading, UnknownLayout
from fidelity.checkpoints.families.shapes import matrix
from fidelity.checkpoints.layers import Layer
from fidelity.checkpoints.schemes import FLOATS, Scheme
from fidelity.checkpoints.tensors import Tensor

SCALES = ("weight_scale", "weight_scale_inv", "scale_inv", "scale", "scales", "qscale_weight")
"""The names of a weight's scales, in order of preference."""
BESIDE = (
    *SCALES,
    *("weight_scale_2", "weight_global_scale", "weight_zero_point", "weight_shape", "pre_quant_scale"),
    *("input_scale", "input_global_scale", "input_zero_point", "output_scale", "activation_scale", "qscale_act"),
)
"""Roles of tensors that describe such a weight and are not parameters of the model."""
FLOAT8 = {"F8_E4M3": "FP8", "F8_E4M3FNUZ": "FP8", "F8_E5M2": "FP8-E5M2", "F8_E5M2FNUZ": "FP8-E5M2"}
EXPONENTS = ("U8", "F8_E8M0")
"""Types of scales that are powers of two (MX formats)."""


def used_roles(layer: Layer, *weights: str) -> frozenset[str]:
    return frozenset(weights) | {role for role in BESIDE if role in layer.tensors}


def scale_of(layer: Layer) -> Tensor | None:
    return next((layer.tensors[role] for role in SCALES if role in layer.tensors), None)


def read_bytes(layer: Layer, role: str = "weight", *, asked: Scheme | None = None) -> Reading:
    """FP8, MXFP8 or INT8, one byte per weight. The group of a scale is derived from the scales, to check the config.

    Raises:
        UnknownLayout: The type of the weights is another one, or the scales match no rows, columns or blocks.
        Contradiction: Type or scales contradict the scheme in config.json.
    """
    weight, scale = layer.tensors[role], scale_of(layer)
    shape = matrix(layer, weight)
    number = FLOAT8.get(weight.dtype, "INT8" if weight.dtype == "I8" else None)
    if number is None:
        raise UnknownLayout(f"{layer.name}: weights of type {weight.dtype}")
    if scale is not None and scale.dtype not in (*FLOATS, *FLOAT8, *EXPONENTS):
        raise UnknownLayout(f"{layer.name}: scales of type {scale.dtype}")
    if asked and asked.number.startswith("INT") is not (number == "INT8"):
        kind = "int" if asked.number.startswith("INT") else "float"
        raise Contradiction(
            f"{layer.name}.{role} is {weight.dtype}, but config.json states {asked.bits}-bit {kind}; {ANOTHER}"
        )
    if asked and asked.bits < 8 and number != "INT8":
        raise Contradiction(f"{layer.name}: stored as {number}, but config.json states {asked.label}; {ANOTHER}")
    group, block = _reach(layer, shape, scale, asked) if scale is not None else (None, None)
    if number == "FP8" and scale is not None and scale.dtype in EXPONENTS and group == 32:
        number = "MXFP8"
    bits = 8
    if asked and number == "INT8":  # fewer bits can be stored in a byte each
        number, bits = asked.number, asked.bits
    scheme = Scheme(number, bits, group, block, asked.activations if asked else None)
    return Reading(scheme, shape, used_roles(layer, role), unscaled=scale is None)


def _reach(
    layer: Layer, shape: tuple[int, ...], scale: Tensor, asked: Scheme | None
) -> tuple[int | None, tuple[int, int] | None]:
    """The group or block of a scale; neither if it is for a row, an expert or all weights."""
    *lead, rows, columns = shape
    across = scale.shape[-2:] if len(scale.shape) >= 2 else (1, *scale.shape, 1)[:2]
    if len(scale.shape) == 4 and scale.shape[1] == scale.shape[3] == 1:
        across = (scale.shape[0], scale.shape[2])
    if asked and (asked.block or asked.group):
        high, wide = asked.block or (1, asked.group or columns)
        if across != (math.ceil(rows / high), math.ceil(columns / wide)):
            raise Contradiction(
                f"{layer.name}: {list(scale.shape)} scales for {list(shape)} weights aren't the {high} x {wide} "
                f"weights a scale that config.json states; {ANOTHER}"
            )
        return asked.group, asked.block
    scaled = tuple(length for length in scale.shape if length != 1)
    whole = tuple(length for length in lead if length != 1)
    if scale.elements == 1 or scaled in {whole, (*whole, rows), (*whole, columns)} or rows == scale.elements:
        return None, None
    if len(scale.shape) < 2 or 0 in across or across[0] > rows or across[1] > columns:
        raise UnknownLayout(f"{layer.name}: scales {list(scale.shape)} for weights {list(shape)}")
    height, width = _length(rows, across[0]), _length(columns, across[1])
    if height is None or width is None:
        raise UnknownLayout(f"{layer.name}: scales {list(scale.shape)} for weights {list(shape)}")
    return (width, None) if across[0] == rows else (None, (height, width))


def _length(total: int, pieces: int) -> int | None:
    """The power of two that divides a length into this number of pieces, or the whole length; None if there is none."""
    if pieces == 1:
        return total
    powers = (1 << n for n in range(16))
    return next((length for length in powers if math.ceil(total / length) == pieces), None)


def read_float4(layer: Layer, role: str = "weight", *, asked: Scheme | None = None) -> Reading:
    """Two 4-bit floats per byte: NVFP4 has FP8 scales for 16 weights, MXFP4 powers of two for 32.

    Raises:
        UnknownLayout: The scales have another type.
        Contradiction: They are for another number of weights.
    """
    weight, scale = layer.tensors[role], scale_of(layer)
    shape = matrix(layer, weight)
    shape = (*shape[:-1], 2 * shape[-1])
    if scale is None or len(scale.shape) < 2:
        raise UnknownLayout(f"{layer.name}: packed bytes without scales for groups")
    number = "MXFP4" if scale.dtype in EXPONENTS else "NVFP4" if scale.dtype in FLOAT8 else None
    if number is None:
        raise UnknownLayout(f"{layer.name}: packed bytes with scales of type {scale.dtype}")
    group = 32 if number == "MXFP4" else 16
    if scale.shape[-1] != math.ceil(shape[-1] / group) or scale.shape[:-1] != shape[:-1]:
        raise Contradiction(
            f"{layer.name}: {number} has one scale per {group} weights, but its {list(scale.shape)} scales don't match "
            f"{list(shape)} weights"
        )
    if asked and asked.number not in (number, "FP4"):
        raise Contradiction(f"{layer.name}: stored as {number}, but config.json states {asked.label}; {ANOTHER}")
    scheme = Scheme(number, 4, group, None, asked.activations if asked else None)
    return Reading(scheme, shape, used_roles(layer, role))
