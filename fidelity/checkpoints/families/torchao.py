"""torchao: tensors of its own classes, flattened into safetensors, with descriptions in the headers."""

import json
import math
import re
from collections.abc import Mapping

from fidelity.checkpoints.config import ModelJson
from fidelity.checkpoints.families.base import Contradiction, Reading, UnknownLayout, Written, settings
from fidelity.checkpoints.families.bytewise import FLOAT8
from fidelity.checkpoints.layers import Layer
from fidelity.checkpoints.schemes import Activations, Scheme
from fidelity.checkpoints.tensors import Tensor

DATA = "_weight_qdata"
BYTEWISE = ("Int8Tensor", "IntxUnpackedToInt8Tensor", "Float8Tensor")
HALF_BYTES = ("Int4Tensor", "Int4PlainInt32Tensor", "Int4TilePackedTo4dTensor", "NVFP4Tensor", "MXTensor")


class Attributes(Written):
    """torchao's description of a tensor."""

    block_size: int | tuple[int, ...] | None = None
    shape: tuple[int, ...] | None = None
    target_dtype: ModelJson | None = None
    activation_quantization: str | None = None
    act_quant_kwargs: ModelJson | None = None


class Note(Written):
    """A tensor's description in the header."""

    kind: str
    data: Attributes


