"""Hidden states and heads as records: with both, the distribution at every token is exact and can be computed later.

A token's hidden state times the head's matrix is its logits, rounded to the dtype, then soft-capped and scaled.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fidelity.children.arrays import packed
from fidelity.children.wire import HeadFields, JsonRecord

HEAD = "head"
"""The matrix's name in its safetensors file; its shape is (width, vocabulary)."""
KINDS = {"bfloat16": "<u2", "float16": "<f2", "float32": "<f4"}
"""Numpy's types for the numbers of each dtype; those of bfloat16, which numpy lacks, are passed as their bits."""
BLOCK = 256
"""The number of the matrix's rows to compute at once, which limits memory on a GPU."""


def hidden_record(values: Any) -> JsonRecord:
    """The key `hidden` of a record of `score_tokens`, from a tensor (n, width)."""
    import torch

    dtype = str(values.dtype).removeprefix("torch.")
    bits = values.view(torch.uint16) if dtype == "bfloat16" else values
    return {"values": packed(bits.numpy(), KINDS[dtype]), "dtype": dtype, "width": values.shape[1]}


def write_matrix(file: str, head: Callable[[Any], Any], *, width: int, dtype: Any, device: Any) -> str:
    """Write a head's matrix, which is the head's output for the identity matrix, and return its dtype.

    So tied, quantized and padded heads need no special treatment.

    Args:
        file: The safetensors file to write.
        head: From hidden states (n, width) to logits (n, vocabulary), without soft cap and scale.
        width: The size of a hidden state.
        dtype: The dtype of hidden states.
        device: The model's device.

    Raises:
        ValueError: The head isn't a matrix.
    """
    import torch
    from safetensors.torch import save_file

    with torch.inference_mode():
        if head(torch.zeros(1, width, dtype=dtype, device=device)).any():
            raise ValueError("the model's head adds a bias")
        rows = (torch.arange(first, min(first + BLOCK, width)) for first in range(0, width, BLOCK))
        ones = (torch.nn.functional.one_hot(own, width).to(device=device, dtype=dtype) for own in rows)
        matrix = torch.cat([head(block).cpu() for block in ones])
    save_file({HEAD: matrix.contiguous()}, Path(file))
    return str(matrix.dtype).removeprefix("torch.")


def head_fields(dtype: str, *, soft_cap: float | None = None, scale: float = 1.0) -> HeadFields:
    """The record of `write_head`."""
    return {"dtype": dtype, "soft_cap": None if soft_cap is None else float(soft_cap), "scale": float(scale)}
