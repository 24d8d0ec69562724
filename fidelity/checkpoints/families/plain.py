"""Checkpoints without a quantization_config: plain floating point, or a contradiction."""

from fidelity.checkpoints.families.base import Contradiction, Reading
from fidelity.checkpoints.layers import Layer
from fidelity.checkpoints.schemes import Scheme

PACKED = ("weight_packed", "qweight", "blocks")
QUANTIZED_TYPES = ("I8", "U8", "I32", "U32", "F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ")


class Plain:
    """Nothing is quantized."""

    name = ""
    on_load = False

    def asked(self, layer: Layer) -> Scheme | None:
        return None

    def read(self, layer: Layer) -> Reading | None:
        for role, tensor in layer.tensors.items():
            matrix = len(tensor.shape) >= 2 and tensor.dtype in QUANTIZED_TYPES
            if role in PACKED or (role == "weight" and matrix):
                raise Contradiction(
                    f"its weights are quantized ({layer.name}.{role}), but its config.json has no "
                    f"quantization_config; an engine would read them as unquantized numbers"
                )
        return None
