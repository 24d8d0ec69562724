"""Shared by the semantic metrics: the best match of each vector, and texts that an encoder can't read."""

from typing import SupportsFloat

import numpy as np
from numpy.typing import NDArray

UNREADABLE = 0.5
"""A text with a larger share of characters outside the encoder's vocabulary can't be scored."""

Vectors = NDArray[np.float32]

_BLOCK = 2048


def best_matches(a: Vectors, b: Vectors) -> tuple[Vectors, Vectors]:
    """Each row's highest product with a row of the other side, block by block, so long texts fit in memory."""
    best_a, best_b = np.full(len(a), -1, np.float32), np.full(len(b), -1, np.float32)
    for i in range(0, len(a), _BLOCK):
        for j in range(0, len(b), _BLOCK):
            products = a[i : i + _BLOCK] @ b[j : j + _BLOCK].T
            np.maximum(best_a[i : i + _BLOCK], products.max(axis=1), out=best_a[i : i + _BLOCK])
            np.maximum(best_b[j : j + _BLOCK], products.max(axis=0), out=best_b[j : j + _BLOCK])
    return best_a, best_b


def harmonic_mean(a: float, b: float) -> float:
    """F1 of a precision and a recall; 0 where both are 0."""
    return 2 * a * b / (a + b) if a + b else 0.0


def within_unit(value: SupportsFloat) -> float:
    """Clip a value to [0, 1]: cosines of nearly equal vectors can exceed 1 by a rounding error."""
    return min(1.0, max(0.0, float(value)))
