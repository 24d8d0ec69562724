"""The tensors of a checkpoint, from the headers of its files alone."""

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fidelity.errors import ConfigError, MissingPackageError

ModelJson = Mapping[str, Any]
"""A JSON object of a checkpoint (config.json, a header, ...), in the keys of whoever made it."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor as its file describes it."""

    dtype: str
    """Safetensors' name (`BF16`, `I32`, `F8_E4M3`), or GGUF's (`Q4_1`)."""
    shape: tuple[int, ...]
    bytes: int

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


def weight_files(checkpoint: Path) -> list[Path]:
    """The files that hold weights without code: the GGUF itself, or a directory's safetensors."""
    return [checkpoint] if checkpoint.is_file() else sorted(checkpoint.glob("*.safetensors"))


def read_tensors(checkpoint: Path) -> dict[str, Tensor]:
    """All tensors by name; none where the weights are in another form.

    Raises:
        ConfigError: A header is damaged.
        MissingPackageError: It is a GGUF, and the package that reads one is missing.
    """
    if checkpoint.is_file():
        return _gguf_tensors(checkpoint)
    return {name: tensor for file in weight_files(checkpoint) for name, tensor in safetensors_header(file)[0].items()}


def safetensors_header(file: Path) -> tuple[dict[str, Tensor], int]:
    """The tensors of one file, and how many bytes the file must have (8 of length, then JSON, then the data)."""
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        tensors = {
            name: Tensor(str(said["dtype"]), tuple(said["shape"]), said["data_offsets"][1] - said["data_offsets"][0])
            for name, said in header.items()
        }
        end = max((said["data_offsets"][1] for said in header.values()), default=0)
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        struct.error,
        MemoryError,
        OverflowError,
    ) as error:
        raise ConfigError(f"{file}: damaged: its safetensors header can't be read ({error}); fetch it again") from error
    return tensors, 8 + length + end


def _gguf_tensors(file: Path) -> dict[str, Tensor]:
    try:
        from gguf import GGUFReader
    except ImportError as error:
        raise MissingPackageError("gguf", extra="gguf", needed_by=f"the model {file.name}") from error
    try:
        tensors = GGUFReader(file).tensors
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise ConfigError(f"{file}: damaged or no GGUF ({error}); fetch it again") from error
    return {
        tensor.name: Tensor(tensor.tensor_type.name, tuple(int(n) for n in tensor.shape), int(tensor.n_bytes))
        for tensor in tensors
    }
