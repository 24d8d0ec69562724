"""What to ship: the cheapest candidate that passes a gate. `fidelity recommend` and all reports choose with it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from fidelity.comparison.history import HistoryEntry, history
from fidelity.errors import ConfigError
from fidelity.gate import Gate, Line, Verdict
from fidelity.outside.paths import inside
from fidelity.price.measures import MEASURES, ratios_of
from fidelity.stats import Ratio
from fidelity.store.runs import Run
from fidelity.store.store import Store

Minimise = Literal["bytes", "latency", "cost"]


@dataclass(frozen=True, slots=True)
class Offer:
    """A candidate that could be shipped."""

    size: str
    """Its model, such as "SmolLM2-135M"."""
    format: str
    """What it is called."""
    verdict: Verdict | None
    """None if it was not judged."""
    safe: bool
    """Whether it passes at the confidence of all of its model's candidates together."""
    price: float | None
    """What it takes, as a ratio to the baseline; less is better. None if unknown."""


def cheapest(offers: Iterable[Offer]) -> Offer | None:
    """The offer that passes and takes least; one of unknown price only if there is no other. None if none passes."""
    safe = (offer for offer in offers if offer.safe)
    return min(safe, key=lambda offer: (offer.price is None, offer.price or 0.0, offer.format), default=None)


def less_is_better(measure: str, ratio: float) -> float:
    """A measure's ratio to the baseline, turned so that less is better."""
    return 1 / ratio if MEASURES[measure].better == "higher" else ratio


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

    def offer(self, model: str) -> Offer:
        """As one of what can be shipped of a model; its verdict holds jointly with those of the others."""
        price = None if self.ratio is None or self.measure is None else less_is_better(self.measure, self.ratio.value)
        return Offer(model, self.name, self.verdict, self.passes, price)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The best candidate that passes, or the one that came closest."""

    baseline: str
    minimise: Minimise
    best: Choice | None
    closest: Choice | None
    """If none passes: the candidate with the worst line that exceeds its limit by the least."""
    choices: tuple[Choice, ...]

    @property
    def offers(self) -> tuple[Offer, ...]:
        """The choices, for `report.recommendation`."""
        return tuple(choice.offer(self.baseline) for choice in self.choices)


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
    if passing and not any(choice.ratio for choice in passing):
        raise ConfigError(
            f"{', '.join(c.name for c in passing)} would pass, but {minimise} is not known for two runs; "
            + _HOW_TO_MEASURE[minimise]
        )
    by_offer = {choice.offer(base.name): choice for choice in choices if choice.ratio}
    cheapest_offer = cheapest(by_offer)
    best = by_offer[cheapest_offer] if cheapest_offer else None
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
