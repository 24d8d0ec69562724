"""The identity of a checkpoint's tensors, whatever files they are in."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from fidelity.checkpoints.tensors import ITEM_BITS, Header, Tensor, read_index, safetensors_header, weight_files
from fidelity.outside.paths import open_regular

BLOCK = 1024
"""Elements of a block that is read."""
BLOCKS = 16
"""The maximum number of blocks of a tensor."""


def tensors_id(checkpoint: Path) -> str | None:
    """SHA-256 over the names, shapes and values of all tensors; None without safetensors files.

    Equal for copies with renamed, resharded or rewritten files, and for BF16 or FP16 weights stored as FP32, which
    keeps every value. Of a large tensor 16 blocks of 1,024 elements are read, spread over all of it: seconds at any
    size. Copies that differ in a few values elsewhere can have the same identity; quantizing
    and fine-tuning change values everywhere.

    Raises:
        ConfigError: A header is damaged.
    """
    files = [file for file in weight_files(checkpoint) if file.suffix == ".safetensors"]
    index = read_index(checkpoint) if checkpoint.is_dir() else None
    contents: dict[str, bytes] = {}
    for file in files:
        header = safetensors_header(file)
        with open_regular(file) as stream:
            for name, tensor in header.tensors.items():
                if index is None or index.get(name, file.name) == file.name:
                    contents[name] = _content(stream, header, name, tensor)
    total = hashlib.sha256()
    for name in sorted(contents):
        total.update(f"{name}={contents[name].hex()}\n".encode())
    return total.hexdigest() if contents else None


def _content(stream: BinaryIO, header: Header, name: str, tensor: Tensor) -> bytes:
    """The hash of a tensor's shape and of its values, or samples of these."""
    is_float = tensor.dtype in ("BF16", "F16", "F32")
    content = hashlib.sha256(f"{'float' if is_float else tensor.dtype} {tensor.shape}".encode())
    for begin, count in _blocks(tensor):
        size = ITEM_BITS.get(tensor.dtype, 8) // 8
        stream.seek(header.starts[name] + begin * size)
        raw = stream.read(count * size)
        raw = raw[: len(raw) // size * size]  # the end of a damaged file
        content.update(_as_float32(raw, tensor.dtype) if is_float else raw)
    return content.digest()


def _blocks(tensor: Tensor) -> Iterator[tuple[int, int]]:
    """First element and number of elements of each block to read."""
    elements = tensor.elements if tensor.dtype in ITEM_BITS else tensor.bytes
    if elements <= BLOCK * BLOCKS:
        yield 0, elements
        return
    last = elements - BLOCK
    yield from ((last * number // (BLOCKS - 1), BLOCK) for number in range(BLOCKS))


def _as_float32(raw: bytes, dtype: str) -> bytes:
    if dtype == "BF16":  # the upper half of a 32-bit float
        return (np.frombuffer(raw, "<u2").astype("<u4") << 16).tobytes()
    return np.frombuffer(raw, "<f2" if dtype == "F16" else "<f4").astype("<f4").tobytes()
