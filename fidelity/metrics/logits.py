"""Logits from hidden states and a head.

Computed with torch, on a GPU if there is one; with numpy where torch isn't installed.
"""

from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fidelity.records import Floats, Head, HiddenStates, ModelDtype

MOST_HEADS = 2
"""The number of heads on the device: a baseline's and a candidate's."""


def array_library() -> Any:
    """`torch`, or `numpy` where torch isn't installed. Only functions that both have are used."""
    if find_spec("torch") is None:
        return np
    import torch

    return torch


def on_gpu() -> bool:
    """Whether logits are computed on a GPU."""
    library = array_library()
    return library is not np and bool(library.cuda.is_available())


def logits(hidden: HiddenStates, rows: slice) -> Any:
    """Logits (rows, vocabulary) in float32, as an array of `array_library`.

    The product with the head's matrix is summed in float32 and rounded to the head's dtype, as an engine does.
    """
    return _with_numpy(hidden, rows) if array_library() is np else _with_torch(hidden, rows)


def log_softmax(values: Any) -> Any:
    """Log-probabilities of logits, in float32."""
    if not isinstance(values, np.ndarray):
        return values.log_softmax(-1)
    above = values - values.max(axis=1, keepdims=True)
    return above - np.log(np.exp(above).sum(axis=1, keepdims=True))


def numbers(values: Any) -> Floats:
    """An array of `array_library` as one of numpy."""
    return np.asarray(values if isinstance(values, np.ndarray) else values.cpu(), np.float64)


def _with_torch(hidden: HiddenStates, rows: slice) -> Any:
    import torch

    device, head = "cuda" if on_gpu() else "cpu", hidden.head
    values = _tensor(hidden.values[rows], hidden.dtype).to(device)
    if head is None:
        return values.float()
    matrix = _matrix_of_torch(head, device)
    product = (values.to(matrix.dtype) @ matrix).to(getattr(torch, head.dtype))
    if head.soft_cap is not None:
        product = torch.tanh(product / head.soft_cap) * head.soft_cap
    return (product if head.scale == 1 else product * head.scale).float()


@lru_cache(maxsize=MOST_HEADS)
def _matrix_of_torch(head: Head, device: str) -> Any:
    """The matrix; on the CPU in float32, whose products are faster there than those of 16 bits."""
    matrix = _tensor(head.matrix, head.dtype).to(device)
    return matrix.float() if device == "cpu" else matrix


def _tensor(values: NDArray[Any], dtype: ModelDtype) -> Any:
    import torch

    tensor = torch.from_numpy(np.array(values))
    return tensor.view(torch.bfloat16) if dtype == "bfloat16" else tensor


def _with_numpy(hidden: HiddenStates, rows: slice) -> NDArray[np.float32]:
    head, values = hidden.head, _single_precision(hidden.values[rows], hidden.dtype)
    if head is None:
        return values
    product = rounded(values @ _matrix_of_numpy(head), head.dtype)
    if head.soft_cap is not None:
        capped = rounded(np.tanh(rounded(product / np.float32(head.soft_cap), head.dtype)), head.dtype)
        product = rounded(capped * np.float32(head.soft_cap), head.dtype)
    return product if head.scale == 1 else rounded(product * np.float32(head.scale), head.dtype)


@lru_cache(maxsize=MOST_HEADS)
def _matrix_of_numpy(head: Head) -> NDArray[np.float32]:
    return _single_precision(head.matrix, head.dtype)


def _single_precision(values: NDArray[Any], dtype: ModelDtype) -> NDArray[np.float32]:
    if dtype == "bfloat16":  # the upper half of a float32
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32)


def rounded(values: NDArray[np.float32], dtype: ModelDtype) -> NDArray[np.float32]:
    """Round to the nearest number of a dtype, ties to even."""
    if dtype == "bfloat16":
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)).view(np.float32)
    return values.astype(dtype).astype(np.float32)
