"""AutoRound (Intel): one scheme, with others for the layers in `extra_config`, in the layout of another family."""

import re
from dataclasses import replace

from pydantic import Field

from fidelity.checkpoints.config import ModelJson, Widths
from fidelity.checkpoints.families.base import Contradiction, Reading, UnknownLayout, Written, settings
from fidelity.checkpoints.families.bytewise import FLOAT8, read_bytes, read_float4
from fidelity.checkpoints.families.gptq import read_packed
from fidelity.checkpoints.layers import Layer
from fidelity.checkpoints.schemes import Activations, Scheme


class LayerOverride(Written):
    """What is stated for a layer, or for all where it is the config itself; None where it is left to that."""

    bits: int | None = None
    group_size: int | tuple[int, int] | None = None
    data_type: str | None = None
    act_bits: int | None = None
    act_group_size: int | None = None
    act_dynamic: bool | None = None


class AutoRoundConfig(LayerOverride):
    """The quantization_config."""

    packing_format: str = "auto_round:auto_gptq"
    extra_config: dict[str, LayerOverride] = Field(default_factory=dict)
    block_name_to_quantize: str | tuple[str, ...] | None = None


class AutoRound:
    """One checkpoint's config."""

    name = "auto-round"
    on_load = False

    def __init__(self, written: ModelJson, widths: Widths) -> None:
        self.widths = widths
        packing = written.get("packing_format") or written.get("backend") or "auto_round:auto_gptq"
        given = {key: value for key, value in written.items() if value is not None}
        self.config = settings(AutoRoundConfig, {"bits": 4, "group_size": 128, **given, "packing_format": packing})

    def asked(self, layer: Layer) -> Scheme | None:
        config = self.config
        overridden = self._override(layer.name)
        if overridden is None and not self._in_a_block(layer):
            return None
        own = {key: value for key, value in (overridden or LayerOverride()) if value is not None}
        merged = config.model_copy(update=own)
        return None if (merged.bits or 16) >= 16 else _scheme(merged)

    def _in_a_block(self, layer: Layer) -> bool:
        blocks = self.config.block_name_to_quantize
        names = blocks.split(",") if isinstance(blocks, str) else blocks
        if names:
            return any(layer.name.startswith(name.strip()) for name in names)
        return layer.kind not in ("embedding", "lm_head", "norm", "router")

    def _override(self, name: str) -> LayerOverride | None:
        """By the layer's whole name, its end, or an expression, as vLLM reads them."""
        extra = self.config.extra_config
        if name in extra:
            return extra[name]
        for key, override in extra.items():
            if name.endswith(f".{key}"):
                return override
        for key, override in extra.items():
            try:
                if re.escape(key) != key.replace(".", r"\.") and re.search(key, name):
                    return override
            except re.error:
                continue
        return None

    def read(self, layer: Layer) -> Reading | None:
        own = layer.tensors
        weight = own.get("weight")
        packed = own.get("weight_packed")
        quantized = weight is not None and (weight.dtype in FLOAT8 or weight.dtype in ("U8", "I8"))
        if "qweight" not in own and packed is None and not quantized:
            return None
        asked = self.asked(layer)
        if asked is None:
            raise Contradiction(f"{layer.name} is quantized, and config.json states 16 bits for it or leaves it out")
        if "qweight" in own:
            return read_packed(layer, asked, self.widths)
        if packed is not None or (weight is not None and weight.dtype == "U8"):
            return read_float4(layer, "weight_packed" if packed is not None else "weight", asked=asked)
        if weight is not None and asked.bits == 8:
            return read_bytes(layer, asked=replace(asked, group=None) if asked.number == "MXFP8" else asked)
        raise UnknownLayout(f"{layer.name}: {asked.label} in {', '.join(own)}")


def _scheme(stated: LayerOverride) -> Scheme:
    bits, size, kind = stated.bits or 4, stated.group_size, stated.data_type or "int"
    block = size if isinstance(size, tuple) else None
    group = size if isinstance(size, int) and size > 0 else None
    number = f"INT{bits}"
    if "mx_fp" in kind:
        number = f"MXFP{bits}"
    elif "nv_fp" in kind:
        number = "NVFP4"
    elif kind.startswith("fp"):
        number = f"FP{bits}"
    inputs = stated.act_bits if stated.act_bits and stated.act_bits < 16 else None
    if inputs is None:
        return Scheme(number, bits, group, block)
    size = stated.act_group_size
    shared = size if size and size > 0 else None
    return Scheme(number, bits, group, block, Activations(inputs, stated.act_dynamic is not False, None, shared))
