"""Ratios of positive quantities, with intervals that hold for a handful of values: Student's t on their logarithms."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance


@dataclass(frozen=True, slots=True)
class Ratio:
    """One quantity over another; 1 is equal."""

    value: float
    low: float | None
    """None with `high` where there are too few values to say."""
    high: float | None
    n: int
    """Pairs; or where nothing is paired the values of the side that has fewer."""
    confidence: float


def paired_ratio(above: Sequence[float], below: Sequence[float], *, confidence: float = 0.95) -> Ratio | None:
    """Geometric mean of the pairs' ratios; exact where their logarithms are normal.

    None without pairs. Raises ValueError for values that aren't positive, and for sides of different length.
    """
    logs = [math.log(a) - math.log(b) for a, b in zip(above, below, strict=True)]
    if not logs:
        return None
    half = _t(confidence, len(logs) - 1) * math.sqrt(variance(logs) / len(logs)) if len(logs) > 1 else None
    return _ratio(fmean(logs), half, len(logs), confidence)


def ratio_of_rates(
    above: Sequence[tuple[float, float]], below: Sequence[tuple[float, float]], *, confidence: float = 0.95
) -> Ratio | None:
    """The rate of one series over that of another, nothing paired: (tokens, seconds) of the chunks of two runs, say.

    A rate is the sum of what was done over the sum of the seconds. The error of its logarithm is linearised (the ratio
    estimator of survey sampling, Cochran 1977, 6.4), with Welch's degrees of freedom. None where a series is empty or
    did nothing.
    """
    sides = [_log_rate(series) for series in (above, below)]
    if any(side is None for side in sides):
        return None
    (one, error, n), (other, other_error, m) = (side for side in sides if side)
    half = None
    if error is not None and other_error is not None:
        total = error + other_error
        freedom = total**2 / (error**2 / (n - 1) + other_error**2 / (m - 1)) if total else 1.0
        half = _t(confidence, freedom) * math.sqrt(total)
    return _ratio(one - other, half, min(n, m), confidence)


def _log_rate(series: Sequence[tuple[float, float]]) -> tuple[float, float | None, int] | None:
    """The logarithm of a rate, its squared standard error (None of a single value), and of how many values."""
    done, seconds, n = sum(d for d, _ in series), sum(s for _, s in series), len(series)
    if done <= 0 or seconds <= 0:
        return None
    rate = done / seconds
    if n < 2:
        return math.log(rate), None, n
    spread = sum((d - rate * s) ** 2 for d, s in series) / (n - 1)
    return math.log(rate), n * spread / done**2, n


def _ratio(log: float, half: float | None, n: int, confidence: float) -> Ratio:
    low, high = (None, None) if half is None else (math.exp(log - half), math.exp(min(log + half, 700.0)))
    return Ratio(math.exp(log), low, high, n, confidence)


def _t(confidence: float, freedom: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + confidence) / 2))
