"""Tables side by side: cells of the same row and column."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fidelity.text.alignment import align, normal
from fidelity.text.segments import Table

THRESHOLD = 0.4


class CellPair(NamedTuple):
    """Two cells that are counterparts and aren't equal."""

    baseline: str
    candidate: str
    moved: bool
    """Whether the candidate's text is the baseline's of another cell of the same row or column."""


class TableComparison(NamedTuple):
    """Cells that differ, and how many rows have a counterpart."""

    cells: list[CellPair]
    aligned: int
    rows: int
    of_candidate: int


def compare_tables(baseline: Table, candidate: Table) -> TableComparison:
    """Pair columns by their header, else by place; rows by their first cell, else by their words."""
    columns = _columns(baseline.rows[0], candidate.rows[0])
    rows = list(_rows(baseline.rows, candidate.rows))
    cells = [
        CellPair(a[i], b[j], moved=_elsewhere(b[j], i, a, baseline.rows))
        for a, b in ((baseline.rows[r], candidate.rows[c]) for r, c in rows)
        for i, j in columns
        if i < len(a) and j < len(b) and normal(a[i]) != normal(b[j])
    ]
    return TableComparison(cells, len(rows), len(baseline.rows), len(candidate.rows))


def _columns(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    left, right = ([normal(cell) for cell in header] for header in (a, b))
    if len(left) == len(right) and (left == right or set(left) != set(right)):
        return [(i, i) for i in range(len(left))]
    return [(i, right.index(cell)) for i, cell in enumerate(left) if cell in right]


def _rows(a: Sequence[Sequence[str]], b: Sequence[Sequence[str]]) -> Iterator[tuple[int, int]]:
    """The header, rows with the same first cell (where no other has it), and the others by their words."""
    yield 0, 0
    left, right = ({n: normal(row[0]) if row else "" for n, row in enumerate(side) if n} for side in (a, b))
    keys = [k for k in left.values() if k and [*left.values()].count(k) == [*right.values()].count(k) == 1]
    by_key = [{key: n for n, key in side.items() if key in set(keys)} for side in (left, right)]
    for key, row in by_key[0].items():
        yield row, by_key[1][key]
    rest = [[n for n in side if n not in taken.values()] for side, taken in zip((left, right), by_key, strict=True)]
    texts = ([" ".join(side[n]) for n in numbers] for side, numbers in zip((a, b), rest, strict=True))
    for match in align(*texts, threshold=THRESHOLD):
        yield rest[0][match.baseline[0]], rest[1][match.candidate[0]]


def _elsewhere(cell: str, column: int, row: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    others = [c for i, c in enumerate(row) if i != column]
    others += [r[column] for r in rows if column < len(r) and r is not row]
    return bool(normal(cell)) and normal(cell) in {normal(other) for other in others}
