"""The pairs behind the numbers, worst first."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from fidelity.comparison.results import ComparisonSet, Scores, control_values_of
from fidelity.floor import mean_over_controls
from fidelity.gate import Line, Verdict, break_key, conflict_column
from fidelity.gate import column_of as column_judged
from fidelity.records import Column
from fidelity.report.content import shown_in_table
from fidelity.report.verdicts import most_urgent_first
from fidelity.text.conflicts import KINDS


@dataclass(frozen=True, slots=True)
class Ranking:
    """A candidate's pairs in the order in which a reader should see them."""

    by: str | None
    """The column that orders them; None where no column judges, and the order is the prompt set's."""
    excess: tuple[float | None, ...]
    """For each pair its excess in that column; None without a control."""
    order: tuple[int, ...]
    """Numbers of the pairs, the worst first; what is out for everybody comes last."""
    conflicts_first: bool = False
    """Whether conflicts were scored, so that pairs with one come before the others."""

    @property
    def title(self) -> str:
        """How they are ordered: " by rougeL", ", conflicts first, then by rougeL"; empty for the prompt set's order."""
        if self.by is None:
            return ""
        return f", conflicts first, then by {self.by}" if self.conflicts_first else f" by {self.by}"


def rank(result: ComparisonSet, candidate: Scores, verdict: Verdict | None) -> Ranking:
    """Order a candidate's pairs: conflicts by their kind, then breaks, then by the column that its verdict hangs on.

    That column is the first gate line's that failed, else the first undecided one, else the first; without a gate, the
    first that is judged and says more than yes or no. What is equal in it is ordered by all judged columns together. A
    conflict or a break that the control has too is no more than noise, and counts for as much less.
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
    """The columns of the gate's lines: failed ones first, then the undecided, then those that passed."""
    return map(column_of, most_urgent_first(verdict.lines if verdict else ()))


def alarm_columns(names: Iterable[str]) -> Iterator[str]:
    """The columns of conflicts, most telling kind first, then those of breaks; the order of pairs begins with them."""
    known = list(names)
    for kind in KINDS:
        yield from (name for name in known if name.rpartition(".")[2] == conflict_column(kind))
    yield from (name for name in known if break_key(name) != name)


def column_of(line: Line) -> str:
    """The column that a line judges."""
    return column_judged(line.kind, line.name)


def worse(result: ComparisonSet, candidate: Scores, name: str, column: Column) -> list[float | None]:
    """Each pair's excess over its prompt's floor; without a control, its distance from 0, which orders as well.

    An answer of the candidate that can't be scored counts as the column's worst value.
    """
    controls = [control_values_of(control, name) for control in result.controls if name in control.columns]
    floor = mean_over_controls(controls)
    sign = -1.0 if column.better == "higher" else 1.0
    worse: list[float | None] = []
    for prompt_id, value in zip(candidate.prompt_ids, column.judged_values, strict=True):
        control = floor.get(prompt_id)
        if value is None or (floor and control is None):
            worse.append(None)
        else:
            worse.append(sign * (value - (control.value if control else 0.0)))
    return worse


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _last(value: float | None) -> float:
    """As a sort key: larger comes first, None at the end."""
    return float("inf") if value is None else -value
