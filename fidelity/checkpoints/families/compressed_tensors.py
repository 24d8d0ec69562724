"""compressed-tensors (llm-compressor): groups of targets with one scheme each, and layers to ignore.

The rules are those of the library's `match_targets`: a layer's name, then a regular expression, then its class. The
library itself isn't used, since importing it takes ten seconds (docs/decisions/010-checkpoints.md).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from pydantic import Field

from fidelity.checkpoints.config import ModelJson, Widths
from fidelity.checkpoints.families.base import ANOTHER, Contradiction, Reading, UnknownLayout, Written, settings
from fidelity.checkpoints.families.bytewise import read_bytes, read_float4, used_roles
from fidelity.checkpoints.families.shapes import padded_row, written_shape
from fidelity.checkpoints.layers import Layer
from fidelity.checkpoints.schemes import FLOATS, Activations, Scheme
from fidelity.checkpoints.tensors import ITEM_BITS

PACK_FACTOR_MARLIN = 16
"""Rows and columns of Marlin's tiles."""


class Arguments(Written):
    """How weights or activations are quantized."""

    num_bits: int = 8
    type: Literal["int", "float"] = "int"
    group_size: int | None = None
    strategy: str | None = None
    block_structure: tuple[int, int] | str | None = None
    dynamic: bool | str = False


class Group(Written):
    """Layers that are quantized in the same way."""

    targets: tuple[str, ...]
    weights: Arguments | None = None
    input_activations: Arguments | None = None
    format: str | None = None


class Sparsity(Written):
    """The pruning."""

    format: str | None = None
    sparsity_structure: str | None = None
    targets: tuple[str, ...] | None = None
    ignore: tuple[str, ...] | None = None


class CompressedTensorsConfig(Written):
    """The quantization_config."""

    config_groups: dict[str, Group] = Field(default_factory=dict)
    ignore: tuple[str, ...] | None = None
    format: str | None = None
    sparsity_config: Sparsity | None = None


