"""The tensors of a checkpoint, from the headers of its files."""

import json
import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from fidelity.errors import ConfigError, MissingPackageError
from fidelity.outside.documents import read_document
from fidelity.outside.paths import open_regular

INDEX = "model.safetensors.index.json"
LARGEST_HEADER = 100_000_000
"""The maximum length of a header in bytes, as in safetensors."""
SMALL = re.compile(r"(^|[._])(shape|[kv]_scale|kv_scale|[kv]_proj\.output_scale)$|quant_state\.")
"""Small tensors with content that is read: logical shapes, scales of the KV cache, bitsandbytes' descriptions."""
LARGEST_CONTENT = 4096
ITEM_BITS = {
    **dict.fromkeys(("F64", "I64", "U64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
}
"""Bits of an element, by safetensors' name of its type."""
Content: TypeAlias = bytes
UNPACK = {"I64": "q", "I32": "i", "U32": "I", "I16": "h", "F64": "d", "F32": "f", "F16": "e"}


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor as its file describes it."""

    dtype: str
    """Safetensors' name (`BF16`, `I32`, `F8_E4M3`), or GGUF's (`Q4_1`)."""
    shape: tuple[int, ...]
    bytes: int
    content: Content | None = None
    """The content of some small tensors; None for others, and for a checkpoint on the Hub."""

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def bits(self) -> int:
        """The size of all elements."""
        return self.elements * ITEM_BITS.get(self.dtype, 0)

    def numbers(self) -> tuple[float, ...] | None:
        """The content as numbers; None if it wasn't read, or its type isn't supported here."""
        if self.content is None:
            return None
        if self.dtype == "BF16":  # the upper half of a 32-bit float
            halves = [self.content[i : i + 2] for i in range(0, len(self.content), 2)]
            return tuple(struct.unpack("<f", b"\0\0" + half)[0] for half in halves)
        if (code := UNPACK.get(self.dtype)) is None:
            return None
        return struct.unpack(f"<{self.elements}{code}", self.content)


@dataclass(frozen=True, slots=True)
class Weights:
    """The content of a checkpoint's weight files."""

    tensors: Mapping[str, Tensor]
    bytes: int
    """The size of these files, headers included."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The metadata of all headers, where torchao describes its tensors."""


def weight_files(checkpoint: Path) -> list[Path]:
    """The weight files that an engine reads without running code: the GGUF file, or a directory's safetensors files.

    These are the files in the index; without an index `model.safetensors`, else all except copies with another naming
    scheme (`consolidated*`) and adapters.

    Raises:
        ConfigError: The index can't be read, or names a file outside the checkpoint.
    """
    if checkpoint.is_file():
        return _gguf_files(checkpoint)
    if index := read_index(checkpoint):
        return [checkpoint / name for name in sorted(set(index.values())) if (checkpoint / name).is_file()]
    if (single := checkpoint / "model.safetensors").is_file():
        return [single]
    files = sorted(checkpoint.glob("*.safetensors"))
    files = [file for file in files if not file.name.startswith("adapter_")]
    return [file for file in files if not file.name.startswith("consolidated")] or files


def read_index(checkpoint: Path) -> dict[str, str] | None:
    """The file of each tensor, from the index; None without an index.

    Raises:
        ConfigError: It can't be read, or names a file outside the checkpoint.
    """
    index = checkpoint / INDEX
    if not index.is_file():
        return None
    try:
        names: dict[str, str] = read_document(index)["weight_map"]
        outside = [name for name in names.values() if Path(name).name != name]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(f"{index}: can't be read ({error}); download the checkpoint again") from error
    if outside:
        raise ConfigError(
            f"{index}: names a file outside the checkpoint ({outside[0]!r}); download the checkpoint again"
        )
    return names


def read_weights(checkpoint: Path) -> Weights:
    """All tensors by name; empty if the weights have another format.

    Raises:
        ConfigError: A header is damaged.
        MissingPackageError: It is a GGUF file, and the package that reads it is missing.
    """
    files = weight_files(checkpoint)
    size = sum(file.stat().st_size for file in files)
    if checkpoint.is_file():
        return Weights({name: tensor for file in files for name, tensor in _gguf_tensors(file).items()}, size)
    index = read_index(checkpoint)
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, str] = {}
    for file in files:
        header = safetensors_header(file)
        metadata |= header.metadata
        tensors |= {
            name: tensor
            for name, tensor in header.tensors.items()
            if index is None or index.get(name, file.name) == file.name
        }
    return Weights(tensors, size, metadata)


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a safetensors file."""

    tensors: dict[str, Tensor]
    size: int
    """The expected size of the file in bytes: 8 bytes of length, the header, the data."""
    metadata: dict[str, str]
    starts: dict[str, int]
    """Where each tensor's data starts in the file."""


def safetensors_header(file: Path) -> Header:
    """Read a file's header, with the content of some small tensors.

    Raises:
        ConfigError: The header is damaged.
    """
    try:
        with open_regular(file) as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > LARGEST_HEADER:
                raise ValueError(f"a header of {length} bytes")
            header = json.loads(stream.read(length))
            stated = header.pop("__metadata__", None) or {}
            metadata = {str(key): str(value) for key, value in stated.items()}
            tensors, starts, end = {}, {}, 0
            for name, entry in header.items():
                begin, stop = entry["data_offsets"]
                shape = tuple(entry["shape"])
                if not all(type(n) is int and n >= 0 for n in (*shape, begin, stop - begin)):
                    raise ValueError(f"{name}: invalid shape or offsets: {shape}, {entry['data_offsets']}")
                content = None
                if SMALL.search(name) and 0 < stop - begin <= LARGEST_CONTENT:
                    stream.seek(8 + length + begin)
                    content = stream.read(stop - begin)
                    content = content if len(content) == stop - begin else None
                tensor = Tensor(str(entry["dtype"]), shape, stop - begin, content)
                whole = content is None or tensor.bits == 8 * len(content)
                tensors[name] = tensor if whole else Tensor(tensor.dtype, shape, tensor.bytes)
                starts[name], end = 8 + length + begin, max(end, stop)
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        struct.error,
        MemoryError,
        OverflowError,
        RecursionError,
    ) as error:
        raise ConfigError(
            f"{file}: damaged: its safetensors header can't be read ({error}); download it again"
        ) from error
    return Header(tensors, 8 + length + end, metadata, starts)


def _gguf_files(file: Path) -> list[Path]:
    """The files of a split model, with number and count in their names: `...-00001-of-00003.gguf`."""
    numbered = re.fullmatch(r"(.+-)\d{5}-of-(\d{5})\.gguf", file.name)
    if numbered is None:
        return [file]
    names = [f"{numbered[1]}{number:05d}-of-{numbered[2]}.gguf" for number in range(1, int(numbered[2]) + 1)]
    return [file.with_name(name) for name in names if file.with_name(name).is_file()]


def _gguf_tensors(file: Path) -> dict[str, Tensor]:
    try:
        from gguf import GGUFReader
    except ImportError as error:
        raise MissingPackageError("gguf", extra="gguf", needed_by=f"the model {file.name}") from error
    try:
        tensors = GGUFReader(file).tensors
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise ConfigError(f"{file}: damaged, or not a GGUF file ({error}); download it again") from error
    return {
        tensor.name: Tensor(tensor.tensor_type.name, tuple(int(n) for n in tensor.shape), int(tensor.n_bytes))
        for tensor in tensors
    }
