"""How far two long sequences are searched for their alignment: the time grows with the product of their lengths."""

from collections.abc import Sequence

CELLS = 100_000_000_000
"""Cells of the table of an alignment of Latin texts, about three seconds: 316,000 characters on either side."""
WIDE = 10
"""Times the effort of a cell where units are words, or characters beyond Latin-1: 100,000 units on either side."""


def most_differences(baseline: Sequence[object], candidate: Sequence[object]) -> int | None:
    """The number of differences up to which an alignment is searched; None if the whole table is within the limit.

    Texts that are nearly equal are aligned whatever their length, since only a band of the table is needed.
    """
    longer = max(len(baseline), len(candidate))
    effort = 1 + (WIDE - 1) * _wide_share(baseline, candidate)
    if len(baseline) * len(candidate) * effort <= CELLS:
        return None
    return int(CELLS / effort / (2 * longer))


def _wide_share(baseline: Sequence[object], candidate: Sequence[object]) -> float:
    if not (isinstance(baseline, str) and isinstance(candidate, str)):
        return 1.0
    narrow = sum(len(text.encode("latin-1", "ignore")) for text in (baseline, candidate))
    return 1 - narrow / max(len(baseline) + len(candidate), 1)
