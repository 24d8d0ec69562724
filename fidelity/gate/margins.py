"""Margins: non-inferiority on the mean excess, and on the worst 5% of prompts."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from fidelity.gate.evidence import SEED, Measured
from fidelity.gate.lines import (
    Judged,
    VerdictPlan,
    corrected_level,
    distance,
    in_words,
    shares_in_words,
    unjudged,
    what_would_decide,
    why_later,
)
from fidelity.gate.verdict import Line, LineKind
from fidelity.records import Floats, PromptNumbers, PromptValues
from fidelity.stats import (
    Bound,
    Interval,
    RunNoise,
    betting_bound,
    betting_p_value,
    detectable_excess,
    prompts_needed,
    stars,
    studentised_intervals,
    tail_excess,
    tail_noise,
)
from fidelity.stats.bootstrap import FEWEST_IN_TAIL_STUDY

NO_YARDSTICK = (
    "All runs of the baseline are equal here, so any cause of another answer counts as drift, other kernels included: "
    "compare with a run of the baseline with other kernels, or gate ear, top1_agreement, conflicts and breaks."
)

AtConfidence: TypeAlias = Callable[[float], Interval | None]


def judge_margin(name: str, margin: float, measured: Measured, study: VerdictPlan) -> Judged:
    """Non-inferiority on the mean excess: it passes if the upper bound is below the margin.

    For the prompts the betting bound, for any distribution and any number of prompts; the studentised bootstrap,
    asymptotic, where the column has no known range, or where its mean is weighted. For the runs, whose batches prompts
    share, Student's t (`run_noise`): both distances are added as independent errors are.
    """
    if study.why_no_floor:
        return unjudged("margin", name, margin, study.why_no_floor)
    excess = measured.excess().known
    if not excess:
        return unjudged("margin", name, margin, "no prompt could be scored in the candidate and in every control")
    noise = measured.run_noise()
    if noise and noise.error and not study.complete:
        return unjudged("margin", name, margin, f"what batches add is known at the end, after {study.planned} prompts")
    if measured.column.bounds is None or measured.column.weights is not None:
        judged = _asymptotic_margin(name, margin, excess, measured, study, noise)
    else:
        judged = _betting_margin(name, margin, excess, measured.column.bounds, study, noise)
    reason = judged.line.reason
    if measured.only_reference:
        reason = f"{reason.removesuffix('.')}; batches are not in it ({measured.only_reference})."
    if judged.line.outcome != "pass" and _has_no_yardstick(measured):
        reason = f"{reason} {NO_YARDSTICK}"
    return replace(judged, line=replace(judged.line, reason=reason))


def _has_no_yardstick(measured: Measured) -> bool:
    """Whether all runs of the baseline are equal, so that their similarity shows no noise to compare with."""
    bounds = measured.column.bounds
    if measured.among is None or measured.column.better != "higher" or bounds is None:
        return False
    floor = measured.floor().known
    return bool(floor) and float(floor.array.min()) == bounds[1]


def excess_bound(measured: Measured, study: VerdictPlan) -> Bound | None:
    """The bound of the mean excess over prompts and runs; None without a value, and where only a bootstrap would do."""
    excess = measured.excess().known
    if not excess or measured.column.bounds is None or measured.column.weights is not None:
        return None
    by_prompts = _bet(excess, measured.column.bounds[1] - measured.column.bounds[0], study)
    return with_runs(by_prompts, measured.run_noise())


def judge_tail(name: str, limit: float, measured: Measured, study: VerdictPlan) -> Judged:
    """Excess of the worst 5% of prompts, q05(control) - q05(candidate): a percentile bootstrap, asymptotic.

    Both noises are in it as in a margin. With all of the baseline's runs as references, each similarity is a mean over
    the same number of runs on both sides.
    """
    if study.why_no_floor:
        return unjudged("tail", name, limit, study.why_no_floor)
    if not study.complete:
        return unjudged("tail", name, limit, why_later(study))
    ids = measured.excess().known.prompts.ids
    if len(ids) < FEWEST_IN_TAIL_STUDY:
        why = f"5% of {len(ids)} prompts are too few; use at least {FEWEST_IN_TAIL_STUDY} prompts"
        return unjudged("tail", name, limit, why, n=len(ids), needed=FEWEST_IN_TAIL_STUDY)
    sign = -1.0 if measured.column.better == "lower" else 1.0
    candidate, floor = (sign * values for values in measured.arrays())
    noise = None
    if measured.among is not None:
        noise = tail_noise(candidate, floor)
        floor, candidate = stars(candidate, floor)

    def by_prompts(confidence: float) -> Interval | None:
        return tail_excess(ids, list(floor), list(candidate), confidence=confidence, seed=SEED)

    return _bootstrapped("tail", name, limit, by_prompts, noise, study, what="Excess of the worst 5% of prompts")


def _betting_margin(
    name: str,
    margin: float,
    excess: PromptNumbers,
    bounds: tuple[float, float],
    study: VerdictPlan,
    noise: RunNoise | None,
) -> Judged:
    width = bounds[1] - bounds[0]
    by_prompts = _bet(excess, width, study)
    bound = with_runs(by_prompts, noise)
    passes, beyond = bound.upper < margin, bound.lower > margin
    needed = None if passes or beyond else prompts_needed(by_prompts, margin, runs=noise)
    reason = in_words("Mean excess", bound.mean or 0.0, bound.lower, bound.upper, margin, study)
    from_prompts, from_runs = distance(by_prompts, margin), None if noise is None else noise.distance(study.confidence)
    reason += shares_in_words(from_prompts, from_runs)
    line = Line(
        kind="margin",
        name=name,
        outcome="pass" if passes else "inconclusive",
        reason=reason + ("" if passes or beyond else what_would_decide(needed, bound.n, noise)) + ".",
        value=bound.mean,
        limit=margin,
        lower=bound.lower,
        upper=bound.upper,
        detectable=detectable_excess(bound),
        prompts_needed=needed,
        n=bound.n,
        asymptotic=bool(noise and noise.error),
        from_prompts=from_prompts,
        from_runs=from_runs,
    )
    p_value = 1.0
    if beyond and noise and noise.error:

        def is_beyond(confidence: float) -> bool:
            at = replace(study, confidence=confidence)
            return with_runs(_bet(excess, width, at), noise).lower > margin

        p_value = corrected_level(is_beyond, study)
    elif beyond:
        p_value = betting_p_value(
            *_inside(excess, width), margin, side="above", low=-width, high=width, seed=SEED, planned=study.planned
        )
    return Judged(line, p_value)


def _bet(excess: PromptNumbers, width: float, study: VerdictPlan) -> Bound:
    """The range's width: an excess is the difference of two values in it."""
    return betting_bound(
        *_inside(excess, width), low=-width, high=width, confidence=study.confidence, seed=SEED, planned=study.planned
    )


