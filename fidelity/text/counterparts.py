"""Counterparts: which blocks of one text are those of another, by what is in them."""

from collections.abc import Sequence

import numpy as np
from rapidfuzz import fuzz, process
from rapidfuzz.distance import LCSseq

COMPARED = 2_000
"""Characters of a block that are compared."""
MOST_PAIRS = 10_000
"""Of blocks without an equal one; beyond that they are paired in order."""
MOVED = 1e-3
"""What a place further away costs in similarity, so of equally good counterparts the nearer one counts."""


def counterparts(baseline: Sequence[str], candidate: Sequence[str]) -> list[int | None]:
    """For each of the baseline's blocks the place of its counterpart in the candidate; None if there are fewer.

    Equal blocks come first, in order; then those with the largest summed similarity (rapidfuzz's ratio). Swapped
    arguments give the same pairs.
    """
    if (len(baseline), list(baseline)) > (len(candidate), list(candidate)):
        partners: list[int | None] = [None] * len(baseline)
        for place, partner in enumerate(counterparts(candidate, baseline)):
            if partner is not None:
                partners[partner] = place
        return partners
    partners = _equal(baseline, candidate)
    rows = [i for i, partner in enumerate(partners) if partner is None]
    columns = sorted(set(range(len(candidate))) - set(partners))
    if not rows:
        return partners
    for i, j in _alike(baseline, candidate, rows, columns):
        partners[i] = j
    return partners


def _equal(baseline: Sequence[str], candidate: Sequence[str]) -> list[int | None]:
    number: dict[str, int] = {}
    a, b = ([number.setdefault(block, len(number)) for block in side] for side in (baseline, candidate))
    partners: list[int | None] = [None] * len(a)
    for run in LCSseq.opcodes(a, b).as_matching_blocks():
        partners[run.a : run.a + run.size] = range(run.b, run.b + run.size)
    return partners


def _alike(
    baseline: Sequence[str], candidate: Sequence[str], rows: Sequence[int], columns: Sequence[int]
) -> list[tuple[int, int]]:
    if len(rows) * len(columns) > MOST_PAIRS:
        return list(zip(rows, columns, strict=False))
    from scipy.optimize import linear_sum_assignment

    sides = [baseline[i][:COMPARED] for i in rows], [candidate[j][:COMPARED] for j in columns]
    distance = np.abs(np.subtract.outer(rows, columns)) / max(len(baseline), len(candidate))
    alike = process.cdist(*sides, scorer=fuzz.ratio, dtype=np.float64) / 100 - MOVED * distance
    chosen = zip(*linear_sum_assignment(alike, maximize=True), strict=True)
    return [(rows[i], columns[j]) for i, j in chosen]