class CompressedTensors:
    """One checkpoint's config; `widths` are the possible widths of a row of weights, by config.json."""

    name = ""
    on_load = False

    def __init__(self, written: ModelJson, widths: Widths) -> None:
        inner = written.get("quantization_config")  # SparseML nests it
        self.config = settings(CompressedTensorsConfig, {**written, **inner} if isinstance(inner, Mapping) else written)
        self.widths = widths
        self.schemes = [
            (group, _scheme(group, group.format or self.config.format or ""))
            for group in self.config.config_groups.values()
            if group.weights
        ]

    def asked(self, layer: Layer) -> Scheme | None:
        if matches(layer, self.config.ignore or ()):
            return None
        targets = {target: scheme for group, scheme in reversed(self.schemes) for target in group.targets}
        ordered = sorted(targets, key=lambda target: (target.startswith("re:"), target))
        for target in (
            *filter(lambda t: _by_name(layer.name, t), ordered),
            *filter(lambda t: _class(layer, t), ordered),
        ):
            return self._with_sparsity(layer, targets[target])
        return None

    def _with_sparsity(self, layer: Layer, scheme: Scheme) -> Scheme:
        sparsity = self.config.sparsity_config
        if sparsity is None or sparsity.sparsity_structure in (None, "0:0"):
            return scheme
        pruned = matches(layer, sparsity.targets or ("Linear",)) and not matches(layer, sparsity.ignore or ())
        return replace(scheme, sparsity=sparsity.sparsity_structure) if pruned else scheme

    def read(self, layer: Layer) -> Reading | None:
        own = layer.tensors
        asked = self.asked(layer)
        stored = next((role for role in ("weight_packed", "compressed", "weight_compressed") if role in own), "weight")
        if stored not in own or (stored == "weight" and own["weight"].dtype not in ("I8", "F8_E4M3", "F8_E5M2")):
            return None
        if own[stored].dtype in FLOATS:
            return self._bitmask(layer, stored, Scheme(FLOATS[own[stored].dtype], ITEM_BITS[own[stored].dtype]))
        if asked is None and _by_names(layer.name, self.config.ignore or ()):
            raise Contradiction(f"{layer.name} is quantized ({stored}), but config.json lists it in ignore")
        candidates = [asked] if asked else list(dict.fromkeys(scheme for _, scheme in self.schemes))
        readings, refusals = [], list[Exception]()
        for scheme in candidates:
            try:
                readings.append(self._stored_as(layer, stored, scheme))
            except (UnknownLayout, Contradiction) as error:
                refusals.append(error)
        if len({reading.scheme for reading in readings}) == 1:
            return readings[0]
        if len(candidates) == 1 and asked:
            raise refusals[0]
        raise UnknownLayout(f"{layer.name}: quantized ({stored}), but config.json doesn't state how")

    def _stored_as(self, layer: Layer, stored: str, scheme: Scheme) -> Reading:
        packed = layer.tensors[stored]
        if stored in ("compressed", "weight_compressed"):
            return self._bitmask(layer, stored, scheme)
        if stored == "weight":
            if scheme.bits != 8 and packed.dtype != "I8":
                raise Contradiction(
                    f"{layer.name}.weight is {packed.dtype}, but config.json states {scheme.label}; {ANOTHER}"
                )
            reading = read_bytes(layer, asked=scheme)
        elif "scale_packed" in layer.tensors:
            reading = _marlin_24(layer, scheme)
        elif packed.dtype == "U8":
            reading = read_float4(layer, stored, asked=scheme)
        elif packed.dtype == "I32" and scheme.number.startswith("INT") and len(packed.shape) >= 2:
            scale = layer.tensors.get("weight_scale")
            columns = padded_row(
                layer, packed, scheme.bits, scale=scale, group=scheme.group, candidates=self.widths.of(layer.name)
            )
            used = used_roles(layer, stored) | ({"weight_g_idx"} & set(layer.tensors))
            reading = Reading(scheme, (*packed.shape[:-1], columns), used, unscaled=scale is None)
        else:
            raise Contradiction(
                f"{layer.name}.{stored} is {packed.dtype}, but config.json states {scheme.label}; {ANOTHER}"
            )
        return replace(reading, scheme=replace(reading.scheme, sparsity=scheme.sparsity or reading.scheme.sparsity))

    def _bitmask(self, layer: Layer, stored: str, scheme: Scheme) -> Reading:
        """The nonzero weights, and a bitmask of all weights."""
        packed = layer.tensors[stored]
        mask = layer.tensors.get("bitmask") or layer.tensors.get("weight_bitmask")
        if mask is None or len(mask.shape) != 2:
            raise UnknownLayout(f"{layer.name}: compressed weights without a bitmask")
        if not scheme.is_float and not scheme.number.startswith("INT" if packed.dtype == "I8" else "FP8"):
            raise Contradiction(f"{layer.name} is {packed.dtype}, but config.json states {scheme.label}; {ANOTHER}")
        half = packed.shape[-1] * 2 if len(packed.shape) == 2 else mask.shape[1] * 8
        shape = written_shape(layer.tensors.get("shape")) or (mask.shape[0], half)
        if shape[0] != mask.shape[0] or -(-shape[-1] // 8) != mask.shape[1]:
            raise Contradiction(f"{layer.name}: its bitmask {list(mask.shape)} doesn't match {list(shape)} weights")
        used = used_roles(layer, stored) | ({"bitmask", "weight_bitmask", "shape", "row_offsets"} & set(layer.tensors))
        structure = self.config.sparsity_config.sparsity_structure if self.config.sparsity_config else None
        pruned = scheme.sparsity or structure or ("2:4" if len(packed.shape) == 2 else "unstructured")
        return Reading(replace(scheme, sparsity=pruned), shape, used)


def _marlin_24(layer: Layer, scheme: Scheme) -> Reading:
    """Marlin's tiles of 2:4 sparse weights: half of the inputs, which `meta` identifies."""
    packed, scale = layer.tensors["weight_packed"], layer.tensors["scale_packed"]
    if len(packed.shape) != 2 or len(scale.shape) != 2 or "meta" not in layer.tensors:
        raise UnknownLayout(f"{layer.name}: {list(packed.shape)} isn't Marlin's layout of 2:4 sparse weights")
    inputs = packed.shape[0] * PACK_FACTOR_MARLIN * 2
    outputs = packed.shape[1] * (32 // scheme.bits) // PACK_FACTOR_MARLIN
    groups = -(-inputs // scheme.group) if scheme.group else 1
    if scale.shape != (groups, outputs):
        raise Contradiction(
            f"{layer.name}: at the {scheme.bits} bits that config.json states it has {outputs} x {inputs} weights, "
            f"but {list(scale.shape)} scales; {ANOTHER}"
        )
    used = frozenset({"weight_packed", "scale_packed", "meta"} | ({"weight_shape"} & set(layer.tensors)))
    return Reading(replace(scheme, sparsity="2:4"), (outputs, inputs), used)


def _scheme(group: Group, stored: str) -> Scheme:
    weights = group.weights or Arguments()
    size = weights.group_size if weights.group_size and weights.group_size > 0 else None
    if not 1 <= weights.num_bits <= 16:
        raise Contradiction(f"quantization_config: {weights.num_bits}-bit weights")
    number = f"INT{weights.num_bits}"
    if weights.type == "float":
        number = {4: "MXFP4" if size == 32 else "NVFP4", 8: "MXFP8" if "mxfp8" in stored else "FP8"}.get(
            weights.num_bits, f"FP{weights.num_bits}"
        )
    return Scheme(number, weights.num_bits, size, _block(weights), _activations(group.input_activations))


def _block(weights: Arguments) -> tuple[int, int] | None:
    if isinstance(weights.block_structure, str):
        rows, _, columns = weights.block_structure.partition("x")
        return (int(rows), int(columns)) if rows.isdigit() and columns.isdigit() else None
    return weights.block_structure


def _activations(inputs: Arguments | None) -> Activations | None:
    if inputs is None:
        return None
    group = inputs.group_size if inputs.group_size and inputs.group_size > 0 else None
    return Activations(inputs.num_bits, bool(inputs.dynamic), inputs.strategy, group)


def matches(layer: Layer, targets: Sequence[str]) -> bool:
    """Whether one of the targets names the layer or its class."""
    return _by_names(layer.name, targets) or any(_class(layer, target) for target in targets)


def _by_names(name: str, targets: Sequence[str]) -> bool:
    return any(_by_name(name, target) for target in targets)


def _by_name(name: str, target: str) -> bool:
    if not target.startswith("re:"):
        return name == target
    try:
        return re.match(target.removeprefix("re:"), name) is not None
    except re.error as error:
        raise Contradiction(f"quantization_config: {target!r} is not a regular expression ({error})") from error


def _class(layer: Layer, target: str) -> bool:
    """The class of a layer, as far as its kind determines it: experts in one tensor are not Linear."""
    if target == "Linear":
        weight = next(iter(layer.tensors.values()), None)  # no tensors where only config.json is read
        fused = layer.kind == "experts" and weight is not None and len(weight.shape) > 2
        return layer.kind not in ("embedding", "norm") and not fused
    return target == "Embedding" and layer.kind == "embedding"
