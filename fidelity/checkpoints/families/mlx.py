"""MLX: rows packed into 32-bit integers without padding, with scales and (for integers) biases per group."""

import math
from collections.abc import Mapping
from typing import Literal

from fidelity.checkpoints.config import ModelJson
from fidelity.checkpoints.families.base import ANOTHER, Contradiction, Reading, UnknownLayout, Written, settings
from fidelity.checkpoints.families.shapes import check_groups, dense_row, matrix
from fidelity.checkpoints.layers import Layer
from fidelity.checkpoints.schemes import Scheme

FLOAT_MODES = {"mxfp4": ("MXFP4", 4, 32), "nvfp4": ("NVFP4", 4, 16), "mxfp8": ("MXFP8", 8, 32)}


class MlxScheme(Written):
    """For a layer, or for all; None where it is left to that."""

    bits: Literal[2, 3, 4, 5, 6, 8] | None = None
    group_size: int | None = None
    mode: str | None = None


class Mlx:
    """One checkpoint's config: entries that are a record or false are those of single layers."""

    name = "mlx"
    on_load = False

    def __init__(self, written: ModelJson) -> None:
        self.general = settings(MlxScheme, written)
        self.layers = {
            name: settings(MlxScheme, stated) if isinstance(stated, Mapping) else None
            for name, stated in written.items()
            if isinstance(stated, Mapping) or stated is False
        }

    def asked(self, layer: Layer) -> Scheme | None:
        stated = self.layers.get(layer.name, self.general)
        return None if stated is None or layer.kind == "norm" else self._scheme(stated)

    def _scheme(self, stated: MlxScheme) -> Scheme:
        mode = stated.mode or self.general.mode or "affine"
        if mode in FLOAT_MODES:
            return Scheme(*FLOAT_MODES[mode])
        if mode != "affine":
            raise UnknownLayout(f"MLX's mode {mode!r}")
        bits = stated.bits or self.general.bits or 4
        return Scheme(f"INT{bits}", bits, stated.group_size or self.general.group_size or 64)

    def read(self, layer: Layer) -> Reading | None:
        weight, scales = layer.tensors.get("weight"), layer.tensors.get("scales")
        if weight is None or weight.dtype not in ("U32", "I32", "U8"):
            return None
        asked = self.asked(layer)
        if asked is None:
            raise Contradiction(f"{layer.name} is quantized, and config.json says false for it")
        if scales is None or len(scales.shape) < 2 or weight.dtype == "U8":
            raise UnknownLayout(f"{layer.name}: {weight.dtype} weights without scales for groups")
        shape = (*matrix(layer, weight)[:-1], dense_row(layer, weight, asked.bits))
        check_groups(layer, shape[-1], scales.shape[-1], asked.group, asked.bits)
        if math.prod(scales.shape[:-1]) != math.prod(shape[:-1]):
            raise Contradiction(f"{layer.name}: {list(scales.shape)} scales for {list(shape)} weights; {ANOTHER}")
        return Reading(asked, shape, frozenset({"weight", "scales", "biases"} & set(layer.tensors)))
