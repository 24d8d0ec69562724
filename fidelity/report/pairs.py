"""Ordering pairs, worst first."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fidelity.comparison.results import ComparisonSet, Scores, among_runs, values_of
from fidelity.floor import excess_by_prompt
from fidelity.gate import Line, Verdict, break_key, conflict_column
from fidelity.gate import column_of as column_judged
from fidelity.records import Column, ColumnNumbers, Floats, PromptValues
from fidelity.report.content import shown_in_table
from fidelity.report.verdicts import most_urgent_first
from fidelity.text.conflicts import KINDS


@dataclass(frozen=True, slots=True)
class Ranking:
    """A candidate's pairs in display order."""

    by: str | None
    """The column that orders them; None if no column is judged, which keeps the prompt set's order."""
    excess: Sequence[float | None]
    """The excess of each pair in that column; None without a control."""
    order: Sequence[int]
    """The pairs' indices, worst first; pairs that nobody could be scored on come last."""
    conflicts_first: bool = False
    """Whether conflicts were scored, so pairs with a conflict come first."""

    @property
    def title(self) -> str:
        """The order in words: " by rougeL", ", conflicts first, then by rougeL"; empty for the prompt set's order."""
        if self.by is None:
            return ""
        return f", conflicts first, then by {self.by}" if self.conflicts_first else f" by {self.by}"


def rank(result: ComparisonSet, candidate: Scores, verdict: Verdict | None) -> Ranking:
    """Order a candidate's pairs: conflicts by kind, then breaks, then by the column that decides its verdict.

    That column is from the first failed line of the gate, else the first undecided one, else the first line; without a
    gate, the first judged column with more than two values. Ties are ordered by all judged columns together. A conflict
    or break that the control has too counts less, since it can be noise.
    """
    judged = {
        name: scored.column
        for name, scored in candidate.columns.items()
        if scored.column.better != "neither" and shown_in_table(name)
    }
    drifts = {name: worse(result, candidate, name, column) for name, column in judged.items()}
    by = next((name for name in _gated(verdict) if name in drifts), None)
    by = by or next((name for name, column in judged.items() if _has_degrees(column)), None)
    by = by or next(iter(drifts), None)
    if by is None:
        unknown = np.full(len(candidate.prompt_ids), np.nan)
        return Ranking(None, ColumnNumbers(unknown), range(len(unknown)))
    alarms = [np.fmax(0.0, drifts[name]) for name in alarm_columns(drifts)]
    keys = [-key for key in (*alarms, drifts[by], _mean(list(drifts.values())))]
    order = np.lexsort(keys[::-1])  # the last key is the first; NaN comes last
    excess = drifts[by] if result.controls else np.full(len(order), np.nan)
    first = conflict_column("any") in candidate.columns
    return Ranking(by, ColumnNumbers(excess), memoryview(order), conflicts_first=first)


def _gated(verdict: Verdict | None) -> Iterable[str]:
    """The columns of the gate's lines: failed ones first, then undecided ones, then passed ones."""
    return map(column_of, most_urgent_first(verdict.lines if verdict else ()))


def alarm_columns(names: Iterable[str]) -> Iterator[str]:
    """The columns of dropped answers, of conflicts, most telling kind first, and of breaks.

    The order of pairs begins with them.
    """
    known = list(names)
    yield from (name for name in known if name.rpartition(".")[2] == "drop")
    for kind in KINDS:
        yield from (name for name in known if name.rpartition(".")[2] == conflict_column(kind))
    yield from (name for name in known if break_key(name) != name)


def column_of(line: Line) -> str:
    """The column that a line judges."""
    return column_judged(line.kind, line.name)


def worse(result: ComparisonSet, candidate: Scores, name: str, column: Column) -> Floats:
    """Each pair's excess over its prompt's floor; without a control its value, which gives the same order.

    NaN where there is none.

    It is its prompt's, and that of one of several repeats differs from it as its value does from their mean. An answer
    of the candidate that can't be scored counts as the column's worst value.
    """
    values, rows = among_runs(result, candidate, name), candidate.prompts.rows
    sign = -1.0 if column.better == "higher" else 1.0
    mean = PromptValues.of(values_of(candidate, name)).array
    by_prompt = excess_by_prompt(values, column.better).array if values.floor else sign * mean
    if rows is not None:
        mean, by_prompt = mean[rows], by_prompt[rows]
    drift: Floats = by_prompt + sign * (ColumnNumbers.of(column.judged_values).array - mean)
    return drift


def _has_degrees(column: Column) -> bool:
    """Whether a column has more than two values, of which None is one."""
    values = ColumnNumbers.of(column.values).array
    return len(np.unique(values)) > 2  # NaN counts once


def _mean(columns: Sequence[Floats]) -> Floats:
    """For each pair the mean of the columns that have a value; NaN where none has."""
    total, known = np.zeros(len(columns[0])), np.zeros(len(columns[0]))
    for values in columns:
        total += np.nan_to_num(values)
        known += ~np.isnan(values)
    return np.divide(total, known, out=np.full_like(total, np.nan), where=known > 0)
