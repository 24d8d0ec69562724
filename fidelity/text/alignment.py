"""Alignment: which units of one text are the counterparts of which units of the other."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz, process
from rapidfuzz.distance import LCSseq

THRESHOLD = 0.5
"""Units less alike have no counterpart in each other."""
BETWEEN = 0.35
"""The same for the only unit between two counterparts on either side, since its position is more informative."""
SHORT = 3
"""Units of at most this many words at the same position are always counterparts: "Yes" and "No"."""
MOVED = 0.75
"""The same for units in another order."""
SORTED = 0.99
"""What the same words in another order are worth: less than equality."""
MERGED = 0.06
"""How much more alike two units must be with a neighbor for the neighbor to be taken as a piece of one of them."""
ROUNDING = 1e-6
BAND = 100
"""Units around the same relative position that are compared where two texts share little: what keeps time linear."""


class Match(NamedTuple):
    """Corresponding units: one of each text, or several neighbors if one was split."""

    baseline: tuple[int, ...]
    candidate: tuple[int, ...]
    similarity: float
    """In [0, 1]: rapidfuzz's ratio of the words in order or sorted, the larger."""


def align(
    baseline: Sequence[str], candidate: Sequence[str], *, threshold: float = THRESHOLD, exact: bool = False
) -> list[Match]:
    """Counterparts, in the baseline's order; a unit is in one match at most.

    Equal units are matched first, in order (longest common subsequence), then in any; then, between those in order, the
    units with the largest summed similarity; then what is left, in any order; then pieces of sentences that were split.
    Case and punctuation don't count, unless `exact`.
    """
    a, b = (list(side) if exact else [normal(unit) for unit in side] for side in (baseline, candidate))
    matches = [Match((i,), (j,), 1.0) for i, j in _equal(a, b)]
    elsewhere = list(_equal_elsewhere(a, b, matches))
    taken = {m.baseline[0] for m in elsewhere}, {m.candidate[0] for m in elsewhere}
    for gap in _gaps(matches, len(a), len(b)):
        rows, columns = ([i for i in side if i not in used] for side, used in zip(gap, taken, strict=True))
        if rows and columns:
            matches += _monotone(a, b, rows, columns, threshold)
    matches += elsewhere
    matches += _moved(a, b, matches)
    return sorted(_merged(a, b, matches))


def normal(unit: str) -> str:
    """The words of a unit, case-folded; the unit itself where it has none."""
    return " ".join(_WORD.findall(unit.casefold())) or unit


_WORD = re.compile(r"(?<![\w)])[-−+](?=\d)|\w+(?:['’.,]\w+)*|!(?=[=\w])|[^\w\s.,;:!?'’‘\"“”„»«()`*_–—-]")


def similarity(a: str, b: str) -> float:
    """Of two normal units, in [0, 1]."""
    return max(fuzz.ratio(a, b), SORTED * fuzz.token_sort_ratio(a, b)) / 100


def _equal(a: Sequence[str], b: Sequence[str]) -> Iterator[tuple[int, int]]:
    for block in LCSseq.opcodes(a, b):
        if block.tag == "equal":
            yield from zip(range(block.src_start, block.src_end), range(block.dest_start, block.dest_end), strict=True)


def _equal_elsewhere(a: Sequence[str], b: Sequence[str], matches: Sequence[Match]) -> Iterator[Match]:
    free: dict[str, list[int]] = {}
    for j in sorted(set(range(len(b))) - {m.candidate[0] for m in matches}, reverse=True):
        free.setdefault(b[j], []).append(j)
    for i in sorted(set(range(len(a))) - {m.baseline[0] for m in matches}):
        if free.get(a[i]):
            yield Match((i,), (free[a[i]].pop(),), 1.0)


def _gaps(matches: Sequence[Match], rows: int, columns: int) -> Iterator[tuple[range, range]]:
    ends = [(-1, -1), *((m.baseline[0], m.candidate[0]) for m in matches), (rows, columns)]
    for (i, j), (k, n) in pairwise(ends):
        if k - i > 1 and n - j > 1:
            yield range(i + 1, k), range(j + 1, n)


def _monotone(
    a: Sequence[str], b: Sequence[str], rows: Sequence[int], columns: Sequence[int], threshold: float
) -> Iterator[Match]:
    """The counterparts of two gaps in the same order, with the largest sum of similarities (Needleman and Wunsch)."""
    alone = len(rows) == len(columns) == 1
    if alone and max(a[rows[0]].count(" "), b[columns[0]].count(" ")) < SHORT:
        yield Match((rows[0],), (columns[0],), max(BETWEEN, similarity(a[rows[0]], b[columns[0]])))
        return
    least = min(BETWEEN, threshold) if alone else threshold
    near = _near([a[i] for i in rows], [b[j] for j in columns], least=least)
    best, i, j = _Best(near, len(columns)), len(rows), len(columns)
    while i and j:
        if j <= near.first[i - 1] or best.at(i, j) == best.at(i - 1, j):
            i -= 1
        elif best.at(i, j) == best.at(i, j - 1):
            j -= 1
        else:
            i, j = i - 1, j - 1
            yield Match((rows[i],), (columns[j],), float(near.scores[i, j - near.first[i]]))


