"""Every layer's scheme and logical size, from config and tensors, and contradictions between the two."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from fidelity.checkpoints.config import ModelJson, quantization_of, text_of, widths_of
from fidelity.checkpoints.families import Contradiction, Gguf, Resolver, UnknownLayout, family_of
from fidelity.checkpoints.layers import KV_SCALES, Layer, layers_of
from fidelity.checkpoints.schemes import FLOATS, Scheme
from fidelity.checkpoints.tensors import Tensor, Weights

BUFFERS = ("inv_freq", "position_ids", "num_batches_tracked", "masked_bias")
"""Last words in the names of buffers, which are not weights."""
BESIDE_WEIGHTS = ("bias",)
"""Unquantized tensors that a quantized layer can have in addition to its weights."""
OF_QUANTIZED_WEIGHTS = re.compile(
    r"weight_(packed|scale|scale_inv|scale_2|global_scale|zero_point|g_idx|shape|bitmask|compressed)|_weight_\w+"
    r"|qweight|qzeros|scale_packed|scales|scale_inv|SCB|blocks|bitmask|compressed|qscale_weight"
    r"|(weight\.)?(absmax|quant_map|nested_absmax|nested_quant_map|quant_state\.\w+)"
)
"""Roles of tensors that only a layer with quantized weights has."""
INTEGERS = ("I64", "I32", "I16", "I8", "U8", "U16", "U32", "U64", "BOOL")


@dataclass(frozen=True, slots=True)
class Resolved:
    """A layer that was read."""

    layer: Layer
    scheme: Scheme | None
    """None if the layout is unknown."""
    weights: int | None
    """Parameters of the matrix, or of all tensors if none is packed; None if the layout is unknown."""
    others: int = 0
    """The bias of a quantized layer."""
    shape: tuple[int, ...] | None = None
    """(experts,) outputs, inputs; None for vectors."""

    @property
    def parameters(self) -> int | None:
        return None if self.weights is None else self.weights + self.others


@dataclass(frozen=True, slots=True)
class Resolution:
    """A checkpoint, layer by layer."""

    layers: tuple[Resolved, ...]
    family: Resolver | None
    """None if the method is unknown."""
    faults: tuple[str, ...] = ()
    """Contradictions, one per name of layers."""
    unknown: tuple[str, ...] = ()
    """What is unknown about the layout."""
    kv_scales: Mapping[str, Tensor] | None = None
    """Scales of the KV cache, by the name of their tensors."""
    notes: tuple[str, ...] = ()

    @property
    def parameters(self) -> int | None:
        """Parameters of the model before packing; None if a layer's layout is unknown or contradictory."""
        quantized = any(one.scheme and not one.scheme.is_float for one in self.layers)
        counts = [one.parameters for one in self.layers]
        known = [count for count in counts if count is not None]
        if not known or len(known) < len(counts) or self.unknown or (self.faults and quantized):
            return None
        return sum(known)


def resolve(config: ModelJson, weights: Weights, *, gguf: bool = False) -> Resolution:
    """Read all layers. Errors in layers aren't raised but returned in the result."""
    layers = layers_of(weights.tensors)
    scales = {
        f"{layer.name}.{role}": tensor
        for layer in layers
        for role, tensor in layer.tensors.items()
        if role in KV_SCALES
    }
    layers = [layer for layer in layers if not set(layer.tensors) <= KV_SCALES]
    quantization = quantization_of(config)
    try:
        family = Gguf() if gguf else family_of(quantization, widths=widths_of(config), metadata=weights.metadata)
    except UnknownLayout as error:
        return Resolution(tuple(Resolved(one, None, None) for one in layers), None, (), (str(error),), scales)
    except Contradiction as error:
        return Resolution(tuple(Resolved(one, None, None) for one in layers), None, (str(error),), (), scales)
    faults, unknown, resolved = Counter[str](), Counter[str](), []
    wrong: dict[str, str] = {}
    for layer in layers:
        try:
            resolved.append(_resolved(layer, family))
        except (Contradiction, UnknownLayout) as error:
            resolved.append(Resolved(layer, None, None))
            into = faults if isinstance(error, Contradiction) else unknown
            if layer.pattern not in wrong:
                into[str(error)] += 1
            wrong[layer.pattern] = str(error)
    faults.update(_left_plain(resolved, family, config))
    unknown.update(_unexplained(resolved))
    resolved, notes = _without_a_tied_copy(resolved, config)
    if layers and quantization is not None and not any(one.scheme and not one.scheme.is_float for one in resolved):
        notes = (*notes, *_not_quantized(resolved, family, quantization, faults))
    return Resolution(tuple(resolved), family, tuple(faults), tuple(unknown), scales, notes)


def _resolved(layer: Layer, family: Resolver) -> Resolved:
    reading = family.read(layer)
    if reading is None:
        return _plain(layer)
    others = 0
    for role, tensor in layer.tensors.items():
        if role in reading.used or role in KV_SCALES:
            continue
        if role not in BESIDE_WEIGHTS or tensor.dtype not in FLOATS:
            raise UnknownLayout(f"{layer.name}: unexpected {role} ({tensor.dtype}) for {reading.scheme.label} weights")
        others += tensor.elements
    return Resolved(layer, reading.scheme, reading.weights, others, _matrix(reading.shape))


