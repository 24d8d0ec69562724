"""Betting bounds: bounds for the mean of bounded values, at any number of prompts and for any distribution.

To show that a mean is below m, bet against its being m or more: wealth changes by a stake times (m - x) with each
value x. If the mean is m or more, wealth can't be expected to grow, and reaches 1/level times its start with
probability at most `level` (Ville). The upper bound is the smallest m against which it got there. Waudby-Smith &
Ramdas, "Estimating means of bounded random variables by betting", JRSS-B 2024. docs/statistics.md lists the stakes
that were tried, with measurements.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fidelity.records import Floats
from fidelity.stats.order import reading_order

Bets: TypeAlias = Literal["target", "plug_in"]

GOAL = 2 / 3
"""The target as a multiple of the required wealth, since aiming at exactly the required wealth often falls short."""
MOST_BETS = 20_000
"""Of more prompts, the means of equal blocks are bet on, which are in the same range and have the same mean."""
LARGEST_SHARE = 0.95
"""The maximum share of the wealth that one value can cost: with 1 a single broken prompt would end the bets."""


@dataclass(frozen=True)
class Bound:
    """One-sided bounds for a mean, each wrong with probability at most 1 - confidence."""

    mean: float | None
    """Mean of the values, in their unit; `None` without any."""
    lower: float
    """In the values' unit and range; the range's low end without values."""
    upper: float
    """In the values' unit and range; the range's high end without values."""
    spread: float | None
    """Standard deviation (n - 1); `None` below two values."""
    n: int
    """The number of values used, without missing ones."""
    confidence: float
    """The confidence of each bound."""
    planned: int | None
    """Any-time form: the total number of prompts. `None`: fixed-size form."""
    seed: int
    """The seed of the reading order."""
    range: tuple[float, float]
    """The range of the values."""


def betting_bound(
    ids: Sequence[str],
    values: Sequence[float | None] | Floats,
    *,
    low: float,
    high: float,
    confidence: float = 0.95,
    seed: int = 0,
    planned: int | None = None,
    bets: Bets = "target",
) -> Bound:
    """Lower and upper bound for the mean of values in [low, high], one value per prompt id.

    Each bound holds by itself: P(mean < lower) <= 1 - confidence and P(mean > upper) <= 1 - confidence, for every
    number of independent prompts and every distribution on the range. Without `planned` this holds for a number of
    prompts that is fixed beforehand. With `planned` (the total number of prompts) it holds at all times
    simultaneously: call again after every batch, and stop at any time (a confidence sequence, running intersection).
    Reading beyond `planned` adds nothing. Neither bound crosses the mean.

    `bets="target"` (Koning & van Meer 2025, "Anytime validity is free"; Voracek & Orabona 2025, "STaR-Bets") is what
    the gate uses; `"plug_in"` are those of Waudby-Smith & Ramdas' hedged capital, cut at half of the wealth, for
    comparison.

    Missing values are `None` or NaN. Without values the bound is the range. Bounds are on the safe side of a search
    with a precision of 1e-6 of the range. Raises ValueError for a value outside the range and for a duplicate id.
    """
    known = _read(ids, values, low, high, seed)
    n, width = len(known), high - low
    if n == 0:
        return Bound(None, low, high, None, 0, confidence, planned, seed, (low, high))
    mean, spread = float(np.mean(known)), float(np.std(known, ddof=1)) if n > 1 else None
    x, planned_bets, size = _in_blocks((known - low) / width, planned)
    if not len(x):
        return Bound(mean, low, high, spread, n, confidence, planned, seed, (low, high))
    both = np.stack([x, 1 - x], axis=1)
    upper, mirrored = upper_bounds(both, 1 - confidence, planned=planned_bets, bets=bets, size=size)
    lower, upper = min(mean, high - width * float(mirrored)), max(mean, low + width * float(upper))
    return Bound(mean, lower, upper, spread, n, confidence, planned, seed, (low, high))


def betting_p_value(
    ids: Sequence[str],
    values: Sequence[float | None] | Floats,
    margin: float,
    *,
    side: Literal["above", "below"],
    low: float,
    high: float,
    seed: int = 0,
    planned: int | None = None,
) -> float:
    """Smallest level at which the target bets show that the mean is above (or below) `margin`, in [1e-12, 1].

    p <= 1 - confidence exactly if `betting_bound` (target bets, same seed and plan) is beyond the margin, up to the
    precision of both searches. Valid by itself, so it can be used in Holm's correction. 1 without values, and if not
    even the mean is beyond. Raises ValueError for a margin outside the open range.
    """
    if not low < margin < high:
        raise ValueError(
            f"a margin of {margin} can't be tested: it must be inside ({low}, {high}), the range of the values"
        )
    x = (_read(ids, values, low, high, seed) - low) / (high - low)
    m = (margin - low) / (high - low)
    if side == "above":
        x, m = 1 - x, 1 - m
    if len(x) == 0 or x.mean() >= m:
        return 1.0
    x, planned, size = _in_blocks(x, planned)
    column = x[:, None]

    def rejected(log_levels: Floats) -> NDArray[np.bool_]:
        return peak_wealth(column, np.full_like(log_levels, m), 10**log_levels, planned=planned, size=size) >= 1

    return float(10 ** _first_rejected(rejected, np.array([-12.0]), np.array([0.0]))[0])


def upper_bounds(
    x: Floats, level: float, *, planned: int | None = None, bets: Bets = "target", size: int = 1
) -> Floats:
    """Upper bounds, each at `level`, for the means of columns in [0, 1]: prompts (in reading order) x columns.

    Never below the column's own mean, which an unlucky order of few large values could otherwise do.
    """

    def rejected(means: Floats) -> NDArray[np.bool_]:
        return peak_wealth(x, means, np.full_like(means, level), planned=planned, bets=bets, size=size) >= 1

    columns = x.shape[1]
    bounds: Floats = np.maximum(_first_rejected(rejected, np.zeros(columns), np.ones(columns)), x.mean(axis=0))
    return bounds


def peak_wealth(
    x: Floats, means: Floats, levels: Floats, *, planned: int | None = None, bets: Bets = "target", size: int = 1
) -> Floats:
    """Highest wealth over time, 1 = enough to reject "the mean is `means` or more" at `levels`.

    x is prompts x columns in [0, 1]; `means` (in the unit interval) and `levels` are candidates x columns, as
    what comes back. `size` is the number of prompts that each row of x is the mean of.
    """
    variance = _predictable_variance(x, size)
    if bets == "plug_in":
        return _plug_in_wealth(x, means, levels, variance, planned=planned)
    return _target_wealth(x, means, levels, variance, planned=planned)


def _target_wealth(x: Floats, means: Floats, levels: Floats, variance: Floats, *, planned: int | None) -> Floats:
    """Wealth of bets that aim at a target by a horizon: monotone in `means` and in `levels`.

    Wealth w, in shares of the target, is treated as the chance that a z-test at the horizon will reject; the stake
    that keeps it so is phi(Phi^-1(w)) / (sd sqrt(steps left)), with sd estimated from the values before. It is cut
    where one value could cost more than LARGEST_SHARE of the wealth or win more than the target. That stake is
    concave in w with zeros at 0 and 1, so one step maps more wealth to more wealth, and a larger mean to more
    wealth: what is rejected at m and level is rejected above both.
    """
    from scipy.special import ndtri

    horizons, parts = _plan(len(x), planned)
    sd = np.sqrt(2 * np.pi * variance)
    wealth = np.multiply.outer(parts, levels * GOAL)
    peak = wealth.sum(axis=0)
    least = np.finfo(float).tiny  # a mean of 0 or 1 caps nothing
    loss_cap, gain_cap = LARGEST_SHARE / np.maximum(1 - means, least), 1 / np.maximum(means, least)
    for t in range(min(len(x), horizons[0])):
        left = np.array([horizon - t for horizon in horizons if horizon > t])
        live = wealth[: len(left)]
        stake = np.exp(-0.5 * ndtri(live) ** 2) / (np.sqrt(left)[:, None, None] * sd[t])
        np.minimum(stake, live * loss_cap, out=stake)
        np.minimum(stake, (1 - live) * gain_cap, out=stake)
        stake *= means - x[t]
        live += stake
        np.clip(live, 0, 1, out=live)
        np.maximum(peak, wealth.sum(axis=0), out=peak)
    reached: Floats = peak / GOAL
    return reached


def _plan(n: int, planned: int | None) -> tuple[list[int], Floats]:
    """Horizons, longest first, and their parts of the level: n alone, or `planned` and its halvings at 8:4:2:1."""
    if planned is None:
        return [n], np.array([1.0])
    return [math.ceil(planned / 2**i) for i in range(4)], np.array([8, 4, 2, 1]) / 15


def _plug_in_wealth(x: Floats, means: Floats, levels: Floats, variance: Floats, *, planned: int | None) -> Floats:
    """Wealth of Waudby-Smith & Ramdas' predictable plug-in: tuned for n, or for no n in particular."""
    t = np.arange(1, len(x) + 1)
    steps = len(x) if planned is None else t * np.log(t + 1)
    stakes = np.sqrt(2 / (steps * variance.T)).T
    log_wealth, peak = np.log(levels), np.log(levels)
    for stake, value in zip(stakes, x, strict=True):
        capped = np.minimum(stake * np.sqrt(-np.log(levels)), 0.5 / (1 - means))
        log_wealth = log_wealth + np.log1p(capped * (means - value))
        peak = np.maximum(peak, log_wealth)
    reached: Floats = np.exp(np.minimum(peak, 0))
    return reached


