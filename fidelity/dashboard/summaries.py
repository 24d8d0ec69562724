"""The numbers of comparisons, computed as in the reports, with intervals for orientation."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from fidelity.comparison.evidence import evidence_of, verdicts
from fidelity.comparison.results import ComparisonSet, Scores, among_runs
from fidelity.comparison.stored import load_comparison
from fidelity.dashboard.catalog import attempt
from fidelity.floor import Summary, excess_by_prompt, mean_by_prompt
from fidelity.gate import Gate, Verdict, draft
from fidelity.records import SummaryKind
from fidelity.report import chance_level, floor_of, summaries_of
from fidelity.stats import Interval, bca_intervals

CONFIDENCE = 0.95
RESAMPLES = 2_000
"""The confidence of displayed intervals. The gate uses other bounds."""
MOST_RESAMPLED = 5_000
"""Up to this many prompts an interval is from the bootstrap; with more, the normal interval looks the same."""
EstimateKind = Literal["value", "floor", "excess"]


@dataclass(frozen=True, slots=True)
class Span:
    """An interval; None if there is none."""

    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class ColumnSummary(Summary):
    """A column of one comparison: the reports' numbers, and intervals."""

    floor: float | None = None
    low: float | None = None
    """The chance level; see `report.chance_level`."""
    value_span: Span = Span()
    floor_span: Span = Span()
    excess_span: Span = Span()


@dataclass(frozen=True, slots=True)
class _Question:
    """Values of prompts with weights, for an interval."""

    values: Mapping[str, float | None]
    weights: Mapping[str, float]
    kind: SummaryKind


def rows_of(
    comparisons: Sequence[Path], names: Sequence[str], *, lows: bool = True
) -> dict[Path, dict[str, ColumnSummary] | str]:
    """The columns `names` of each comparison that has them, or why it can't be read.

    `lows=False` skips the chance levels. All intervals over the same prompts are computed together, which takes hardly
    longer than a single one.
    """
    columns: dict[Path, dict[str, ColumnSummary] | str] = {}
    questions: dict[tuple[Path, str, EstimateKind], _Question] = {}
    read_it = partial(load_comparison, only=set(names), lows=lows, shared={})
    for path in comparisons:
        read, why = attempt(lambda path=path: _rows(read_it(path)))  # type: ignore[misc]
        columns[path] = why or {name: row for name, (row, _) in (read or {}).items()}
        questions |= {(path, name, kind): q for name, (_, asked) in (read or {}).items() for kind, q in asked.items()}
    for (path, name, kind), span in _spans(questions).items():
        rows = columns[path]
        if isinstance(rows, dict):
            rows[name] = _with_span(rows[name], kind, span)
    return columns


def verdict_on(comparison: Path, gate: Gate, *, candidates: int = 1) -> Verdict:
    """The verdict of `fidelity gate check`, reading only the gate's columns.

    Raises:
        FidelityError: The comparison can't be read, or lacks a column of the gate.
    """
    needed = {limit.column for limit in gate.limits}
    ((_, verdict),) = verdicts(load_comparison(comparison, only=needed), gate, candidates=candidates).items()
    return verdict


def drafted_gate(comparison: Path, names: Iterable[str]) -> str:
    """The proposal of `fidelity gate init`, from the columns `names`.

    Raises:
        FidelityError: The comparison can't be read, or there is nothing to judge.
    """
    result = load_comparison(comparison, only=set(names))
    return draft(evidence_of(result, result.candidates[0]))


def binned(values: dict[str, Sequence[float]], bounds: tuple[float, float], bins: int = 25) -> pd.DataFrame:
    """Data for `charts.histogram`: each side's share of values in equal bins, without NaN."""
    low, high = bounds
    edges = np.linspace(low, high if high > low else low + 1.0, bins + 1)
    rows = []
    for side, own in values.items():
        known = np.asarray(own, dtype=float)
        known = known[~np.isnan(known)]
        counts, _ = np.histogram(np.clip(known, edges[0], edges[-1]), edges)
        for left, right, count in zip(edges, edges[1:], counts, strict=False):
            rows.append(
                {"side": side, "left": left, "right": right, "share": count / max(1, len(known)), "count": int(count)}
            )
    return pd.DataFrame(rows)


