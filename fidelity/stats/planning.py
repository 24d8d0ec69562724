"""What a study can see, and how large it would have to be: extrapolated from the measured spread, no guarantees."""

import math
from collections.abc import Callable

from fidelity.stats.betting import GOAL, LARGEST_SHARE, Bound

MOST_PROMPTS = 10_000_000
"""Beyond this the answer is that no number of prompts decides."""


def detectable_excess(bound: Bound, *, power: float = 0.8) -> float | None:
    """How far beyond its margin an excess must be to fail with probability `power`, at this size and spread.

    The distance from mean to lower bound plus what the mean itself may vary by, z(power) x spread / sqrt(n); in the
    values' unit. `None` below two values.
    """
    from scipy.special import ndtri

    if bound.mean is None or bound.spread is None:
        return None
    return bound.mean - bound.lower + float(ndtri(power)) * bound.spread / math.sqrt(bound.n)


def prompts_needed(bound: Bound, margin: float, *, power: float = 0.8) -> int | None:
    """How many prompts would decide (pass or fail) with probability `power`, were mean and spread what was measured.

    The distance from mean to (fixed-size) bound is taken as sqrt((z spread)^2 / n + (r / n)^2): 1/sqrt(n) for the
    spread; 1/n for what is too rare to have been seen, with r what the range leaves beyond the mean x
    log(1 / (1 - confidence)). May be smaller than the study. `None` below two values, where the mean is the margin, and
    beyond ten million: then no number of prompts decides.
    """
    from scipy.special import ndtri

    if bound.mean is None or bound.spread is None:
        return None
    mean, spread = bound.mean, bound.spread
    beyond = bound.range[1] - mean if mean < margin else mean - bound.range[0]
    rest = -beyond * math.log(1 - bound.confidence) / LARGEST_SHARE
    slope = -float(ndtri((1 - bound.confidence) * GOAL)) * spread
    luck = float(ndtri(power)) * spread

    def decides(n: int) -> bool:
        return math.sqrt(slope**2 / n + (rest / n) ** 2) + luck / math.sqrt(n) <= abs(margin - mean)

    return _fewest(decides)


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


def _fewest(decides: Callable[[int], bool]) -> int | None:
    """Smallest number from 1 on that decides; larger ones do then."""
    if not decides(MOST_PROMPTS):
        return None
    low, high = 0, MOST_PROMPTS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high
