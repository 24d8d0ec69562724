"""Bootstrap intervals against scipy's, plain loops, and numbers by hand."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from scipy import stats as scipy_stats

from fidelity import stats
from tests.stats.values import excesses, names


def test_bca_equals_scipy():
    values = np.random.default_rng(1).exponential(size=60)
    own = stats.bca_interval(names(60), values, resamples=20_000)
    package = scipy_stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(2)
    ).confidence_interval
    # an end at 2.5% of 20,000 resamples wanders by about 1% of the width
    tolerance = 0.04 * (package.high - package.low)
    assert own.estimate == pytest.approx(values.mean())
    assert own.low == pytest.approx(package.low, abs=tolerance)
    assert own.high == pytest.approx(package.high, abs=tolerance)
    assert (own.method, own.n) == ("bca", 60)


def test_weighted_bca_equals_scipy():
    rng = np.random.default_rng(3)
    values, weights = rng.exponential(size=50), rng.integers(1, 200, 50).astype(float)
    own = stats.bca_interval(names(50), values, weights=weights, resamples=20_000)

    def ratio(v, w, axis=-1):
        return (v * w).sum(axis=axis) / w.sum(axis=axis)

    package = scipy_stats.bootstrap(
        (values, weights), ratio, paired=True, n_resamples=20_000, method="BCa", rng=np.random.default_rng(4)
    ).confidence_interval
    tolerance = 0.04 * (package.high - package.low)
    assert own.estimate == pytest.approx((values * weights).sum() / weights.sum())
    assert own.low == pytest.approx(package.low, abs=tolerance)
    assert own.high == pytest.approx(package.high, abs=tolerance)


def test_ties_are_ties_though_sums_are_rounded():
    """Sums of tenths differ in the last bit with their order: a resample with the same mean is no other mean."""
    values = np.array([0.1] * 30 + [0.3] * 10)
    own = stats.bca_interval(names(40), values, resamples=20_000)
    whole = stats.bca_interval(names(40), (values - 0.1) * 5, resamples=20_000)
    assert own.low == pytest.approx(0.1 + whole.low / 5, abs=1e-9)
    assert own.high == pytest.approx(0.1 + whole.high / 5, abs=1e-9)


def test_median_is_the_median_and_its_interval_is_that_of_a_plain_loop():
    rng = np.random.default_rng(5)
    values = rng.exponential(size=41)
    own = stats.bca_interval(names(41), values, statistic="median", resamples=20_000)
    drawn = np.median(rng.choice(values, size=(20_000, 41)), axis=1)
    centre = np.median(values)
    below = ((drawn < centre).mean() + (drawn <= centre).mean()) / 2
    normal = NormalDist()
    ends = [normal.cdf(2 * normal.inv_cdf(below) + normal.inv_cdf(q)) for q in (0.025, 0.975)]
    low, high = np.quantile(drawn, ends)
    assert own.estimate == centre
    assert own.low == pytest.approx(low, abs=0.15)  # the resampled medians are few values: one step
    assert own.high == pytest.approx(high, abs=0.15)
    even = stats.bca_interval(names(4), [1.0, 2.0, 4.0, 9.0], statistic="median")
    assert even.estimate == 3
    assert even.method == "bias_corrected"


def test_weighted_median_by_hand():
    # weights 1, 1, 3: half of 5 is 2.5, first reached at the third value
    assert stats.bca_interval(names(3), [1.0, 2.0, 3.0], weights=[1, 1, 3], statistic="median").estimate == 3


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_fewer_than_two_values_have_no_interval_and_equal_values_one_of_no_width(statistic):
    def ends(values):
        interval = stats.bca_interval(names(len(values)), values, statistic=statistic, resamples=200)
        return interval.estimate, interval.low, interval.high, interval.n

    assert ends([]) == (None, None, None, 0)
    assert ends([None, None]) == (None, None, None, 0)
    assert ends([None, 0.3]) == (0.3, None, None, 1)
    assert ends([0.3] * 7) == (0.3, 0.3, 0.3, 7)


def test_a_column_does_not_depend_on_its_neighbours_and_missing_is_not_zero():
    values = list(excesses(30))
    gappy: list[float | None] = [None if i % 5 == 0 else value for i, value in enumerate(values)]
    weights = [0.0 if value is None else 1.0 for value in gappy]
    together = stats.bca_intervals(names(30), [values, gappy], resamples=500, seed=9)
    assert together[0] == stats.bca_interval(names(30), values, resamples=500, seed=9)
    assert together[1] == stats.bca_interval(names(30), gappy, resamples=500, seed=9)
    assert together[1] == stats.bca_interval(names(30), values, weights=weights, resamples=500, seed=9)
    assert together[1].n == 24
    assert together[1].estimate == pytest.approx(np.mean([value for value in gappy if value is not None]))


def test_studentised_interval_is_that_of_a_plain_loop():
    rng = np.random.default_rng(6)
    values = rng.normal(size=40) ** 3
    own = stats.studentised_intervals(names(40), [values], resamples=20_000)[0]
    drawn = rng.choice(values, size=(20_000, 40))
    t = (drawn.mean(axis=1) - values.mean()) / (drawn.std(axis=1) / math.sqrt(40))
    error = values.std() / math.sqrt(40)
    low, high = values.mean() - np.quantile(t, [0.975, 0.025]) * error
    assert own.low == pytest.approx(low, abs=0.05 * (high - low))
    assert own.high == pytest.approx(high, abs=0.05 * (high - low))
    few = stats.studentised_intervals(names(9), [range(9)])[0]
    assert (few.estimate, few.low, few.high) == (4, None, None)


def test_tail_excess_by_hand():
    # 200 prompts, similarities 1/200 to 200/200; the candidate loses 0.1 everywhere. 5% of 200 is 10 whole prompts:
    # the quantiles are the middle of the 10th and 11th value, 0.0525 and -0.0475.
    control = [i / 200 for i in range(1, 201)]
    candidate = [value - 0.1 for value in control]
    tail = stats.tail_excess(names(200), [control], [candidate])
    assert tail.estimate == pytest.approx(0.1)
    # resampled jointly, both lose the same prompts, so the difference never varies
    assert (tail.low, tail.high) == (pytest.approx(0.1), pytest.approx(0.1))
    assert stats.tail_excess(names(199), [control[:199]], [candidate[:199]]) is None
    assert stats.tail_excess(names(200), [control], [[None, *candidate[1:]]]) is None


def test_tail_excess_is_that_of_a_plain_loop():
    rng = np.random.default_rng(8)
    control, candidate = rng.beta(8, 2, 250), rng.beta(6, 2, 250)
    tail = stats.tail_excess(names(250), [control], [candidate], resamples=4000)
    rows = rng.integers(0, 250, size=(4000, 250))
    drawn = [
        np.quantile(control[row], 0.05, method="averaged_inverted_cdf")
        - np.quantile(candidate[row], 0.05, method="averaged_inverted_cdf")
        for row in rows
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert tail.low == pytest.approx(low, abs=0.08 * (high - low))
    assert tail.high == pytest.approx(high, abs=0.08 * (high - low))
