"""A study as a grid: its models by row, what ran by column, and the state of each cell, also while it runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from fidelity.dashboard.catalog import CatalogEntry, Shelf
from fidelity.report.content import UNKNOWN_FORMAT
from fidelity.store.studies import Cell, RunState, StudyManifest, StudyState, read_state

BETWEEN = "-_. /"
"""What separates the words of a run's name."""


@dataclass(frozen=True, slots=True)
class Square:
    """A cell of the grid."""

    cell: Cell
    entry: CatalogEntry | None
    """None if there is no readable comparison."""
    column: str = ""
    """The format that ran; see `placed`."""
    note: str = ""
    """What tells columns of the same format apart."""
    run: RunState | None = None
    """How far its run has come, while the study runs."""

    @property
    def parameters(self) -> int | None:
        return self.cell.parameters or (self.entry.parameters if self.entry else None)

    @property
    def heading(self) -> tuple[str, str]:
        return self.column, self.note


def squares_of(shelf: Shelf, study: StudyManifest | None, state: StudyState | None) -> list[Square]:
    """A study's cells, or the newest comparison of every baseline and candidate, by size."""
    if study:
        runs = {(run.family, run.name): run for run in state.runs} if state else {}
        squares = [_of_study(shelf, cell, runs) for cell in study.cells]
    else:
        newest: dict[tuple[str, str], CatalogEntry] = {}
        for entry in shelf.readable:
            newest.setdefault((entry.baseline, entry.candidate), entry)
        ordered = sorted(newest.values(), key=lambda e: (e.baseline, e.format, e.candidate))
        squares = [Square(_cell(entry), entry) for entry in ordered]
    return placed(sorted(squares, key=lambda square: square.parameters or 0))


def state_of(shelf: Shelf, study: StudyManifest | None) -> StudyState | None:
    """How far a study has come; None unless it is unfinished."""
    return read_state(shelf.root, study.name) if study else None


def placed(squares: Sequence[Square]) -> list[Square]:
    """Give every square its column: the format that ran, and a note if a model has that format twice.

    Copies of several models share a column, although each checkpoint has its own name. A square that hasn't run yet
    gets the column of a copy with the same name of its own, such as `fp8-online` in `llama-fp8-online`.
    """
    own = [_own_name(square.cell) for square in squares]
    ran = {name: square.entry.format for name, square in zip(own, squares, strict=True) if square.entry}
    columns = [
        square.entry.format if square.entry else ran.get(name) or _expected(square.cell, name)
        for name, square in zip(own, squares, strict=True)
    ]
    places = [(square.cell.family, column) for square, column in zip(squares, columns, strict=True)]
    twice = {column for family, column in places if places.count((family, column)) > 1}
    return [
        Square(s.cell, s.entry, column, name if column in twice else "", s.run)
        for s, column, name in zip(squares, columns, own, strict=True)
    ]


def _of_study(shelf: Shelf, cell: Cell, runs: Mapping[tuple[str, str], RunState]) -> Square:
    entry = shelf.entry(cell.comparison) if cell.comparison else None
    return Square(cell, entry, run=runs.get((cell.family, cell.candidate)))


def _own_name(cell: Cell) -> str:
    """A candidate's name without the words that its baseline's begins with: `fp8-online` of `llama-fp8-online`."""
    alike = takewhile(lambda two: two[0] == two[1], zip(cell.candidate, cell.baseline, strict=False))
    shared = "".join(one for one, _ in alike)
    return cell.candidate[max(shared.rfind(mark) for mark in BETWEEN) + 1 :] or cell.candidate


def _expected(cell: Cell, own_name: str) -> str:
    """The column of a candidate that hasn't run: its format, unless that is unknown."""
    return own_name if cell.format == UNKNOWN_FORMAT else cell.format


def _cell(entry: CatalogEntry) -> Cell:
    """A cell for a comparison that belongs to no study."""
    return Cell(
        family=entry.baseline,
        baseline=entry.baseline,
        candidate=entry.candidate,
        format=entry.format,
        parameters=entry.parameters,
        comparison=entry.id,
    )