def with_runs(bound: Bound, noise: RunNoise | None) -> Bound:
    """A bound that holds over prompts and runs: each distance from the mean is the root of the sum of two squares."""
    if noise is None or not noise.error or bound.mean is None:
        return bound
    runs, mean = noise.distance(bound.confidence), bound.mean
    upper, lower = mean + math.hypot(bound.upper - mean, runs), mean - math.hypot(mean - bound.lower, runs)
    return replace(bound, lower=max(bound.range[0], lower), upper=min(bound.range[1], upper))


def _asymptotic_margin(
    name: str,
    margin: float,
    excess: PromptNumbers,
    measured: Measured,
    study: VerdictPlan,
    noise: RunNoise | None,
) -> Judged:
    if not study.complete:
        return unjudged("margin", name, margin, why_later(study))
    weights = None
    if measured.column.weights is not None:
        weights = [PromptValues.of(measured.candidate).at(excess.prompts).weights]
    ids, columns = excess.prompts.ids, [excess.array]

    def by_prompts(confidence: float) -> Interval | None:
        return studentised_intervals(ids, columns, weights=weights, confidence=confidence, seed=SEED)[0]

    return _bootstrapped("margin", name, margin, by_prompts, noise, study, what="Mean excess")


def _bootstrapped(
    kind: LineKind,
    name: str,
    limit: float,
    by_prompts: AtConfidence,
    noise: RunNoise | None,
    study: VerdictPlan,
    *,
    what: str,
) -> Judged:
    prompts = by_prompts(study.two_sided)
    bounds = _with_runs_around(prompts, noise)
    if bounds is None or bounds.estimate is None or bounds.low is None or bounds.high is None:
        return unjudged(kind, name, limit, "the prompts are too few for a bootstrap", n=bounds.n if bounds else 0)

    def beyond(confidence: float) -> bool:
        at = _with_runs_around(by_prompts(2 * confidence - 1), noise)
        return at is not None and at.low is not None and at.low > limit

    from_prompts, from_runs = distance(prompts, limit), None if noise is None else noise.distance(study.confidence)
    reason = in_words(what, bounds.estimate, bounds.low, bounds.high, limit, study)
    line = Line(
        kind=kind,
        name=name,
        outcome="pass" if bounds.high < limit else "inconclusive",
        reason=f"{reason}{shares_in_words(from_prompts, from_runs)} (bootstrap, asymptotic).",
        value=bounds.estimate,
        limit=limit,
        lower=bounds.low,
        upper=bounds.high,
        n=bounds.n,
        asymptotic=True,
        from_prompts=from_prompts,
        from_runs=from_runs,
    )
    return Judged(line, corrected_level(beyond, study))


def _with_runs_around(by_prompts: Interval | None, noise: RunNoise | None) -> Interval | None:
    """`with_runs` for both ends of an interval."""
    if by_prompts is None or noise is None:
        return by_prompts
    low, mean, high = by_prompts.low, by_prompts.estimate, by_prompts.high
    if low is None or mean is None or high is None:
        return by_prompts
    runs = noise.distance((1 + by_prompts.confidence) / 2)
    return replace(by_prompts, low=mean - math.hypot(mean - low, runs), high=mean + math.hypot(high - mean, runs))


def _inside(excess: PromptNumbers, width: float) -> tuple[Sequence[str], Floats]:
    """Clip values that rounding has moved slightly beyond the range. Values further out are an error in the column."""
    values = excess.array
    near = np.abs(values) < width * (1 + 1e-9)
    return excess.prompts.ids, np.where(near, np.clip(values, -width, width), values)
