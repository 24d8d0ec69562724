"""Bootstrap intervals over prompts, for orientation: they can't reflect what is too rare to be in the data.

All columns share the resampled prompts, so what is resampled together stays together, and one product of counts and
values serves all. Prompts are sorted by id first: neither the rows' order nor the number of cores changes a number.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fidelity.records import Floats
from fidelity.stats.order import reading_order

DrawCounts: TypeAlias = NDArray[np.int16]
Values: TypeAlias = Sequence[float | None] | Floats


MOST_RESAMPLED = 20_000
"""Of more prompts, equal blocks are resampled in place of single prompts (docs/decisions/021-a-million-pairs.md)."""
BLOCKS = 2_000
CELLS_AT_ONCE = 500_000
"""Resamples times prompts that are drawn, or put in order, together."""
GRID = 401
"""Points at which the distribution is known where blocks are resampled for a quantile."""
GRID_REACH = 6.0
"""How far they reach to both sides, in standard errors of the quantile's rank."""
TAIL = 0.05
"""The share of prompts that are the tail."""
FEWEST_IN_TAIL_STUDY = 200
"""The minimum number of prompts for a tail: 5% of them are ten."""
FEWEST_STUDENTISED = 10
"""With fewer values, too many resamples repeat one value and have no spread."""


@dataclass(frozen=True)
class Interval:
    """A two-sided interval; each end by itself is a one-sided bound at (1 + confidence) / 2."""

    estimate: float | None
    """The estimate, in the values' unit; `None` without values."""
    low: float | None
    """`None` with fewer than two values (ten if studentized), which give no spread."""
    high: float | None
    """`None` if `low` is."""
    confidence: float
    """Two-sided."""
    n: int
    """Number of prompts with a value (and a weight above 0)."""
    method: Literal["bca", "bias_corrected", "studentised", "percentile"]


