"""NVIDIA's Model Optimizer: an algorithm for all layers or one for each, in config.json or hf_quant_config.json."""

from collections.abc import Mapping
from fnmatch import fnmatchcase

from pydantic import Field

from fidelity.checkpoints.config import ModelJson
from fidelity.checkpoints.families.base import Contradiction, Reading, UnknownLayout, Written, settings
from fidelity.checkpoints.families.bytewise import FLOAT8, read_bytes, read_float4, scale_of, used_roles
from fidelity.checkpoints.families.shapes import check_groups, matrix
from fidelity.checkpoints.layers import Layer
from fidelity.checkpoints.schemes import Activations, Scheme

FP4_INPUTS = Activations(4, True, None, 16)
PER_TENSOR = Activations(8, False, "tensor")
ALGORITHMS = {
    "FP8": Scheme("FP8", 8, activations=PER_TENSOR),
    "FP8_PER_CHANNEL_PER_TOKEN": Scheme("FP8", 8, activations=Activations(8, True, "token")),
    "FP8_PC_PT": Scheme("FP8", 8, activations=Activations(8, True, "token")),
    "FP8_PB_WO": Scheme("FP8", 8, block=(128, 128)),
    "FP8_PB_REAL": Scheme("FP8", 8, block=(128, 128), activations=Activations(8, True, None, 128)),
    "NVFP4": Scheme("NVFP4", 4, 16, activations=FP4_INPUTS),
    "NVFP4_AWQ": Scheme("NVFP4", 4, 16, activations=FP4_INPUTS),
    "W4A16_NVFP4": Scheme("NVFP4", 4, 16),
    "W4A8_NVFP4_FP8": Scheme("NVFP4", 4, 16, activations=PER_TENSOR),
    "MXFP4": Scheme("MXFP4", 4, 32, activations=Activations(4, True, None, 32)),
    "W4A8_MXFP4_FP8": Scheme("MXFP4", 4, 32, activations=PER_TENSOR),
    "MXFP8": Scheme("MXFP8", 8, 32, activations=Activations(8, True, None, 32)),
    "INT4_AWQ": Scheme("INT4", 4, 128),
    "W4A16_AWQ": Scheme("INT4", 4, 128),
    "W4A8_AWQ": Scheme("INT4", 4, 128, activations=PER_TENSOR),
    "W8A16": Scheme("INT8", 8),
    "INT8_WO": Scheme("INT8", 8),
    "INT8_SQ": Scheme("INT8", 8, activations=PER_TENSOR),
    "W8A8_SQ_PER_CHANNEL": Scheme("INT8", 8, activations=PER_TENSOR),
}
"""Model Optimizer's names of what it does to a layer."""


class OfALayer(Written):
    """An entry of `quantized_layers`."""

    quant_algo: str | None = None
    group_size: int | None = None


class ModelOptConfig(OfALayer):
    """The quantization_config, or `quantization` of hf_quant_config.json."""

    quantized_layers: dict[str, OfALayer] = Field(default_factory=dict)
    exclude_modules: tuple[str, ...] | None = None
    ignore: tuple[str, ...] | None = None


class ModelOpt:
    """One checkpoint's config."""

    name = ""
    on_load = False

    def __init__(self, written: ModelJson) -> None:
        inner = written.get("quantization")
        given = inner if isinstance(inner, Mapping) else written
        self.config = settings(ModelOptConfig, {key: value for key, value in given.items() if value is not None})
        self.left_out = (*(self.config.exclude_modules or ()), *(self.config.ignore or ()))

    @property
    def algorithm(self) -> str:
        return (self.config.quant_algo or "").upper()

    def asked(self, layer: Layer) -> Scheme | None:
        if self.algorithm == "MIXED_PRECISION":
            stated = self._of_a_layer(layer.name)
            return _scheme(stated) if stated else None
        if any(name == layer.name or name in layer.name or fnmatchcase(layer.name, name) for name in self.left_out):
            return None
        if layer.kind in ("embedding", "norm", "router"):
            return None
        return _scheme(self.config)

    def _of_a_layer(self, name: str) -> OfALayer | None:
        """By its name or the module that it is in: fused experts are listed by theirs."""
        names = [name]
        while "." in names[-1]:
            names.append(names[-1].rpartition(".")[0])
        listed = self.config.quantized_layers
        return next((listed[one] for one in names if one in listed), None)

    def read(self, layer: Layer) -> Reading | None:
        weight, scale = layer.tensors.get("weight"), scale_of(layer)
        if weight is None or weight.dtype not in (*FLOAT8, "U8", "I8"):
            return None
        if layer.name in self.left_out:
            raise Contradiction(f"{layer.name} is quantized ({weight.dtype}), and the config leaves it out")
        asked = self.asked(layer)
        if weight.dtype != "U8":
            stored = read_bytes(layer, asked=asked)
        elif scale is not None and scale.dtype in ("F32", "BF16", "F16"):
            stored = _packed_integers(layer, asked)
        else:
            stored = read_float4(layer, asked=asked)
        if asked and stored.scheme.number != asked.number:
            raise Contradiction(f"{layer.name}: stored as {stored.scheme.label}, and the config states {asked.label}")
        return stored


def _scheme(stated: OfALayer) -> Scheme | None:
    algorithm = (stated.quant_algo or "").upper()
    if not algorithm:
        return None
    scheme = ALGORITHMS.get(algorithm)
    if scheme is None:
        raise UnknownLayout(f"Model Optimizer's {algorithm}")
    if stated.group_size and scheme.number == "INT4":
        return Scheme(scheme.number, scheme.bits, stated.group_size, None, scheme.activations)
    return scheme


def _packed_integers(layer: Layer, asked: Scheme | None) -> Reading:
    """Two 4-bit integers a byte, packed along the outputs, as its AWQ writes them."""
    weight, scale = layer.tensors["weight"], scale_of(layer)
    *experts, half, inputs = matrix(layer, weight)
    if asked is None or asked.number != "INT4" or scale is None or len(scale.shape) < 2:
        raise UnknownLayout(f"{layer.name}: packed bytes with scales {scale and list(scale.shape)}")
    check_groups(layer, inputs, scale.shape[-1], asked.group, 4)
    return Reading(asked, (*experts, 2 * half, inputs), used_roles(layer, "weight"))