def _plain(layer: Layer) -> Resolved:
    """Read an unquantized layer: all floating-point tensors are parameters, except buffers."""
    counted: Counter[str] = Counter()
    if foreign := [role for role in layer.tensors if OF_QUANTIZED_WEIGHTS.fullmatch(role)]:
        weight = layer.tensors.get("weight")
        raise UnknownLayout(f"{layer.name}: {', '.join(foreign)} with {weight.dtype if weight else 'no'} weights")
    for role, tensor in layer.tensors.items():
        buffer = layer.name.endswith(BUFFERS) or (tensor.dtype in INTEGERS and len(tensor.shape) < 2)
        if role in KV_SCALES or buffer or role in ("input_scale", "output_scale"):
            continue
        if tensor.dtype in INTEGERS and role != "weight":
            continue
        if tensor.dtype not in FLOATS:
            raise UnknownLayout(f"{layer.name}.{role}: {tensor.dtype} {list(tensor.shape)}")
        counted[tensor.dtype] += tensor.elements
    largest = max(counted, key=lambda dtype: counted[dtype]) if counted else "BF16"
    weight = layer.tensors.get("weight")
    shape = _matrix(weight.shape) if weight is not None else None
    return Resolved(layer, Scheme(FLOATS[largest]), counted.total(), 0, shape)


def _matrix(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    return shape if len(shape) > 1 else None


def _without_a_tied_copy(resolved: list[Resolved], config: ModelJson) -> tuple[list[Resolved], tuple[str, ...]]:
    """Don't count an lm_head that is stored although the config ties it to the embedding."""
    if not any(place.get("tie_word_embeddings") is True for place in (config, text_of(config))):
        return resolved, ()
    embeddings = {one.shape for one in resolved if one.layer.kind == "embedding"}
    copies = [one for one in resolved if one.layer.kind == "lm_head" and one.weights and one.shape in embeddings]
    without = [replace(one, weights=0) if one in copies else one for one in resolved]
    return without, tuple(f"{one.layer.name} is stored, although it is tied to the embedding" for one in copies)


def _left_plain(resolved: list[Resolved], family: Resolver, config: ModelJson) -> list[str]:
    """Unquantized layers for which config.json states the same scheme as for other layers that are quantized."""
    if family.on_load:
        return []
    quantized = {one.layer.pattern for one in resolved if one.scheme and not one.scheme.is_float}
    faults = dict[str, str]()
    for one in resolved:
        if one.scheme is None or not one.scheme.is_float or one.layer.pattern not in quantized:
            continue
        try:
            asked = family.asked(one.layer)
        except (Contradiction, UnknownLayout):
            continue
        if asked is not None and _in_the_model(one.layer.name, config):
            faults.setdefault(
                one.layer.pattern,
                f"{one.layer.name} is {one.scheme.label}, but config.json states {asked.label} for it, as for the "
                f"others of its name, which are quantized",
            )
    return list(faults.values())


def _unexplained(resolved: list[Resolved]) -> list[str]:
    """Tensors under the names of quantized layers (`up_proj.codebook`), which aren't parameters of the model."""
    quantized = {one.layer.name for one in resolved if one.scheme and not one.scheme.is_float}
    inner = [one.layer for one in resolved if one.layer.name.rpartition(".")[0] in quantized]
    words = {layer.pattern: layer.name for layer in reversed(inner)}
    return [f"{name.rpartition('.')[0]}: unexpected {name.rpartition('.')[2]}" for name in words.values()]


def _in_the_model(layer: str, config: ModelJson) -> bool:
    """Whether config.json counts its block. Further blocks are drafts (MTP), which engines can ignore."""
    count = text_of(config).get("num_hidden_layers")
    number = next((int(word) for word in layer.split(".") if word.isdigit()), 0)
    return not isinstance(count, int) or number < count


def _not_quantized(
    resolved: list[Resolved], family: Resolver, quantization: ModelJson, faults: Counter[str]
) -> tuple[str, ...]:
    """The fault that no tensor is quantized although there is a quantization_config, unless loading quantizes them."""
    if faults or any(one.scheme is None for one in resolved):
        return ()
    asked = _first_asked(resolved, family)
    method = quantization.get("quant_method") or family.name or "its quantization_config"
    if asked is None:
        return ()
    if family.on_load:
        return (f"its weights aren't quantized; {method} quantizes them to {asked.label} while loading",)
    faults[
        f"its config.json states a quantization ({method}), but none of its tensors is quantized: it is the "
        f"unquantized model with another config"
    ] += 1
    return ()


def _first_asked(resolved: list[Resolved], family: Resolver) -> Scheme | None:
    for one in resolved:
        try:
            if (asked := family.asked(one.layer)) is not None and not asked.is_float:
                return asked
        except (Contradiction, UnknownLayout):
            continue
    return None