def _rows(result: ComparisonSet) -> dict[str, tuple[ColumnSummary, dict[EstimateKind, _Question]]]:
    (candidate,) = result.candidates
    floor, summaries = floor_of(result), summaries_of(result, candidate)
    return {
        name: (_row(summary, floor.get(name), chance_level(candidate, name)), _questions(result, candidate, name))
        for name, summary in summaries.items()
    }


def _row(summary: Summary, floor: Summary | None, low: float | None) -> ColumnSummary:
    return ColumnSummary(**asdict(summary), floor=floor.value if floor else None, low=low)


def _questions(result: ComparisonSet, candidate: Scores, name: str) -> dict[EstimateKind, _Question]:
    """The candidate's values, the floor and the excess, over the prompts that `floor.summarise` uses."""
    column, among = candidate.columns[name].column, among_runs(result, candidate, name)
    judged = bool(among.floor) and column.better != "neither"
    own = among.candidate[0]
    weights = {prompt: v.weight for prompt, v in own.items() if v}
    excess = excess_by_prompt(among, column.better) if judged else {}
    values = {p: v.value if v and (not excess or excess[p] is not None) else None for p, v in own.items()}
    asked: dict[EstimateKind, _Question] = {"value": _Question(values, weights, column.summary)}
    if among.floor:
        floor = mean_by_prompt(among.floor[: len(result.controls)])
        known = {p: v.weight for p, v in floor.items() if v}
        asked["floor"] = _Question({p: v.value if v else None for p, v in floor.items()}, known, column.summary)
    if excess:
        asked["excess"] = _Question(excess, weights, "mean")
    return asked


def _spans(questions: Mapping[tuple[Path, str, EstimateKind], _Question]) -> dict[tuple[Path, str, EstimateKind], Span]:
    together: dict[tuple[tuple[str, ...], SummaryKind], list[tuple[Path, str, EstimateKind]]] = {}
    spans = {}
    for key, question in questions.items():
        if len(question.values) > MOST_RESAMPLED:
            spans[key] = _normal(question)
        else:
            together.setdefault((tuple(question.values), question.kind), []).append(key)
    for (ids, kind), keys in together.items():
        asked = [questions[key] for key in keys]
        intervals = bca_intervals(
            ids,
            [list(q.values.values()) for q in asked],
            weights=[[q.weights.get(prompt, 0.0) for prompt in ids] for q in asked],
            statistic=kind,
            confidence=CONFIDENCE,
            resamples=RESAMPLES,
        )
        spans |= {key: _span(interval) for key, interval in zip(keys, intervals, strict=True)}
    return spans


def _with_span(row: ColumnSummary, kind: EstimateKind, span: Span) -> ColumnSummary:
    match kind:
        case "value":
            return replace(row, value_span=span)
        case "floor":
            return replace(row, floor_span=span)
        case "excess":
            return replace(row, excess_span=span)


def _span(interval: Interval) -> Span:
    return Span(interval.low, interval.high)


def _normal(question: _Question) -> Span:
    """The interval of a weighted mean from the spread of its prompts; none for a median."""
    if question.kind == "median":
        return Span()
    values = np.array(list(question.values.values()), dtype=float)
    weights = np.array([question.weights.get(prompt, 0.0) for prompt in question.values])
    known = ~np.isnan(values)
    values, weights = values[known], weights[known]
    if weights.sum() <= 0:
        return Span()
    mean = float(values @ weights / weights.sum())
    error = float(np.sqrt(((values - mean) ** 2) @ weights**2) / weights.sum())
    return Span(mean - 1.959964 * error, mean + 1.959964 * error)