class _Near(NamedTuple):
    """How alike each unit is to those around the same relative position, in a band of the same width for all."""

    first: Sequence[int]
    """The first of them."""
    scores: NDArray[np.float64]
    """One row for each unit; 0 where the two are less alike than asked."""


class _Best:
    """The largest sum of similarities of the first units on both sides. Outside the band nothing is alike."""

    def __init__(self, near: _Near, columns: int) -> None:
        rows, width = near.scores.shape
        self._first, self._width = near.first, width
        self._within = np.zeros((rows, width + 1))
        row, end = np.zeros(columns + 1), 0
        for i, first in enumerate(near.first):
            row[end + 1 : first + width + 1] = row[end]
            end = first + width
            within = row[first : end + 1]
            within[1:] = np.maximum(within[:-1] + near.scores[i], within[1:])
            np.maximum.accumulate(within, out=within)
            self._within[i] = within

    def at(self, i: int, j: int) -> float:
        """The sum for the first `i` and `j` units, from the start of the band of row `i` on."""
        return float(self._within[i - 1, min(j - self._first[i - 1], self._width)]) if i else 0.0


def _near(a: Sequence[str], b: Sequence[str], *, least: float) -> _Near:
    """Long texts are compared in a band only, which keeps time and memory linear."""
    if len(a) * len(b) <= BAND**2:
        scores = np.zeros((len(a), len(b)))
        for scorer, weight in ((fuzz.ratio, 1.0), (fuzz.token_sort_ratio, SORTED)):
            np.maximum(scores, process.cdist(a, b, scorer=scorer) * (weight / 100), out=scores)
        scores[scores < least] = 0.0
        return _Near([0] * len(a), scores)
    width = min(BAND, len(b))
    scores = np.zeros((len(a), width))
    starts = [max(0, min(round(i * len(b) / len(a)) - BAND // 2, len(b) - BAND)) for i in range(len(a))]
    for i, (unit, start) in enumerate(zip(a, starts, strict=True)):
        alike = [
            weight
            * process.cdist([unit], b[start : start + width], scorer=scorer, dtype=np.float64, score_cutoff=most)[0]
            for scorer, weight in ((fuzz.ratio, 1.0), (fuzz.token_sort_ratio, SORTED))
            if (most := 100 * least / weight - ROUNDING)
        ]
        scores[i] = np.maximum(*alike) / 100
    scores[scores < least] = 0.0
    return _Near(starts, scores)


def _moved(a: Sequence[str], b: Sequence[str], matches: Sequence[Match]) -> Iterator[Match]:
    rows = sorted(set(range(len(a))) - {i for m in matches for i in m.baseline})
    columns = sorted(set(range(len(b))) - {j for m in matches for j in m.candidate})
    if not rows or not columns:
        return
    near = _near([a[i] for i in rows], [b[j] for j in columns], least=MOVED)
    alike_rows, offsets = np.nonzero(near.scores)
    order = np.argsort(-near.scores[alike_rows, offsets], kind="stable")
    used_rows, used_columns = set(), set()
    for i, offset in zip(alike_rows[order].tolist(), offsets[order].tolist(), strict=True):
        j = near.first[i] + offset
        if i not in used_rows and j not in used_columns:
            used_rows.add(i)
            used_columns.add(j)
            yield Match((rows[i],), (columns[j],), float(near.scores[i, offset]))


def _merged(a: Sequence[str], b: Sequence[str], matches: Sequence[Match]) -> Iterator[Match]:
    """Matches with the neighbors that have no counterpart and make them more alike."""
    free_rows = set(range(len(a))) - {i for m in matches for i in m.baseline}
    free_columns = set(range(len(b))) - {j for m in matches for j in m.candidate}
    for match in matches:
        if match.similarity == 1.0:
            yield match
            continue
        rows, columns, score = match
        for _ in range(2):
            wider = [(r, columns) for r in _wider(rows, free_rows)] + [(rows, c) for c in _wider(columns, free_columns)]
            scored = [(similarity(_join(a, r), _join(b, c)), r, c) for r, c in wider]
            if not scored or max(scored)[0] < score + MERGED:
                break
            score, rows, columns = max(scored)
            free_rows -= set(rows)
            free_columns -= set(columns)
        yield Match(rows, columns, score)


def _wider(indices: tuple[int, ...], free: set[int]) -> Iterator[tuple[int, ...]]:
    if indices[0] - 1 in free:
        yield indices[0] - 1, *indices
    if indices[-1] + 1 in free:
        yield *indices, indices[-1] + 1


def _join(units: Sequence[str], indices: tuple[int, ...]) -> str:
    return " ".join(units[i] for i in indices)
