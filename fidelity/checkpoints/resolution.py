"""Every layer's scheme and logical size, by config and tensors together, and where the two contradict each other."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from fidelity.checkpoints.config import ModelJson, quantization_of, text_of, widths_of
from fidelity.checkpoints.families import Contradiction, Gguf, Resolver, UnknownLayout, family_of
from fidelity.checkpoints.layers import KV_SCALES, Layer, layers_of
from fidelity.checkpoints.schemes import FLOATS, Scheme
from fidelity.checkpoints.tensors import Tensor, Weights

BUFFERS = ("inv_freq", "position_ids", "num_batches_tracked", "masked_bias")
"""Last words of tensors that are computed, and no weights."""
BESIDE_WEIGHTS = ("bias",)
"""What a quantized layer may have beside its weights, unquantized."""
INTEGERS = ("I64", "I32", "I16", "I8", "U8", "U16", "U32", "U64", "BOOL")


@dataclass(frozen=True, slots=True)
class Resolved:
    """A layer that was read."""

    layer: Layer
    scheme: Scheme | None
    """None where the layout isn't known."""
    weights: int | None
    """Those of the matrix, or of all tensors where none is packed; None where the layout isn't known."""
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
    """None where nothing here knows the method."""
    faults: tuple[str, ...] = ()
    """Contradictions, each once for layers of one name."""
    unknown: tuple[str, ...] = ()
    """What isn't known of the layout."""
    kv_scales: Mapping[str, Tensor] | None = None
    """Scales of the KV cache, by the name of their tensors."""
    notes: tuple[str, ...] = ()

    @property
    def parameters(self) -> int | None:
        """Of the model before it was packed; None where a layer's layout isn't known."""
        counts = [one.parameters for one in self.layers]
        known = [count for count in counts if count is not None]
        return sum(known) if known and len(known) == len(counts) else None


def resolve(config: ModelJson, weights: Weights, *, gguf: bool = False) -> Resolution:
    """Read all layers; nothing is raised for what is wrong with one: it is in the result."""
    layers = layers_of(weights.tensors)
    scales = {name: tensor for name, tensor in weights.tensors.items() if name.rpartition(".")[2] in KV_SCALES}
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
            raise UnknownLayout(f"{layer.name}: {role} ({tensor.dtype}) beside {reading.scheme.label} weights")
        others += tensor.elements
    return Resolved(layer, reading.scheme, reading.weights, others, _matrix(reading.shape))


def _plain(layer: Layer) -> Resolved:
    """Tensors of plain numbers: all that are floating point are parameters, but for buffers."""
    counted: Counter[str] = Counter()
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
    """An lm_head that the config ties to the embedding, and that is stored nevertheless, counts no weights."""
    if not any(place.get("tie_word_embeddings") is True for place in (config, text_of(config))):
        return resolved, ()
    embeddings = {one.shape for one in resolved if one.layer.kind == "embedding"}
    copies = [one for one in resolved if one.layer.kind == "lm_head" and one.weights and one.shape in embeddings]
    without = [replace(one, weights=0) if one in copies else one for one in resolved]
    return without, tuple(f"{one.layer.name} is stored, although it is tied to the embedding" for one in copies)


def _left_plain(resolved: list[Resolved], family: Resolver, config: ModelJson) -> list[str]:
    """Layers that hold plain numbers although config.json treats them like others that are quantized."""
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
                f"{one.layer.name} is {one.scheme.label}, and config.json states {asked.label} for it, as for the "
                f"others of its name, which are quantized",
            )
    return list(faults.values())


def _in_the_model(layer: str, config: ModelJson) -> bool:
    """Whether its block is counted by config.json; blocks beyond are drafts (MTP), which engines may leave out."""
    count = text_of(config).get("num_hidden_layers")
    number = next((int(word) for word in layer.split(".") if word.isdigit()), 0)
    return not isinstance(count, int) or number < count


def _not_quantized(
    resolved: list[Resolved], family: Resolver, quantization: ModelJson, faults: Counter[str]
) -> tuple[str, ...]:
    """No tensor is quantized although there is a quantization_config: a fault, unless loading quantizes them."""
    if faults or any(one.scheme is None for one in resolved):
        return ()
    asked = _first_asked(resolved, family)
    method = quantization.get("quant_method") or family.name or "its quantization_config"
    if asked is None:
        return ()
    if family.on_load:
        return (f"its weights aren't quantized; {method} makes them {asked.label} while loading",)
    faults[
        f"its config.json says that it is quantized ({method}), but none of its tensors is: it is the unquantized "
        f"model with another config"
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
