"""What a study can see, and how large it would have to be: extrapolated from the measured spread, no guarantees."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from fidelity.stats.betting import GOAL, LARGEST_SHARE, Bound, peak_wealth
from fidelity.stats.run_noise import RunNoise

POWER = 0.8
"""The probability with which a study of the planned size is to decide."""
WARM_UP = 0.3
"""In the unit of log(1 / (1 - confidence)) / LARGEST_SHARE, what the bound loses before its bets are as large as they
may be, since it does not know yet that values hardly vary: measured without any spread, at confidences of 0.9 to
0.999 and margins down to 0.01 (tests/stats/test_planning.py)."""
MOST_SIMULATED = 20_000
"""Prompts up to which `fewest_prompts` reads through the values; beyond, the formula is right to some per mille."""
MOST_PROMPTS = 10_000_000
"""Beyond this the answer is that no number of prompts decides."""


def detectable_excess(bound: Bound) -> float | None:
    """How far beyond its margin an excess must be to fail with probability POWER, at this size and spread.

    The distance from mean to lower bound plus what the mean itself may vary by, z(POWER) x spread / sqrt(n); in the
    values' unit. `None` below two values.
    """
    from scipy.special import ndtri

    if bound.mean is None or bound.spread is None:
        return None
    return bound.mean - bound.lower + float(ndtri(POWER)) * bound.spread / math.sqrt(bound.n)


def prompts_needed(bound: Bound, margin: float, *, runs: RunNoise | None = None) -> int | None:
    """How many prompts would decide (pass or fail) with probability POWER, were mean and spread what was measured.

    The distance from mean to (fixed-size) bound is taken as sqrt((z spread)^2 / n + (r / n)^2): 1/sqrt(n) for the
    spread; 1/n for what is too rare to have been seen, with r what the range leaves beyond the mean x
    (log(1 / (1 - confidence)) / LARGEST_SHARE + WARM_UP). The spread is taken one standard error larger than measured.
    Never fewer than values without any spread take. The noise of `runs` is taken as it is, whatever the number of
    prompts. May be smaller than the study. `None` below two values, where the mean is the margin, and beyond ten
    million: then no number of prompts decides.
    """
    from scipy.special import ndtri

    if bound.mean is None or bound.spread is None:
        return None
    mean = bound.mean
    spread = bound.spread * (1 + 1 / math.sqrt(2 * (bound.n - 1)))
    beyond = bound.range[1] - mean if mean < margin else mean - bound.range[0]
    rest = beyond * _unseen(bound.confidence)
    slope = -float(ndtri((1 - bound.confidence) * GOAL)) * spread
    z = float(ndtri(POWER))
    error, from_runs = (runs.error, runs.distance(bound.confidence)) if runs else (0.0, 0.0)

    def decides(n: int) -> bool:
        reach = math.sqrt(slope**2 / n + (rest / n) ** 2 + from_runs**2)
        return reach + z * math.sqrt(spread**2 / n + error**2) <= abs(margin - mean)

    needed = _fewest(decides)
    low, high = bound.range
    value, limit = (mean, margin) if mean < margin else (low + high - mean, low + high - margin)
    while (
        needed
        and needed <= MOST_SIMULATED
        and not _still_passes(needed, value, limit, low=low, high=high, confidence=bound.confidence)
    ):
        needed = math.ceil(1.02 * needed)
    return needed


def fewest_prompts(
    margin: float, *, low: float = -1.0, high: float = 1.0, confidence: float = 0.95, any_time: bool = False
) -> int:
    """How many prompts it takes until the betting bound of values in [low, high] that are all 0 is below `margin`.

    With fewer, a margin can't be passed by a candidate without any excess, but only by one that happens to be closer
    to the baseline than the control is. On [-1, 1] at 95% it takes 34 prompts for a margin of 0.10, 68 for 0.05, 172
    for 0.02. With `any_time` it is that form's bound, read to its end. Raises ValueError unless 0 < margin < high.
    """
    if not 0 < margin < high:
        raise ValueError(f"a margin of {margin} is not inside (0, {high})")
    estimate = max(1, math.ceil(_unseen(confidence) * high / margin))
    if estimate > MOST_SIMULATED:
        return estimate
    decides = partial(
        _still_passes, value=0.0, margin=margin, low=low, high=high, confidence=confidence, any_time=any_time
    )
    bottom, top = 0, estimate
    while not decides(top):
        bottom, top = top, math.ceil(1.1 * top)
    while top - bottom > 1:
        middle = (bottom + top) // 2
        bottom, top = (bottom, middle) if decides(middle) else (middle, top)
    return top


def prompts_needed_for_share(k: int, n: int, limit: float, *, confidence: float = 0.95) -> int | None:
    """How many prompts would put the Clopper-Pearson bound on one side of `limit`, if the share stayed k / n.

    With k = 0: log(1 - confidence) / log(1 - limit). `None` for n = 0, a share at the limit, and beyond ten million.
    """
    from scipy.special import betaincinv

    if n == 0:
        return None
    share = k / n

    def decides(size: int) -> bool:
        if share < limit:
            return bool(betaincinv(share * size + 1, (1 - share) * size, confidence) <= limit)
        return bool(betaincinv(share * size, (1 - share) * size + 1, 1 - confidence) > limit)

    return _fewest(decides)


def _still_passes(
    n: int, value: float, margin: float, *, low: float, high: float, confidence: float, any_time: bool = False
) -> bool:
    """Whether the upper bound of n values that are all the same is below `margin`."""
    width = high - low
    still = np.full((n, 1), (value - low) / width)
    means, levels = np.array([[(margin - low) / width]]), np.array([[1 - confidence]])
    return bool(peak_wealth(still, means, levels, planned=n if any_time else None)[0, 0] >= 1)


def _unseen(confidence: float) -> float:
    """What a bound over n values that don't vary leaves open, times n, as a share of the range beyond them."""
    return -math.log(1 - confidence) / LARGEST_SHARE + WARM_UP


def _fewest(decides: Callable[[int], bool]) -> int | None:
    """Smallest number from 1 on that decides; larger ones do then."""
    if not decides(MOST_PROMPTS):
        return None
    low, high = 0, MOST_PROMPTS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high
