"""The Pareto front of drift and price."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fidelity.comparison.results import ComparisonSet, Scores, among_runs
from fidelity.floor import summarise
from fidelity.price.inflation import inflation_ratios
from fidelity.price.measures import MEASURES, ratios_of
from fidelity.stats import Ratio
from fidelity.store.runs import Run

DRIFT = ("sts", "bertscore", "rougeL", "chrf", "edit_words", "prefix_agreement", "identical")
"""Columns for the drift (their excess): the first one that every candidate has is used."""
AXES = ("bytes", "memory", "tokens_per_s", "first_token", "answer", "cost")
"""The measures that decide whether a candidate is dominated."""


@dataclass(frozen=True, slots=True)
class Point:
    """A candidate or the baseline, with its drift and price."""

    run: Run
    drift: float | None
    """Mean excess of the drift column, positive is worse; 0 for the baseline. None without a floor."""
    ratios: Mapping[str, Ratio]
    """Ratios to the baseline, by measure (`price.MEASURES`); empty for the baseline."""
    dominated_by: tuple[str, ...] = ()
    """The runs that dominate this one: no worse in drift and in every shared measure, and better in at least one."""
    is_baseline: bool = False


@dataclass(frozen=True, slots=True)
class DriftAndPrice:
    """All points of one comparison."""

    column: str | None
    """The drift column; None if no column has an excess."""
    measures: tuple[str, ...]
    """The measures that at least one candidate has."""
    points: tuple[Point, ...]
    """The points, the baseline first."""


def drift_and_price(*results: ComparisonSet, column: str | None = None) -> DriftAndPrice:
    """Return every candidate's drift and price.

    Args:
        results: Comparisons with the same baseline, for example from `load_comparison`.
        column: The column for the drift (its mean excess). Default: the first of DRIFT that all candidates have.
    """
    base = results[0].baseline
    candidates = [(result, candidate) for result in results for candidate in result.candidates]
    excess = [_excess(result, candidate, (column,) if column else DRIFT) for result, candidate in candidates]
    if column is None:
        column = next((name for name in DRIFT if excess and all(name in excesses for excesses in excess)), None)
    points = [Point(base, 0.0 if column else None, {}, is_baseline=True)]
    for (_, candidate), excesses in zip(candidates, excess, strict=True):
        ratios = ratios_of(base, candidate.run)
        if ratios:  # no table for lengths alone, which are among the columns
            ratios |= inflation_ratios(candidate, ratios.get("tokens_per_s"))
        points.append(Point(candidate.run, excesses.get(column) if column else None, ratios))
    known = [name for point in points for name in point.ratios]
    measures = [name for name in dict.fromkeys([*MEASURES, *known]) if name in known]
    return DriftAndPrice(column, tuple(measures), marked(points))


def _excess(result: ComparisonSet, candidate: Scores, names: Sequence[str]) -> dict[str, float]:
    means = {}
    for name in names:
        if name in candidate.columns:
            mean = summarise(among_runs(result, candidate, name), candidate.columns[name].column).excess
            if mean is not None:
                means[name] = mean
    return means


def marked(points: Sequence[Point]) -> tuple[Point, ...]:
    """Add to each point the runs that dominate it. Without drift or price no point is dominated."""
    candidates = [point for point in points if not point.is_baseline]
    axes = [name for name in AXES if candidates and all(name in point.ratios for point in candidates)]
    if not axes or any(point.drift is None for point in points):
        return tuple(points)
    costs = {point.run.name: _costs(point, axes) for point in points}
    return tuple(
        replace(point, dominated_by=tuple(n for n, cost in costs.items() if _dominates(cost, costs[point.run.name])))
        for point in points
    )


def _costs(point: Point, axes: Sequence[str]) -> list[float]:
    """Drift, then each measure, turned so that less is better. The baseline is 1 in all measures."""
    costs = [point.drift or 0.0]
    for name in axes:
        ratio = point.ratios[name].value if name in point.ratios else 1.0
        costs.append(1 / ratio if MEASURES[name].better == "higher" else ratio)
    return costs


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and any(a < b for a, b in zip(one, other, strict=True))
