"""The matrix of a study: each cell's verdict, drift and state in words and numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from fidelity.dashboard import matrix
from fidelity.dashboard.grid import Square
from fidelity.dashboard.looks import looks_of
from fidelity.dashboard.matrix import Heading, MatrixCell, Row, Sign
from fidelity.dashboard.summaries import ColumnSummary
from fidelity.dashboard.widgets import SYMBOLS
from fidelity.gate import Gate, Verdict
from fidelity.outside.strings import one_line
from fidelity.report.content import short
from fidelity.report.verdicts import number
from fidelity.store.studies import StudyState

Columns = Mapping[str, ColumnSummary]
ByComparison = Mapping[str, dict[str, ColumnSummary] | str]
"""The columns of each comparison, or why it can't be read."""


@dataclass(frozen=True, slots=True)
class JudgedSquare:
    """A square with its numbers and its verdict."""

    square: Square
    row: ColumnSummary | None
    """The chosen metric; None if there is no number."""
    why: str
    """Why there is no number; empty if there is one."""
    verdict: Verdict | str | None
    """The verdict, why there is none (empty without a gate), or None while it is being computed."""

    @property
    def outcome(self) -> str:
        return self.verdict.outcome if isinstance(self.verdict, Verdict) else ""

    @property
    def format(self) -> str:
        """The heading in one line."""
        return " · ".join(filter(None, self.square.heading))

    @property
    def size(self) -> str:
        """The model in one line."""
        return " · ".join(filter(None, (size_of(self.square.parameters), self.square.cell.family)))


def size_of(parameters: int | None) -> str:
    """Parameters in short: 135M; empty if unknown."""
    return short(parameters, ("", "K", "M", "B", "T")) if parameters else ""


def judged_square(
    square: Square, columns: Columns | str | None, metric: str, verdict: Verdict | str | None, state: StudyState | None
) -> JudgedSquare:
    """A square with the numbers of its comparison, or the reason why there are none."""
    row = columns.get(metric) if isinstance(columns, Mapping) else None
    return JudgedSquare(square, row, "" if row else _why_nothing(square, columns, metric, state), verdict)


def _why_nothing(square: Square, columns: Columns | str | None, metric: str, state: StudyState | None) -> str:
    cell, entry, run = square.cell, square.entry, square.run
    if isinstance(columns, str):
        return columns
    if entry:
        return entry.why if entry.state != "readable" else f"{metric} was not scored"
    if cell.why or cell.comparison:
        return cell.why or "its comparison was deleted"
    if run:
        return f"generating {run.done} of {run.total}" if run.done < run.total else "generated, not scored yet"
    return "waiting" if state else "not run yet"


def table_of(judged: Sequence[JudgedSquare]) -> pd.DataFrame:
    """The page's data, one row per cell."""
    return pd.DataFrame([_line(one) for one in judged])


def _line(one: JudgedSquare) -> dict[str, object]:
    square, entry, row = one.square, one.square.entry, one.row
    numbers: dict[str, object] = dict.fromkeys(
        ("value", "low", "high", "floor", "floor_low", "floor_high", "excess", "excess_low", "excess_high")
    )
    if row:
        spans = {"": row.value_span, "floor_": row.floor_span, "excess_": row.excess_span}
        ends = {f"{side}{end}": getattr(span, end) for side, span in spans.items() for end in ("low", "high")}
        numbers = {**numbers, "value": row.value, "floor": row.floor, "excess": row.excess, **ends}
    reason = one.verdict.reason if isinstance(one.verdict, Verdict) else one.verdict or ""
    return {
        "size": one.size,
        "format": one_line(one.format, most=80),
        "candidate": square.cell.candidate,
        "id": entry.id if entry and row else "",
        **numbers,
        "outcome": one.outcome,
        "why": one_line(one.why or reason),
        "parameters": square.parameters,
        "bytes": entry.bytes if entry else None,
    }


def draw(judged: Sequence[JudgedSquare], metric: str, gate: Gate | None) -> str | None:
    """Draw the matrix. Returns the comparison of a cell that was just clicked."""
    headings = list(dict.fromkeys(one.square.heading for one in judged))
    looks = looks_of([one.format for one in judged])
    margin = gate.margins.get(metric) if gate else None
    models: dict[tuple[str, int | None], dict[tuple[str, str], JudgedSquare]] = {}
    for one in judged:
        models.setdefault((one.square.cell.family, one.square.parameters), {})[one.square.heading] = one
    shown = [
        Heading(one_line(form, most=60), one_line(note, most=60), looks[name].path, looks[name].color)
        for form, note in headings
        for name in [" · ".join(filter(None, (form, note)))]
    ]
    rows = [
        Row(
            one_line(family, most=60),
            size_of(parameters),
            [_cell(own[heading], margin) if heading in own else None for heading in headings],
        )
        for (family, parameters), own in models.items()
    ]
    return matrix.draw(f"Excess of {metric} by model and format", shown, rows)


def _cell(one: JudgedSquare, margin: float | None) -> MatrixCell:
    entry = one.square.entry
    cell = _drift_cell(one, one.row, entry.id, margin) if one.row and entry else _empty_cell(one)
    who = f"{one.size}, {one.format}"
    return replace(cell, label=one_line(f"{who}: {cell.word or 'not judged'}, {cell.text} {cell.note}"))


def _empty_cell(one: JudgedSquare) -> MatrixCell:
    cell, run, entry = one.square.cell, one.square.run, one.square.entry
    if cell.why:
        word, text = "failed", ""
    elif entry or cell.comparison:
        word, text = "no number", ""
    elif run:
        word, text = ("generating", f"{run.done} of {run.total}") if run.done < run.total else ("to be scored", "")
    else:
        word, text = one.why, ""
    return MatrixCell("", "other", word, text, one_line(one.why), "", hatched=True)


def _drift_cell(one: JudgedSquare, row: ColumnSummary, id_: str, margin: float | None) -> MatrixCell:
    note = ""
    if row.excess is None:
        text = number(row.value, digits=0 if row.kind == "median" else 3)
        note = "no floor" if row.better != "neither" else "described"
    else:
        text = number(row.excess, sign=True)
    ends = [number(end, sign=True) for end in (row.excess_span.low, row.excess_span.high) if end is not None]
    interval = f" (95% interval {' to '.join(ends)})" if len(ends) == 2 else ""
    match one.verdict:
        case Verdict() as verdict:
            sign: Sign = verdict.outcome
            word, reason = f"{SYMBOLS[verdict.outcome]} {verdict.outcome}", verdict.reason
        case None:
            sign, word, reason = "other", "judging …", "The verdict is being computed."
        case why:
            sign, word, reason = "other", "not judged" if why else "", why or "No gate was given."
    tip = f"{one.square.cell.candidate}: {text}{interval}. {reason}"
    tint = matrix.tint(row.excess, margin)
    return MatrixCell(
        id_, sign, word, text, one_line(tip), "", note, tint, hatched=not isinstance(one.verdict, Verdict)
    )
