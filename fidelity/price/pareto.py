"""The Pareto front of drift and price, and the cheapest candidate that passes a gate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fidelity.comparison.history import HistoryEntry, history
from fidelity.comparison.results import ComparisonSet, Scores, among_runs
from fidelity.errors import ConfigError
from fidelity.floor import summarise
from fidelity.gate import Gate, Line, Verdict
from fidelity.outside.paths import inside
from fidelity.price.measures import MEASURES, ratios_of
from fidelity.stats import Ratio
from fidelity.store.runs import Run
from fidelity.store.store import Store

DRIFT = ("sts", "bertscore", "rougeL", "chrf", "edit_words", "prefix_agreement", "identical")
"""Columns for the drift (their excess): the first one that every candidate has is used."""
AXES = ("bytes", "memory", "tokens_per_s", "first_token", "answer", "cost")
"""The measures that decide whether a candidate is dominated."""
Minimise = Literal["bytes", "latency", "cost"]


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
        points.append(Point(candidate.run, excesses.get(column) if column else None, ratios_of(base, candidate.run)))
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


@dataclass(frozen=True, slots=True)
class Choice:
    """A candidate for the recommendation."""

    name: str
    verdict: Verdict | None
    why_not: str
    """Why it could not be judged; empty if it was."""
    measure: str | None
    """The measure to minimize: `answer`, or `first_token` if no answer was timed; None if unknown."""
    ratio: Ratio | None

    @property
    def passes(self) -> bool:
        return self.verdict is not None and self.verdict.outcome == "pass"


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The best candidate that passes, or the one that came closest."""

    baseline: str
    minimise: Minimise
    best: Choice | None
    closest: Choice | None
    """If none passes: the candidate whose worst line exceeds its limit by the least."""
    choices: tuple[Choice, ...]


def recommend(store: Store, gate: Gate, *, minimise: Minimise, baseline: str | None = None) -> Recommendation:
    """Judge the last comparison of each of a baseline's candidates, and choose one.

    The best of many candidates can be the best by chance, so all verdicts hold simultaneously (Bonferroni).

    Args:
        store: The store with the comparisons.
        gate: The gate that a candidate must pass.
        minimise: The measure to minimize among candidates that pass. Without a price per hour, cost is machine time.
        baseline: A run's name or id. Default: that of the newest comparison.

    Raises:
        ConfigError: There is no comparison with such a baseline, or no measurement of the candidates that pass.
    """
    entries = history(store, gate, baseline=baseline, together=True)
    newest = entries[-1].baseline
    last = {entry.candidate: entry for entry in entries if entry.baseline == newest}
    base = Run(inside(store.root, "runs", newest))
    choices = tuple(_choice(store, base, entry, minimise) for entry in last.values())
    passing = [choice for choice in choices if choice.passes]
    ranked = sorted((c for c in passing if c.ratio), key=lambda c: _least(c))
    if passing and not ranked:
        raise ConfigError(
            f"{', '.join(c.name for c in passing)} would pass, but {minimise} is not known for two runs; "
            + _HOW_TO_MEASURE[minimise]
        )
    best = ranked[0] if ranked else None
    return Recommendation(base.name, minimise, best, None if best else _closest(choices), choices)


_MEASURES: dict[Minimise, tuple[str, ...]] = {
    "bytes": ("bytes",),
    "latency": ("answer", "first_token"),
    "cost": ("cost", "requests_per_s"),
}
_HOW_TO_MEASURE: dict[Minimise, str] = {
    "bytes": "the models must be on this machine when the runs are generated",
    "latency": "add 'latency: {prompts: 8, repeats: 3}' to the baseline's YAML and compare again",
    "cost": "it is measured while a run is generated without interruption: generate again in another --store",
}


def _choice(store: Store, base: Run, entry: HistoryEntry, minimise: Minimise) -> Choice:
    manifest = next(c.manifest for c in store.comparisons() if c.path.name == entry.comparison)
    run = Run(inside(store.root, "runs", manifest.candidate))
    ratios = ratios_of(base, run)
    measure = next((name for name in _MEASURES[minimise] if name in ratios), None)
    return Choice(run.name, entry.verdict, entry.why_not, measure, ratios[measure] if measure else None)


def _least(choice: Choice) -> float:
    if choice.ratio is None or choice.measure is None:
        return float("inf")
    return 1 / choice.ratio.value if MEASURES[choice.measure].better == "higher" else choice.ratio.value


def _closest(choices: Sequence[Choice]) -> Choice | None:
    """How far the worst line of its verdict exceeds its limit, as a fraction of the limit."""
    judged = [(choice, choice.verdict) for choice in choices if choice.verdict]
    return min(judged, key=lambda pair: _beyond(pair[1]), default=(None, None))[0]


def _beyond(verdict: Verdict) -> float:
    return max((_beyond_limit(line) for line in verdict.lines if line.decides and line.outcome != "pass"), default=0.0)


def _beyond_limit(line: Line) -> float:
    """A line's excess over its limit, as a fraction of it; infinite if the line was not judged."""
    if line.upper is None or line.limit is None:
        return float("inf")
    return (line.upper - line.limit) / (line.limit or 1.0)
