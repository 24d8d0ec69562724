"""Several tests at once: adjusted p-values, to be compared with the level of the whole."""

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values (1979), in the given order: any false rejection at all is as rare as the level.

    The i-th smallest of m becomes the largest of (m - j + 1) p_(j) over j <= i, at most 1; the tests may depend on
    each other. None give an empty list.
    """
    p = np.array(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return [float(one) for one in adjusted]