def _in_blocks(x: Floats, planned: int | None) -> tuple[Floats, int | None, int]:
    """Means of consecutive blocks in place of more than MOST_BETS values, how many are planned, and a block's size.

    Independent values of one mean give independent block means of that mean, in the same range, so what holds for bets
    on values holds for bets on blocks (docs/decisions/021-a-million-pairs.md). While more prompts are to come, a block
    that isn't full waits.
    """
    size = math.ceil((planned or len(x)) / MOST_BETS)
    if size <= 1:
        return x, planned, 1
    if planned is not None:
        x = x[:planned] if len(x) >= planned else x[: len(x) - len(x) % size]
    starts = np.arange(0, len(x), size)
    sums = np.add.reduceat(x, starts) if len(x) else x
    return sums / np.diff(starts, append=len(x)), planned and math.ceil(planned / size), size


def _predictable_variance(x: Floats, size: int) -> Floats:
    """For each value a variance from those before it and from one made-up prompt with mean 1/2 and variance 1/4.

    Where values are means of `size` prompts, one prompt is a value with that fraction of the weight.
    """
    prompt = 1 / size
    seen = np.arange(1, len(x) + 1)[:, None] + prompt
    means = (0.5 * prompt + np.cumsum(x, axis=0)) / seen
    variances = (0.25 * prompt + np.cumsum((x - means) ** 2, axis=0)) / seen
    known: Floats = np.concatenate([np.full((1, x.shape[1]), 0.25 * prompt), variances])[: len(x)]
    return known