def bca_interval(
    ids: Sequence[str],
    values: Values,
    *,
    weights: Values | None = None,
    statistic: Literal["mean", "median"] = "mean",
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """`bca_intervals` for a single column."""
    return bca_intervals(
        ids,
        [values],
        weights=None if weights is None else [weights],
        statistic=statistic,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )[0]


def bca_intervals(
    ids: Sequence[str],
    columns: Sequence[Values] | Floats,
    *,
    weights: Sequence[Values | None] | None = None,
    statistic: Literal["mean", "median"] = "mean",
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> list[Interval]:
    """Bias-corrected, accelerated bootstrap intervals (Efron 1987), one per column; a column is one value per id.

    Means are sum(w v) / sum(w), their acceleration is the jackknife's. Medians are weighted too (an exact half
    averages two values); they are bias-corrected without acceleration, as the jackknife fails for medians. Pass
    differences for paired values.

    `None` or NaN is a prompt without a value, which stays among those resampled but counts nowhere. No values:
    estimate and ends are `None`; a single one: only the ends; all equal: both ends are that value, as the bootstrap
    knows no other. Raises ValueError for an id that comes twice, a column of another length and negative weights.
    """
    v, w = _matrix(ids, columns, weights)
    mean, k = statistic == "mean", v.shape[1]
    once = np.ones((1, len(v)), dtype=np.int16)
    centre = _mean(v, w) if mean else np.array([_quantiles(v[:, j], once, w[:, j], 0.5)[0] for j in range(k)])
    scored = (w > 0).sum(axis=0)
    d = np.where(w > 0, v - centre, 0)
    drawn = np.empty((resamples, k))
    if len(v) > MOST_RESAMPLED and not mean:
        drawn = np.stack([_block_quantiles([d[:, j]], [w[:, j]], 0.5, resamples, seed)[:, 0] for j in range(k)], axis=1)
    elif len(v) > MOST_RESAMPLED:
        d, w = _in_blocks(d, w)
    if mean:
        for rows, (sums,), total in _resampled_sums([w * d], w, resamples, seed):
            drawn[rows] = _ratio(sums, total)
    elif len(v) <= MOST_RESAMPLED:
        for rows, counts in _resampled(len(v), resamples, seed):
            drawn[rows] = np.stack([_quantiles(d[:, j], counts, w[:, j], 0.5) for j in range(k)], axis=1)
    acceleration = _acceleration(d, w) if mean else np.zeros(k)
    results = []
    for j in range(k):
        ends = _bca_ends(drawn[:, j], float(acceleration[j]), d[w[:, j] > 0, j], confidence)
        results.append(_interval(centre[j], ends, int(scored[j]), confidence, "bca" if mean else "bias_corrected"))
    return results


def studentised_intervals(
    ids: Sequence[str],
    columns: Sequence[Values] | Floats,
    *,
    weights: Sequence[Values | None] | None = None,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> list[Interval]:
    """Bootstrap-t intervals for means without a known range, such as a change in log-probability: asymptotic only.

    Mean - q se (Efron 1981), with q the quantiles of (mean* - mean) / se* and se the (weighted) mean's linearised
    standard error. Missing values and degenerate columns as in `bca_intervals`; a resample of equal values, which has
    no se*, is left out.
    """
    v, w = _matrix(ids, columns, weights)
    centre = _mean(v, w)
    scored = (w > 0).sum(axis=0)
    d = np.where(w > 0, v - centre, 0)
    if len(v) > MOST_RESAMPLED:
        d, w = _in_blocks(d, w)
    scale = np.sqrt((w**2 * d**2).sum(axis=0)) / np.maximum(w.sum(axis=0), np.finfo(float).tiny)
    drawn = np.empty((resamples, d.shape[1]))
    terms = [w * d, (w * d) ** 2, w**2 * d, w**2]
    for rows, (sums, squares, mixed, weights_squared), total in _resampled_sums(terms, w, resamples, seed):
        shift = _ratio(sums, total)
        residual = squares - 2 * shift * mixed + shift**2 * weights_squared
        error = _ratio(np.sqrt(np.maximum(residual, 0)), total)
        drawn[rows] = _ratio(shift, np.where(error > 1e-9 * scale, error, 0))
    results = []
    for j in range(d.shape[1]):
        t = drawn[:, j][~np.isnan(drawn[:, j])]
        q = np.quantile(t, [(1 + confidence) / 2, (1 - confidence) / 2]) if t.size else np.zeros(2)
        results.append(_interval(centre[j], -q * scale[j], int(scored[j]), confidence, "studentised"))
    return results


def tail_excess(
    ids: Sequence[str],
    controls: Sequence[Values],
    candidates: Sequence[Values],
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval | None:
    """How much worse the worst prompts are: q05(control) - q05(candidate), with prompts resampled jointly.

    For similarities, in their unit, positive = worse; for columns where lower is better give them negated. With several
    columns on a side (`stars`), the means of their quantiles. Percentile interval. Only prompts with all values count;
    `None` with fewer than 200, as too few are in the tail. Quantiles average two values where q n is whole.
    """
    v, w = _matrix(ids, [*controls, *candidates], None)
    v = v[w.all(axis=1)]
    if len(v) < FEWEST_IN_TAIL_STUDY:
        return None
    equal = np.ones(len(v))

    def excess(counts: DrawCounts) -> Floats:
        tails = np.stack([_quantiles(column, counts, equal, TAIL) for column in v.T])
        difference: Floats = tails[: len(controls)].mean(axis=0) - tails[len(controls) :].mean(axis=0)
        return difference

    estimate = excess(np.ones((1, len(v)), dtype=np.int16))[0]
    if len(v) > MOST_RESAMPLED:
        tails = _block_quantiles(list(v.T), [equal] * v.shape[1], TAIL, resamples, seed)
        drawn = tails[:, : len(controls)].mean(axis=1) - tails[:, len(controls) :].mean(axis=1)
        low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
        return Interval(float(estimate), float(low), float(high), confidence, len(v), "percentile")
    drawn = np.concatenate([excess(counts) for _, counts in _resampled(len(v), resamples, seed)])
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(estimate), float(low), float(high), confidence, len(v), "percentile")


def _matrix(
    ids: Sequence[str], columns: Sequence[Values] | Floats, weights: Sequence[Values | None] | None
) -> tuple[Floats, Floats]:
    """Values and weights, prompts x columns in reading order; where either is missing both are 0."""
    order = reading_order(ids)
    v = np.empty((len(ids), len(columns)))
    w = np.ones_like(v)
    for j, column in enumerate(columns):
        weight = None if weights is None else weights[j]
        if len(column) != len(ids) or (weight is not None and len(weight) != len(ids)):
            raise ValueError(f"column {j} has not one value (and weight) for each of the {len(ids)} ids")
        v[:, j] = np.array(column, dtype=np.float64)[order]
        if weight is not None:
            w[:, j] = np.array(weight, dtype=np.float64)[order]
    if (w < 0).any():
        raise ValueError("weights must not be negative")
    missing = np.isnan(v) | np.isnan(w) | (w == 0)
    v[missing], w[missing] = 0, 0
    return v, w


def _block_of_each(n: int) -> NDArray[np.int64]:
    """The block of each of n prompts in reading order, which is random: blocks of equal size, as far as possible."""
    return np.arange(n) * BLOCKS // n


def _in_blocks(d: Floats, w: Floats) -> tuple[Floats, Floats]:
    """Weighted means of blocks, and their weights: the mean of all is the same."""
    starts = np.searchsorted(_block_of_each(len(d)), np.arange(BLOCKS))
    total, sums = np.add.reduceat(w, starts), np.add.reduceat(w * d, starts)
    return np.nan_to_num(_ratio(sums, total)), total


def _block_quantiles(
    columns: Sequence[Floats], weights: Sequence[Floats], q: float, resamples: int, seed: int
) -> Floats:
    """Quantiles of each column where blocks are resampled, jointly: resamples x columns.

    A resample's distribution is counted at GRID of the column's values around the quantile, 0.03 standard errors apart:
    its quantile is the first of them that enough of the resample reaches.
    """
    blocks = _block_of_each(len(columns[0]))
    grids, below = [], []
    for values, weight in zip(columns, weights, strict=True):
        order = np.argsort(values, kind="stable")
        reached = np.cumsum(weight[order])
        error = np.sqrt(q * (1 - q) * (weight**2).sum())
        at = np.searchsorted(reached, q * reached[-1] + error * np.linspace(-GRID_REACH, GRID_REACH, GRID))
        grid = np.unique(values[order[np.clip(at, 0, len(values) - 1)]])
        cell = np.searchsorted(grid, values)
        held = np.bincount(blocks * (len(grid) + 1) + cell, weight, BLOCKS * (len(grid) + 1))
        grids.append(grid)
        below.append(np.cumsum(held.reshape(BLOCKS, -1), axis=1))
    drawn = np.empty((resamples, len(columns)))
    for rows, counts in _resampled(BLOCKS, resamples, seed):
        for j, (grid, held) in enumerate(zip(grids, below, strict=True)):
            reached = counts.astype(np.float64) @ held
            total = reached[:, -1:]
            first = np.argmax(reached >= (q - 1e-12) * total, axis=1)
            drawn[rows, j] = np.where(total[:, 0] > 0, grid[np.minimum(first, len(grid) - 1)], np.nan)
    return drawn


def _resampled(n: int, resamples: int, seed: int) -> Iterator[tuple[slice, DrawCounts]]:
    """How often each of n prompts is drawn, resamples x n: blocks of some 8 MB and their places."""
    rng = np.random.default_rng(seed)
    size = max(1, 4_000_000 // max(n, 1))
    for start in range(0, resamples, size):
        counts = np.zeros((min(size, resamples - start), n), np.int16)
        for block in _row_blocks(counts) if n else ():
            drawn = rng.integers(0, n, size=block.shape)
            drawn += np.arange(len(block))[:, None] * n
            block[:] = np.bincount(drawn.ravel(), minlength=block.size).reshape(block.shape)
        yield slice(start, start + len(counts)), counts


def _row_blocks(counts: DrawCounts) -> Iterator[DrawCounts]:
    """Views of some rows each: what is computed from a row in double precision takes many times its memory."""
    size = max(1, CELLS_AT_ONCE // counts.shape[1])
    return (counts[start : start + size] for start in range(0, len(counts), size))


def _resampled_sums(
    terms: Sequence[Floats], w: Floats, resamples: int, seed: int
) -> Iterator[tuple[slice, list[Floats], Floats]]:
    """Sums over resampled prompts, resamples x columns, of each term and of the weights: one product a block."""
    distinct, which = np.unique(w, axis=1, return_inverse=True)
    right = np.concatenate([*terms, distinct], axis=1)
    cuts = np.arange(1, len(terms) + 1) * w.shape[1]
    for rows, counts in _resampled(len(w), resamples, seed):
        *sums, total = np.split(counts.astype(np.float64) @ right, cuts, axis=1)
        yield rows, sums, total[:, which]


def _ratio(above: Floats, below: Floats) -> Floats:
    """NaN where there is nothing to divide by: a resample without any value, left out later."""
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)


def _mean(v: Floats, w: Floats) -> Floats:
    return np.nan_to_num(_ratio((w * v).sum(axis=0), w.sum(axis=0)))


def _quantiles(values: Floats, counts: DrawCounts, weights: Floats, q: float) -> Floats:
    """Weighted quantile of one column under each row of counts; the middle of two values where it is both."""
    if len(values) == 0:
        return np.full(len(counts), np.nan)
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    return np.concatenate(
        [_quantiles_of(ordered, np.take(block, order, axis=1) * weights[order], q) for block in _row_blocks(counts)]
    )


def _quantiles_of(ordered: Floats, weights: Floats, q: float) -> Floats:
    """The quantile of ascending values under each row of weights."""
    reached = np.cumsum(weights, axis=1)
    total = reached[:, -1:]
    first = np.argmax(reached >= (q - 1e-12) * total, axis=1)
    after = np.argmax(reached > (q + 1e-12) * total, axis=1)
    middle: Floats = (ordered[first] + ordered[after]) / 2
    return np.where(total[:, 0] > 0, middle, np.nan)


def _acceleration(d: Floats, w: Floats) -> Floats:
    """Sum U^3 / (6 (sum U^2)^1.5), with U what leaving out one prompt does to the mean of the centred d."""
    left = w.sum(axis=0) - w
    without = np.where(w > 0, -_ratio(w * d, left), 0)
    without = np.nan_to_num(without)
    u = np.where(w > 0, without.sum(axis=0) / np.maximum((w > 0).sum(axis=0), 1) - without, 0)
    squares = (u**2).sum(axis=0)
    return np.nan_to_num(_ratio((u**3).sum(axis=0), 6 * squares**1.5))


def _bca_ends(drawn: Floats, acceleration: float, deviations: Floats, confidence: float) -> Floats:
    """Ends relative to the estimate; deviations are the values' own, to distinguish ties from rounding errors."""
    from scipy.special import ndtr, ndtri

    drawn = drawn[~np.isnan(drawn)]
    tie = 1e-10 * np.max(np.abs(deviations), initial=0.0)
    if drawn.size == 0 or np.ptp(deviations) <= tie:
        return np.zeros(2)
    below = ((drawn < -tie).sum() + (drawn <= tie).sum()) / (2 * drawn.size)
    bias = ndtri(np.clip(below, 0.5 / drawn.size, 1 - 0.5 / drawn.size))
    z = bias + ndtri(np.array([(1 - confidence) / 2, (1 + confidence) / 2]))
    ends: Floats = np.quantile(drawn, ndtr(bias + z / (1 - acceleration * z)))
    return ends


def _interval(
    estimate: float, ends: Floats, n: int, confidence: float, method: Literal["bca", "bias_corrected", "studentised"]
) -> Interval:
    if n == 0:
        return Interval(None, None, None, confidence, 0, method)
    if n < (FEWEST_STUDENTISED if method == "studentised" else 2):
        return Interval(float(estimate), None, None, confidence, n, method)
    return Interval(float(estimate), float(estimate + ends[0]), float(estimate + ends[1]), confidence, n, method)
