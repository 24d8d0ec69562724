"""FP8 as transformers, vLLM and DeepSeek's models have it: per tensor, per row (fbgemm), or in blocks."""

from fidelity.checkpoints.config import ModelJson
from fidelity.checkpoints.families.base import Contradiction, Reading, Written, settings
from fidelity.checkpoints.families.bytewise import FLOAT8, read_bytes, read_float4, scale_of
from fidelity.checkpoints.layers import Layer
from fidelity.checkpoints.schemes import Activations, Scheme


class Fp8Config(Written):
    """The quantization_config."""

    activation_scheme: str = "dynamic"
    weight_block_size: tuple[int, int] | None = None
    modules_to_not_convert: tuple[str, ...] | None = None
    ignored_layers: tuple[str, ...] | None = None


class Fp8:
    """One checkpoint's config; `per_row` where a row shares a scale (fbgemm_fp8)."""

    name = ""
    on_load = False

    def __init__(self, written: ModelJson, *, per_row: bool) -> None:
        self.config = settings(Fp8Config, {key: value for key, value in written.items() if value is not None})
        self.per_row = per_row

    def asked(self, layer: Layer) -> Scheme | None:
        left_out = (*(self.config.modules_to_not_convert or ()), *(self.config.ignored_layers or ()))
        if layer.kind in ("embedding", "lm_head", "norm", "router") or any(name in layer.name for name in left_out):
            return None
        return self._scheme()

    def _scheme(self) -> Scheme:
        block = self.config.weight_block_size
        if self.per_row:
            return Scheme("FP8", 8, activations=Activations(8, True, "token"))
        if block:
            return Scheme("FP8", 8, block=block, activations=Activations(8, True, None, block[1]))
        dynamic = self.config.activation_scheme != "static"
        return Scheme("FP8", 8, activations=Activations(8, dynamic, "tensor"))

    def read(self, layer: Layer) -> Reading | None:
        role = "weight_packed" if "weight_packed" in layer.tensors else "weight"
        weight, scale = layer.tensors.get(role), scale_of(layer)
        if weight is None:
            return None
        if weight.dtype in FLOAT8:
            stored = read_bytes(layer, role, asked=self._scheme())
            if stored.unscaled and self.config.weight_block_size:
                raise Contradiction(f"{layer.name} has no scales, and config.json says weight_block_size")
            return stored
        if weight.dtype in ("U8", "I8") and scale is not None and scale.dtype in ("F8_E8M0", "U8"):
            return read_float4(layer, role)  # DeepSeek-V4's experts
        return read_bytes(layer, role, asked=self._scheme()) if weight.dtype == "I8" else None
