"""gpt-oss: experts in MXFP4, as blocks of 32 weights in 16 bytes with a power of two each; all else as it was."""

from fnmatch import fnmatchcase

from fidelity.checkpoints.config import ModelJson
from fidelity.checkpoints.families.base import Contradiction, Reading, UnknownLayout, Written, settings
from fidelity.checkpoints.families.bytewise import read_float4
from fidelity.checkpoints.layers import Layer
from fidelity.checkpoints.schemes import Scheme

SCHEME = Scheme("MXFP4", 4, 32)


class Mxfp4Config(Written):
    """The quantization_config."""

    modules_to_not_convert: tuple[str, ...] | None = None


class Mxfp4:
    """One checkpoint's config."""

    name = ""
    on_load = True

    def __init__(self, written: ModelJson) -> None:
        self.left_out = settings(Mxfp4Config, written).modules_to_not_convert or ()

    def asked(self, layer: Layer) -> Scheme | None:
        left_out = any(fnmatchcase(layer.name, f"{name}*") or name in layer.name for name in self.left_out)
        return None if left_out or layer.kind != "experts" else SCHEME

    def read(self, layer: Layer) -> Reading | None:
        blocks, scales = layer.tensors.get("blocks"), layer.tensors.get("scales")
        if blocks is None:
            packed = next((role for role in ("weight_packed", "weight") if role in layer.tensors), None)
            if packed and layer.tensors[packed].dtype == "U8":
                return read_float4(layer, packed, asked=SCHEME)
            return None
        if scales is None or len(blocks.shape) < 3 or blocks.dtype != "U8":
            raise UnknownLayout(f"{layer.name}: blocks {blocks.dtype} {list(blocks.shape)} without scales")
        if blocks.shape[:-1] != scales.shape or blocks.shape[-1] != 16:
            raise Contradiction(
                f"{layer.name}: blocks {list(blocks.shape)} and scales {list(scales.shape)} aren't MXFP4's 16 bytes a "
                f"scale"
            )
        shape = (*blocks.shape[:-2], blocks.shape[-2] * 32)
        return Reading(SCHEME, shape, frozenset({"blocks", "scales"}))
