"""Margins: non-inferiority on the mean excess, and on the worst 5 % of prompts."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

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
from fidelity.stats import (
    Bound,
    Interval,
    RunNoise,
    betting_bound,
    betting_p_value,
    detectable_excess,
    prompts_needed,
    studentised_intervals,
    tail_excess,
)
from fidelity.stats.bootstrap import FEWEST_IN_TAIL_STUDY

AtConfidence: TypeAlias = Callable[[float], Interval | None]


def judge_margin(name: str, margin: float, measured: Measured, study: VerdictPlan) -> Judged:
    """Non-inferiority on the mean excess: it passes if the upper bound is below the margin.

    For the prompts the betting bound, for any distribution and any number of prompts; the studentised bootstrap,
    asymptotic, where the column has no known range, or where its mean is weighted. For the runs, whose batches prompts
    share, Student's t (`run_noise`): both distances are added as independent errors are.
    """
    if study.why_no_floor:
        return unjudged("margin", name, margin, study.why_no_floor)
    excess = {prompt: value for prompt, value in measured.excess().items() if value is not None}
    if not excess:
        return unjudged("margin", name, margin, "no prompt could be scored in the candidate and in every control")
    noise = measured.run_noise(list(excess))
    if noise and noise.error and not study.complete:
        return unjudged("margin", name, margin, f"what batches add is known at the end, after {study.planned} prompts")
    if measured.column.bounds is None or measured.column.weights is not None:
        judged = _asymptotic_margin(name, margin, excess, measured, study, noise)
    else:
        judged = _betting_margin(name, margin, excess, measured.column.bounds, study, noise)
    if not measured.only_reference:
        return judged
    reason = f"{judged.line.reason.removesuffix('.')}; batches are not in it ({measured.only_reference})."
    return replace(judged, line=replace(judged.line, reason=reason))


def excess_bound(measured: Measured, study: VerdictPlan) -> Bound | None:
    """The bound of the mean excess over prompts and runs; None without a value, and where only a bootstrap would do."""
    excess = {prompt: value for prompt, value in measured.excess().items() if value is not None}
    if not excess or measured.column.bounds is None or measured.column.weights is not None:
        return None
    by_prompts = _bet(excess, measured.column.bounds[1] - measured.column.bounds[0], study)
    return with_runs(by_prompts, measured.run_noise(list(excess)))


def judge_tail(name: str, limit: float, measured: Measured, study: VerdictPlan) -> Judged:
    """Excess of the worst 5 % of prompts, q05(control) - q05(candidate): a percentile bootstrap, asymptotic."""
    if study.why_no_floor:
        return unjudged("tail", name, limit, study.why_no_floor)
    if not study.complete:
        return unjudged("tail", name, limit, why_later(study))
    floor = measured.floor()
    sign = -1.0 if measured.column.better == "lower" else 1.0
    candidate = {p: sign * v.value for p, v in measured.candidate.items() if v and floor.get(p) is not None}
    control = [sign * float(floor[p] or 0.0) for p in candidate]
    ids, n = list(candidate), len(candidate)
    if n < FEWEST_IN_TAIL_STUDY:
        why = f"5 % of {n} prompts are too few; use at least {FEWEST_IN_TAIL_STUDY} prompts"
        return unjudged("tail", name, limit, why, n=n, needed=FEWEST_IN_TAIL_STUDY)

    def interval(confidence: float) -> Interval | None:
        return tail_excess(ids, control, list(candidate.values()), confidence=confidence, seed=SEED)

    return _bootstrapped("tail", name, limit, interval, study, what="Excess of the worst 5 % of prompts")


def _betting_margin(
    name: str,
    margin: float,
    excess: Mapping[str, float],
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
    reason += shares_in_words(by_prompts, margin, noise)
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
        from_prompts=distance(by_prompts, margin),
        from_runs=None if noise is None else noise.distance(study.confidence),
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


def _bet(excess: Mapping[str, float], width: float, study: VerdictPlan) -> Bound:
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
    excess: Mapping[str, float],
    measured: Measured,
    study: VerdictPlan,
    noise: RunNoise | None,
) -> Judged:
    if not study.complete:
        return unjudged("margin", name, margin, why_later(study))
    weights = None
    if measured.column.weights is not None:
        weights = [[v.weight if (v := measured.candidate[prompt]) else 0.0 for prompt in excess]]

    def interval(confidence: float) -> Interval | None:
        by_prompts = studentised_intervals(
            list(excess), [list(excess.values())], weights=weights, confidence=confidence, seed=SEED
        )[0]
        ends = (by_prompts.low, by_prompts.estimate, by_prompts.high)
        if noise is None or None in ends:
            return by_prompts
        low, mean, high = (float(end or 0.0) for end in ends)
        runs = noise.distance((1 + confidence) / 2)
        return replace(by_prompts, low=mean - math.hypot(mean - low, runs), high=mean + math.hypot(high - mean, runs))

    return _bootstrapped("margin", name, margin, interval, study, what="Mean excess")


def _bootstrapped(
    kind: LineKind, name: str, limit: float, interval: AtConfidence, study: VerdictPlan, *, what: str
) -> Judged:
    bounds = interval(study.two_sided)
    if bounds is None or bounds.estimate is None or bounds.low is None or bounds.high is None:
        return unjudged(kind, name, limit, "the prompts are too few for a bootstrap", n=bounds.n if bounds else 0)

    def beyond(confidence: float) -> bool:
        at = interval(2 * confidence - 1)
        return at is not None and at.low is not None and at.low > limit

    reason = in_words(what, bounds.estimate, bounds.low, bounds.high, limit, study)
    line = Line(
        kind=kind,
        name=name,
        outcome="pass" if bounds.high < limit else "inconclusive",
        reason=f"{reason} (bootstrap, asymptotic).",
        value=bounds.estimate,
        limit=limit,
        lower=bounds.low,
        upper=bounds.high,
        n=bounds.n,
        asymptotic=True,
    )
    return Judged(line, corrected_level(beyond, study))


def _inside(excess: Mapping[str, float], width: float) -> tuple[list[str], list[float]]:
    """Clip values that rounding has moved slightly beyond the range. Values further out are an error in the column."""
    cut = {p: max(-width, min(width, e)) if abs(e) < width * (1 + 1e-9) else e for p, e in excess.items()}
    return list(cut), list(cut.values())
