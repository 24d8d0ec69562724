"""Several tests at once: adjusted p-values, to be compared with the level of the whole."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values (1979), in the given order: any false rejection at all is as rare as the level.

    The i-th smallest of m becomes the largest of (m - j + 1) p_(j) over j <= i, at most 1; the tests may depend on
    each other. None give an empty list.
    """
    p, order = _sorted(p_values)
    return _unsorted(np.maximum.accumulate(p * np.arange(len(p), 0, -1)), order)


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of Benjamini & Hochberg (1995), in the given order: the level is the false share of rejections.

    The i-th smallest of m becomes the smallest of m p_(j) / j over j >= i. For exploring, not for a gate. None give
    an empty list.
    """
    p, order = _sorted(p_values)
    return _unsorted(np.minimum.accumulate((p * len(p) / np.arange(1, len(p) + 1))[::-1])[::-1], order)


def _sorted(p_values: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    p = np.array(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    return p[order], order


def _unsorted(adjusted: NDArray[np.float64], order: NDArray[np.intp]) -> list[float]:
    back = np.empty_like(adjusted)
    back[order] = np.minimum(adjusted, 1)
    return [float(one) for one in back]
