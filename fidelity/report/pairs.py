"""Ordering pairs, worst first."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from fidelity.comparison.results import ComparisonSet, Scores, among_runs, values_of
from fidelity.floor import excess_by_prompt
from fidelity.gate import Line, Verdict, break_key, conflict_column
from fidelity.gate import column_of as column_judged
from fidelity.records import Column
from fidelity.report.content import shown_in_table
from fidelity.report.verdicts import most_urgent_first
from fidelity.text.conflicts import KINDS


@dataclass(frozen=True, slots=True)
class Ranking:
    """A candidate's pairs in display order."""

    by: str | None
    """The column that orders them; None if no column is judged, which keeps the prompt set's order."""
    excess: tuple[float | None, ...]
    """The excess of each pair in that column; None without a control."""
    order: tuple[int, ...]
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
    by = by or next((name for name, column in judged.items() if len(set(column.values)) > 2), None)
    by = by or next(iter(drifts), None)
    if by is None:
        return Ranking(None, (None,) * len(candidate.prompt_ids), tuple(range(len(candidate.prompt_ids))))
    together = [_mean(values) for values in zip(*drifts.values(), strict=True)]
    alarms = [drifts[name] for name in alarm_columns(drifts)]
    order = sorted(
        range(len(together)),
        key=lambda n: (*(-max(0.0, worse[n] or 0.0) for worse in alarms), _last(drifts[by][n]), _last(together[n])),
    )
    excess = tuple(drifts[by]) if result.controls else (None,) * len(order)
    return Ranking(by, excess, tuple(order), conflicts_first=conflict_column("any") in candidate.columns)


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


def worse(result: ComparisonSet, candidate: Scores, name: str, column: Column) -> list[float | None]:
    """Each pair's excess over its prompt's floor; without a control its value, which gives the same order.

    It is its prompt's, and that of one of several repeats differs from it as its value does from their mean. An answer
    of the candidate that can't be scored counts as the column's worst value.
    """
    values = among_runs(result, candidate, name)
    own, excess = values_of(candidate, name), excess_by_prompt(values, column.better)
    sign = -1.0 if column.better == "higher" else 1.0
    worse: list[float | None] = []
    for prompt_id, value in zip(candidate.prompt_ids, column.judged_values, strict=True):
        mean = own.get(prompt_id)
        by_prompt = excess.get(prompt_id) if values.floor else mean and sign * mean.value
        if value is None or mean is None or by_prompt is None:
            worse.append(None)
        else:
            worse.append(by_prompt + sign * (value - mean.value))
    return worse


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _last(value: float | None) -> float:
    """A sort key: larger values first, None last."""
    return float("inf") if value is None else -value
