"""Shared by all lines of a gate: the study that they belong to, and sentences about bounds."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from fidelity.gate.verdict import Line, LineKind
from fidelity.stats import Bound, Interval, RunNoise

ENOUGH_CONTROLS = 4
"""With more of them Student's t hardly gets smaller: 6.3, 2.9, 2.4, 2.1, 2.0 with one to five."""
ROUND = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0)


@dataclass(frozen=True, slots=True)
class VerdictPlan:
    """The settings that all lines of one verdict share."""

    confidence: float
    tests: int
    """The number of lines that can fail, for Holm's correction."""
    planned: int | None = None
    """Use any-time bounds, for a study that stops when they decide; see `betting_bound`."""
    complete: bool = True
    """False while such a study is unfinished. Lines without any-time bounds are only judged at its end."""
    why_no_floor: str = ""
    """Why there is no floor; empty if there is."""

    @property
    def two_sided(self) -> float:
        """The confidence of an interval whose ends are one-sided bounds at `confidence`."""
        return 2 * self.confidence - 1

    @property
    def at(self) -> str:
        return f"at {percent(self.confidence)}"


@dataclass(frozen=True, slots=True)
class Judged:
    """A line that passes or is inconclusive. Holm's correction of all p-values decides whether it fails."""

    line: Line
    p_value: float = 1.0
    """The p-value for exceeding the limit. With a bootstrap it is one of the levels that Holm's correction uses."""


def unjudged(kind: LineKind, name: str, limit: float, why: str, *, n: int = 0, needed: int | None = None) -> Judged:
    """A line that can't be judged."""
    line = Line(kind, name, "inconclusive", f"Not judged: {why}.", limit=limit, prompts_needed=needed, n=n)
    return Judged(line)


def why_later(study: VerdictPlan) -> str:
    """Why a bootstrap's line waits for the end of a study that can stop early."""
    return f"a bootstrap can only be judged once, when all {study.planned} prompts are finished"


def corrected_level(beyond: Callable[[float], bool], study: VerdictPlan) -> float:
    """The smallest level of Holm's correction at which a lower bound exceeds the limit.

    Args:
        beyond: Whether the one-sided lower bound at a given confidence is beyond the limit.
        study: The verdict's study.
    """
    p_value = 1.0
    for step in range(1, study.tests + 1):
        level = (1 - study.confidence) / step
        if not beyond(1 - level):
            break
        p_value = level * (1 - 1e-9)
    return p_value


def in_words(what: str, mean: float, lower: float, upper: float, limit: float, study: VerdictPlan) -> str:
    """One sentence, without its period: the mean, the decisive bound, and the margin."""
    if upper < limit:
        return f"{what} {mean:+.3f}, at most {_apart(upper, limit)} {study.at}: below the margin of {limit:g}"
    if lower > limit:
        return f"{what} {mean:+.3f}, at least {_apart(lower, limit)} {study.at}: beyond the margin of {limit:g}"
    return f"{what} {mean:+.3f}, between {lower:+.3f} and {upper:+.3f} {study.at}, around the margin of {limit:g}"


def distance(bound: Bound | Interval | None, limit: float) -> float:
    """From the mean of a bound, or the estimate of an interval, to its end on the limit's side; 0 without one."""
    match bound:
        case Bound(mean=float(mean), lower=lower, upper=upper):
            return upper - mean if mean < limit else mean - lower
        case Interval(estimate=float(mean), low=float(lower), high=float(upper)):
            return upper - mean if mean < limit else mean - lower
    return 0.0


def shares_in_words(from_prompts: float, from_runs: float | None) -> str:
    """Where the distance from mean to bound comes from: ` (± 0.013 from prompts, ± 0.006 from batching)`."""
    batching = "" if from_runs is None else f", ± {from_runs:.3f} from batching"
    return f" (± {from_prompts:.3f} from prompts{batching})"


def what_would_decide(needed: int | None, n: int, noise: RunNoise | None = None) -> str:
    """The end of that sentence for an inconclusive line."""
    if needed is None and noise and noise.error and noise.freedom < ENOUGH_CONTROLS:
        return f"; more runs of the baseline would narrow it (control: {{repeats: {ENOUGH_CONTROLS}}})"
    if needed is None:
        return "; no number of prompts would decide at this mean and spread"
    if needed > n:
        return f"; it needs about {needed} prompts to decide, and there are {n}"
    return "; it needs more prompts to decide"


def percent(share: float) -> str:
    """`95%`, `98.33%`."""
    return f"{100 * share:.4g}%"


def rounded_up(limit: float) -> float:
    """The next larger round number."""
    size = 10.0 ** math.floor(math.log10(limit))
    return float(f"{next(r for r in ROUND if r * size > limit * (1 + 1e-9)) * size:.3g}")


def _apart(value: float, limit: float) -> str:
    """Format a number with at least three digits, and as many as it needs to differ visibly from the limit."""
    digits = next((d for d in range(3, 12) if float(f"{value:.{d}f}") != limit), 12)
    return f"{value:+.{digits}f}"
