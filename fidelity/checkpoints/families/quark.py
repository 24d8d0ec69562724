"""AMD's Quark: one scheme for all layers, others by name, and modules to leave out."""

from fnmatch import fnmatchcase

from pydantic import Field

from fidelity.checkpoints.config import ModelJson
from fidelity.checkpoints.families.base import Contradiction, Reading, UnknownLayout, Written, settings
from fidelity.checkpoints.families.bytewise import FLOAT8, read_bytes, read_float4
from fidelity.checkpoints.families.compressed_tensors import matches
from fidelity.checkpoints.layers import Layer
from fidelity.checkpoints.schemes import Activations, Scheme

NUMBERS = {"fp8_e4m3": ("FP8", 8), "fp8_e5m2": ("FP8-E5M2", 8), "int8": ("INT8", 8), "fp4": ("MXFP4", 4)}
"""Its types of weights whose layout is known."""


class Tensors(Written):
    """How one kind of tensor is quantized."""

    dtype: str | None = None
    qscheme: str | None = None
    is_dynamic: bool | None = None
    group_size: int | None = None


class QuarkScheme(Written):
    """A layer's weights and inputs; a list where they are quantized twice."""

    weight: Tensors | list[Tensors] | None = None
    input_tensors: Tensors | list[Tensors] | None = None


class QuarkConfig(Written):
    """The quantization_config."""

    global_quant_config: QuarkScheme | None = None
    layer_quant_config: dict[str, QuarkScheme] = Field(default_factory=dict)
    exclude: tuple[str, ...] | None = None


class Quark:
    """One checkpoint's config."""

    name = "quark"
    on_load = False

    def __init__(self, written: ModelJson) -> None:
        self.config = settings(QuarkConfig, {key: value for key, value in written.items() if value is not None})

    def asked(self, layer: Layer) -> Scheme | None:
        left_out = self.config.exclude or ()
        if matches(layer, left_out) or any(fnmatchcase(layer.name, name) for name in left_out):
            return None
        if layer.kind in ("embedding", "norm", "router"):
            return None
        named = self.config.layer_quant_config
        stated = next((named[name] for name in named if fnmatchcase(layer.name, name)), self.config.global_quant_config)
        return _scheme(stated) if stated and stated.weight else None

    def read(self, layer: Layer) -> Reading | None:
        weight = layer.tensors.get("weight")
        if weight is None or weight.dtype not in (*FLOAT8, "I8", "U8"):
            if {"qweight", "weight_packed"} & set(layer.tensors):
                raise UnknownLayout(f"{layer.name}: Quark's packed integers")
            return None
        asked = self.asked(layer)
        if asked is None:
            raise Contradiction(f"{layer.name} is quantized ({weight.dtype}), and config.json leaves it out")
        if weight.dtype == "U8":
            return read_float4(layer, asked=asked)
        if asked.bits != 8:
            raise Contradiction(f"{layer.name}.weight is {weight.dtype}, and config.json says {asked.label}")
        return read_bytes(layer, asked=asked)


def _scheme(stated: QuarkScheme) -> Scheme:
    weight, inputs = stated.weight, stated.input_tensors
    if not isinstance(weight, Tensors) or weight.dtype not in NUMBERS or isinstance(inputs, list):
        raise UnknownLayout(f"Quark's {weight.dtype if isinstance(weight, Tensors) else 'several steps'}")
    number, bits = NUMBERS[weight.dtype]
    activations = None
    if inputs and inputs.dtype:
        width = next((int(figure) for figure in inputs.dtype if figure.isdigit()), 16)
        strategy = (inputs.qscheme or "").removeprefix("per_") or None
        group = inputs.group_size if strategy == "group" else None
        activations = Activations(width, inputs.is_dynamic is not False, strategy, group)
    return Scheme(number, bits, weight.group_size if weight.qscheme == "per_group" else None, None, activations)