class TorchAo:
    """One checkpoint's config, and the headers' metadata."""

    name = "torchao"
    on_load = True

    def __init__(self, written: ModelJson, metadata: Mapping[str, str]) -> None:
        self.stated = _stated(written.get("quant_type"), written.get("quant_type_kwargs"))
        left_out = written.get("modules_to_not_convert")
        self.left_out = [str(name) for name in left_out] if isinstance(left_out, list) else []
        self.embeddings = written.get("include_input_output_embeddings") is True
        self.metadata = metadata

    def asked(self, layer: Layer) -> Scheme | None:
        inner = ("norm", "router") if self.embeddings else ("embedding", "lm_head", "norm", "router")
        if layer.kind in inner or any(name in layer.name for name in self.left_out):
            return None
        return self.stated

    def read(self, layer: Layer) -> Reading | None:
        data = layer.tensors.get(DATA)
        if data is None:
            return None
        used = frozenset(role for role in layer.tensors if role.startswith("_weight_"))
        note = self._note(layer.name)
        if note is None:
            return self._without_note(layer, data, used)
        if note.kind not in (*BYTEWISE, *HALF_BYTES):
            raise UnknownLayout(f"{layer.name}: torchao's {note.kind}")
        shape = note.data.shape or data.shape
        halves = note.kind in HALF_BYTES and data.dtype not in FLOAT8
        count = data.bits // (4 if halves else 8)
        if halves and note.data.shape is None:
            if len(data.shape) != 2:
                raise UnknownLayout(f"{layer.name}: torchao's {note.kind} {list(data.shape)} without its shape")
            shape = (data.shape[0], count // data.shape[0] if data.shape[0] else 0)
        if math.prod(shape) != count:
            raise Contradiction(f"{layer.name}: {count} weights, but torchao's description states {list(shape)}")
        _check_scales(layer, note, shape)
        return Reading(_noted_scheme(layer, note, data, shape), shape, used)

    def _note(self, name: str) -> Note | None:
        try:
            written = json.loads(self.metadata[f"{name}.weight"])
            return settings(Note, {"kind": written["_type"], "data": written["_data"]})
        except (KeyError, ValueError, TypeError):
            return None

    def _without_note(self, layer: Layer, data: Tensor, used: frozenset[str]) -> Reading:
        """A header without descriptions, as in the Hub's metadata: the config must match the bytes."""
        stated = self.stated
        if stated is None or data.dtype not in ("I8", *FLOAT8) or len(data.shape) != 2:
            raise UnknownLayout(f"{layer.name}: torchao's {data.dtype} {list(data.shape)} without a note")
        if stated.number.startswith("INT") is not (data.dtype == "I8"):
            raise Contradiction(f"{layer.name} is {data.dtype}, but config.json states {stated.label}")
        return Reading(stated, data.shape, used)


def _check_scales(layer: Layer, note: Note, shape: tuple[int, ...]) -> None:
    size, scale = note.data.block_size, layer.tensors.get("_weight_scale")
    if 0 in shape or scale is None or (isinstance(size, tuple) and (len(size) != len(shape) or min(size) < 1)):
        raise UnknownLayout(f"{layer.name}: torchao's {list(shape)} in blocks {size} without scales for them")
    if not isinstance(size, tuple):
        return
    blocks = math.prod(-(-length // each) for length, each in zip(shape, size, strict=True))
    if scale.elements != blocks:
        raise Contradiction(
            f"{layer.name}: {list(scale.shape)} scales for {list(shape)} weights in blocks {list(size)}"
        )


def _noted_scheme(layer: Layer, note: Note, data: Tensor, shape: tuple[int, ...]) -> Scheme:
    of = note.data
    bits, number = 8, "INT8"
    if note.kind in ("NVFP4Tensor", "MXTensor"):
        exponent = note.kind == "MXTensor"
        bits = 8 if data.dtype in FLOAT8 else 4
        return Scheme(f"MXFP{bits}" if exponent else "NVFP4", bits, 32 if exponent else 16, None, _activations(of))
    if note.kind in HALF_BYTES:
        bits, number = 4, "INT4"
    elif note.kind == "Float8Tensor":
        number = FLOAT8.get(data.dtype, "")
        if not number:
            raise Contradiction(f"{layer.name} is {data.dtype}, but torchao's description states Float8Tensor")
    elif of.target_dtype:
        target = re.search(r"int(\d)", str(of.target_dtype.get("_data")))
        if target is None:
            raise UnknownLayout(f"{layer.name}: torchao's {of.target_dtype.get('_data')}")
        bits, number = int(target[1]), f"INT{target[1]}"
    size = of.block_size
    rows, columns = (size[-2], size[-1]) if isinstance(size, tuple) and len(size) > 1 else (1, size)
    if not isinstance(columns, int) or columns >= shape[-1] or columns < 1:
        return Scheme(number, bits, None, None, _activations(of))
    block = (rows, columns) if rows > 1 else None
    return Scheme(number, bits, None if block else columns, block, _activations(of))


def _activations(of: Attributes) -> Activations | None:
    if of.activation_quantization:
        dynamic = "static" not in of.activation_quantization
        return Activations(8, dynamic, of.activation_quantization.rpartition("per_")[2] or None)
    if of.act_quant_kwargs is None:
        return None
    narrow = any(word in str(of.act_quant_kwargs.get("_type")) for word in ("NVFP4", "MX"))
    if narrow:
        return Activations(4, True, None, 16 if "NVFP4" in str(of.act_quant_kwargs.get("_type")) else 32)
    granularity = str(of.act_quant_kwargs.get("_data"))
    return Activations(8, True, "token" if "PerRow" in granularity or "PerToken" in granularity else "tensor")


def _stated(quant_type: object, keywords: object) -> Scheme | None:
    """The config's scheme, for weights that are quantized while loading; None if it is unknown."""
    data: ModelJson = keywords if isinstance(keywords, Mapping) else {}
    name = quant_type if isinstance(quant_type, str) else ""
    if isinstance(quant_type, Mapping):
        inner = quant_type.get("default", quant_type)
        if isinstance(inner, Mapping):
            name, given = str(inner.get("_type", "")), inner.get("_data")
            data = given if isinstance(given, Mapping) else {}
    words = name.replace("_", "").lower().removesuffix("config")
    match = re.fullmatch(r"(?:(int8|float8)dynamicactivation)?(int4|int8|intx|float8)weight(?:only)?", words)
    if match is None:
        return None
    kind = match[2]
    if kind == "intx":
        target = re.search(r"int(\d)", str(data.get("weight_dtype")))
        kind = f"int{target[1]}" if target else ""
    if not kind:
        return None
    sizes = re.search(r"'group_size': (\d+)", str(data))
    group = int(sizes[1]) if sizes else 128 if kind == "int4" else None
    inputs = Activations(8, True, "token") if match[1] else None
    bits = int(kind[-1])
    return Scheme("FP8" if kind == "float8" else f"INT{bits}", bits, group, None, inputs)
