"""Length inflation of a comparison, and the speed-up that is left of tokens per second when answers get longer."""

import math

from fidelity.comparison.results import Scores, values_of
from fidelity.stats import Ratio, bca_interval

COLUMN = "length_inflation"


def inflation_ratios(candidate: Scores, speed: Ratio | None) -> dict[str, Ratio]:
    """`length_inflation` of a candidate, and `effective_speedup` if its tokens per second are known; by measure."""
    inflation = length_inflation(candidate)
    if inflation is None:
        return {}
    effective = {"effective_speedup": effective_speedup(speed, inflation)} if speed else {}
    return {"length_inflation": inflation, **effective}


def length_inflation(candidate: Scores) -> Ratio | None:
    """Mean tokens of the candidate over those of the baseline, with a paired bootstrap over prompts (BCa, 95%).

    None if the column was not scored, or is 0.
    """
    if COLUMN not in candidate.columns:
        return None
    by_prompt = {prompt: value for prompt, value in values_of(candidate, COLUMN).items() if value}
    weights = [value.weight for value in by_prompt.values()]
    interval = bca_interval(list(by_prompt), [value.value for value in by_prompt.values()], weights=weights)
    if not interval.estimate:
        return None
    return Ratio(interval.estimate, interval.low, interval.high, len(by_prompt), interval.confidence)


def effective_speedup(speed: Ratio, inflation: Ratio) -> Ratio:
    """The ratio of tokens per second divided by the inflation: how much sooner the same prompts are answered.

    The two errors are independent (one is over chunks or turns, the other over prompts), so their distances on the
    logarithm add as squares. No interval if one of them has none.
    """
    value = speed.value / inflation.value
    n = min(speed.n, inflation.n)
    ends = (speed.low, speed.high, inflation.low, inflation.high)
    if not all(ends):
        return Ratio(value, None, None, n, speed.confidence)
    slow, fast, short, long = (math.log(end) for end in ends if end)
    middle, length = math.log(speed.value), math.log(inflation.value)
    below, above = math.hypot(middle - slow, long - length), math.hypot(fast - middle, length - short)
    return Ratio(value, value * math.exp(-below), value * math.exp(above), n, speed.confidence)
