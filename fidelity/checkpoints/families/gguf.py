"""GGUF: every tensor has its own type and its original shape."""

from fidelity.checkpoints.families.base import Reading
from fidelity.checkpoints.layers import Layer
from fidelity.checkpoints.schemes import FLOATS, Scheme


class Gguf:
    """A GGUF file of llama.cpp."""

    name = "gguf"
    on_load = False

    def asked(self, layer: Layer) -> Scheme | None:
        return None

    def read(self, layer: Layer) -> Reading | None:
        weight = layer.tensors.get("weight")
        if weight is None or weight.dtype in FLOATS:
            return None
        used = {"weight", "scale", "input_scale"} & set(layer.tensors)  # NVFP4 and BitNet have scales for a tensor
        return Reading(Scheme(weight.dtype, 0), tuple(reversed(weight.shape)), frozenset(used))
