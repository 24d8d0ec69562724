"""The bargain: what each candidate saves against how far it drifts, and the best of those that a gate lets pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fidelity.comparison.history import HistoryEntry, history
from fidelity.comparison.results import ComparisonSet, Scores, control_values_of, values_of
from fidelity.errors import ConfigError
from fidelity.floor import summarise
from fidelity.gate import Gate, Line, Verdict
from fidelity.outside.paths import inside
from fidelity.price.measures import MEASURES, ratios_of
from fidelity.stats import Ratio
from fidelity.store.runs import Run
from fidelity.store.store import Store

DRIFT = ("sts", "bertscore", "rougeL", "chrf", "edit_words", "prefix_agreement", "identical")
"""The column whose excess is held against the price: the first of these that every candidate has."""
AXES = ("bytes", "memory", "tokens_per_s", "first_token", "answer", "cost")
"""The measures that decide whether a candidate is dominated."""
Minimise = Literal["bytes", "latency", "cost"]


@dataclass(frozen=True, slots=True)
class Point:
    """A candidate, or the baseline itself, with what it costs and what it gains."""

    run: Run
    drift: float | None
    """Mean excess of the drift column, positive is worse; 0 of the baseline. None without a floor."""
    ratios: Mapping[str, Ratio]
    """Over the baseline's, by measure (`price.MEASURES`); empty of the baseline."""
    dominated_by: tuple[str, ...] = ()
    """Runs that drift no more and are no worse in any measure that all points have, and better in one."""
    is_baseline: bool = False


@dataclass(frozen=True, slots=True)
class DriftAndPrice:
    """All points of one comparison."""

    column: str | None
    """The drift's; None where no column has an excess."""
    measures: tuple[str, ...]
    """That at least one candidate has."""
    points: tuple[Point, ...]
    """The baseline first."""


def drift_and_price(*results: ComparisonSet, column: str | None = None) -> DriftAndPrice:
    """Set every candidate's drift beside its price.

    Args:
        results: Comparisons with one and the same baseline, such as `load_comparison` gives them one by one.
        column: The column whose mean excess is the drift; the first of DRIFT that all candidates have if not given.
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
        if name in candidate.columns and all(name in control.columns for control in result.controls):
            controls = [control_values_of(control, name) for control in result.controls]
            mean = summarise(values_of(candidate, name), candidate.columns[name].column, controls).excess
            if mean is not None:
                means[name] = mean
    return means


def marked(points: Sequence[Point]) -> tuple[Point, ...]:
    """With those that dominate each point; nothing is dominated where there is no drift or no price to compare."""
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
    """Drift, then each measure so that less is better; the baseline is 1 in all of them."""
    costs = [point.drift or 0.0]
    for name in axes:
        ratio = point.ratios[name].value if name in point.ratios else 1.0
        costs.append(1 / ratio if MEASURES[name].better == "higher" else ratio)
    return costs


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and any(a < b for a, b in zip(one, other, strict=True))


@dataclass(frozen=True, slots=True)
class Choice:
    """A candidate that could be recommended."""

    name: str
    verdict: Verdict | None
    why_not: str
    """Why it could not be judged; empty where it was."""
    measure: str | None
    """What stands for the thing to minimise: `answer`, or `first_token` where no answer was timed; None if unknown."""
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
    """Where none passes: the one whose worst line is the least beyond its limit."""
    choices: tuple[Choice, ...]


def recommend(store: Store, gate: Gate, *, minimise: Minimise, baseline: str | None = None) -> Recommendation:
    """Judge what was compared with a baseline, each candidate as it was compared last, and choose.

    The best of many is as likely to be there by chance as there are many, so all verdicts are to hold together.

    Args:
        store: Where the comparisons lie.
        gate: What must pass.
        minimise: Of those that pass, the one that takes the least of this. Without a price per hour the cost is that
            of the machine's time, the same for all.
        baseline: A run's name or id; that of the newest comparison if not given.

    Raises:
        ConfigError: There is no comparison with such a baseline, or of those that pass nothing was measured.
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
            f"{', '.join(c.name for c in passing)} would pass, but of no two runs is the {minimise} known; "
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
    "bytes": "the runs' models must have been on this machine when they were generated",
    "latency": "add 'latency: {prompts: 8, repeats: 3}' to the baseline's YAML and compare again",
    "cost": "it is measured when a run is generated here from beginning to end: use another --store",
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
    """By how far the worst line of its verdict lies beyond its limit, as a share of the limit."""
    judged = [(choice, choice.verdict) for choice in choices if choice.verdict]
    return min(judged, key=lambda pair: _beyond(pair[1]), default=(None, None))[0]


def _beyond(verdict: Verdict) -> float:
    return max((_beyond_limit(line) for line in verdict.lines if line.decides and line.outcome != "pass"), default=0.0)


def _beyond_limit(line: Line) -> float:
    """Infinite for what was not judged: no number of it says how close it is."""
    if line.upper is None or line.limit is None:
        return float("inf")
    return (line.upper - line.limit) / (line.limit or 1.0)