def _first_rejected(rejected: Callable[[Floats], NDArray[np.bool_]], low: Floats, high: Floats) -> Floats:
    """Per column the smallest rejected point in (low, high], to a millionth; `high` counts as rejected."""
    candidates = max(1, 200 // len(low))
    steps = (np.arange(1, candidates + 1) / (candidates + 1))[:, None]
    for _ in range(int(np.ceil(np.log(1e6) / np.log(candidates + 1)))):
        grid = np.concatenate([low[None], low + (high - low) * steps, high[None]])
        first = np.argmax(np.concatenate([rejected(grid[1:-1]), np.ones((1, len(low)), dtype=np.bool_)]), axis=0)
        low, high = (np.take_along_axis(grid, first[None] + offset, axis=0)[0] for offset in (0, 1))
    return high


def _read(ids: Sequence[str], values: Sequence[float | None] | Floats, low: float, high: float, seed: int) -> Floats:
    if len(ids) != len(values):
        raise ValueError(f"one value per id: {len(ids)} ids, {len(values)} values")
    ordered = np.array(values, dtype=np.float64)[reading_order(ids, seed=seed)]
    known: Floats = ordered[~np.isnan(ordered)]
    outside = known[(known < low) | (known > high)]
    if outside.size:
        raise ValueError(
            f"{outside.size} of {known.size} values are outside [{low}, {high}], the first is {outside[0]}"
        )
    return known
