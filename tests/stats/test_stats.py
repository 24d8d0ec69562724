"""The statistics against numbers by hand, other implementations, literal transcriptions, and what they promise."""

import math
import random
import subprocess
import sys
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from fidelity import stats
from fidelity.stats.betting import GOAL, LARGEST_SHARE, peak_wealth

RANGE = {"low": -1.0, "high": 1.0}


def names(n):
    return [f"prompt-{i}" for i in range(n)]


def excesses(n, seed=0):
    """Dense and skewed, as an excess of ROUGE is: in [-1, 1], mean about 0.1."""
    rng = np.random.default_rng(seed)
    return rng.beta(8, 2, n) - rng.beta(7, 3, n)


# ---- reading order


def test_reading_order_is_by_id_whatever_the_rows_order():
    ids = names(50)
    shuffled = random.Random(0).sample(ids, 50)
    read = [ids[i] for i in stats.reading_order(ids, seed=3)]
    assert [shuffled[i] for i in stats.reading_order(shuffled, seed=3)] == read
    assert read != sorted(ids)
    assert read != [ids[i] for i in stats.reading_order(ids, seed=4)]


def test_reading_order_of_some_is_their_order_among_all():
    ids = names(50)
    read = [ids[i] for i in stats.reading_order(ids)]
    some = ids[10:30]
    assert [some[i] for i in stats.reading_order(some)] == [one for one in read if one in set(some)]


def test_an_id_that_comes_twice_is_named():
    with pytest.raises(ValueError, match="'a' comes more than once"):
        stats.reading_order(["a", "b", "a"])


# ---- the betting bound, by hand


def test_upper_bound_of_one_value_by_hand():
    # x = 0, level 1/2: wealth starts at w = 1/2 * 2/3 = 1/3 of the target and must reach 2/3. The z-test's stake is
    # phi(Phi^-1(1/3)) / (1/2) = 0.727, the largest allowed 0.95 * (1/3) / (1 - m). With the second:
    # 1/3 + 0.95/3 * m / (1 - m) = 2/3, so m / (1 - m) = 1/0.95, m = 20/39, where 0.95/3 / (1 - m) = 0.65 < 0.727.
    bound = stats.betting_bound(["a"], [0.0], low=0, high=1, confidence=0.5)
    assert bound.upper == pytest.approx(20 / 39, abs=2e-6)
    assert bound.lower == 0  # nothing low about it


def test_upper_bound_of_one_value_with_the_papers_bets_by_hand():
    # lambda = sqrt(2 ln 2 / 0.25) = 2.36 is cut to 1/2 / (1 - m): 1 + m / 2 / (1 - m) = 2, so m = 2/3.
    bound = stats.betting_bound(["a"], [0.0], low=0, high=1, confidence=0.5, bets="plug_in")
    assert bound.upper == pytest.approx(2 / 3, abs=2e-6)


def test_many_zeros_are_bounded_by_no_less_than_the_smallest_resolvable_share():
    # Nobody can exclude a share of 1 - 0.05^(1/n); never betting more than 0.95 of the wealth costs a little more.
    for n in (20, 200):
        upper = stats.betting_bound(names(n), [0.0] * n, low=0, high=1).upper
        least = stats.smallest_resolvable_share(n)
        assert least < upper < 1.2 * least


def test_a_bound_without_values_is_the_range():
    bound = stats.betting_bound(["a", "b"], [None, None], low=-2, high=3)
    assert (bound.mean, bound.lower, bound.upper, bound.n, bound.spread) == (None, -2, 3, 0, None)
    assert stats.betting_p_value([], [], 0.1, side="above", **RANGE) == 1


def test_missing_values_are_as_if_the_prompt_were_not_there():
    values = list(excesses(40))
    with_gap = stats.betting_bound(names(41), [*values, None], **RANGE)
    assert with_gap == stats.betting_bound(names(40), values, **RANGE)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"1 of 2 values lie outside \[0, 1\], the first is 1.5"):
        stats.betting_bound(["a", "b"], [0.5, 1.5], low=0, high=1)
    with pytest.raises(ValueError, match="3 ids, 1 values"):
        stats.betting_bound(names(3), [0.5], low=0, high=1)
    with pytest.raises(ValueError, match="can't be tested"):
        stats.betting_p_value(["a"], [0.5], 1.0, side="above", low=0, high=1)


# ---- the betting bound against literal transcriptions


def literal_peak(x, m, level, plan):
    """Highest wealth of target bets over its goal, against "the mean is m or more", one horizon at a time."""
    normal = NormalDist()
    wealth = [level * share * GOAL for _, share in plan]
    peak = sum(wealth)
    guess_sum, guess_squares, seen = 0.5, 0.25, 1
    for t, value in enumerate(x):
        variance = guess_squares / seen
        for j, (horizon, _) in enumerate(plan):
            if horizon <= t or wealth[j] <= 0:
                continue
            stake = normal.pdf(normal.inv_cdf(wealth[j])) / math.sqrt(variance * (horizon - t))
            stake = min(stake, LARGEST_SHARE * wealth[j] / (1 - m), (1 - wealth[j]) / m)
            wealth[j] += stake * (m - value)
        peak = max(peak, sum(wealth))
        guess_sum, seen = guess_sum + value, seen + 1
        guess_squares += (value - guess_sum / seen) ** 2
    return peak / GOAL


def literal_plug_in_peak(x, m, level, any_time):
    """Waudby-Smith & Ramdas' predictable plug-in for one side: bets from the past, cut at half of the wealth."""
    capital = peak = 1.0
    for t in range(1, len(x) + 1):
        means = [(0.5 + sum(x[:i])) / (i + 1) for i in range(1, t)]
        variance = (0.25 + sum((value - mean) ** 2 for value, mean in zip(x, means, strict=False))) / t
        steps = t * math.log(t + 1) if any_time else len(x)
        bet = min(math.sqrt(2 * math.log(1 / level) / (steps * variance)), 0.5 / (1 - m))
        capital *= 1 + bet * (m - x[t - 1])
        peak = max(peak, capital)
    return peak * level


def literal_upper(rejects):
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if rejects(middle) else (middle, high)
    return high


@pytest.mark.parametrize("n", [1, 7, 60])
@pytest.mark.parametrize("planned", [None, 80])
def test_bounds_equal_a_literal_transcription(n, planned):
    ids = names(n)
    values = [0.0 if i % 9 else 1.0 for i in range(n)] if n == 7 else list(excesses(n))
    plan = [(n, 1.0)] if planned is None else [(80, 8 / 15), (40, 4 / 15), (20, 2 / 15), (10, 1 / 15)]
    bound = stats.betting_bound(ids, values, **RANGE, planned=planned)
    x = [(values[i] + 1) / 2 for i in stats.reading_order(ids)]
    upper = literal_upper(lambda m: literal_peak(x, m, 0.05, plan) >= 1)
    lower = 1 - literal_upper(lambda m: literal_peak([1 - value for value in x], m, 0.05, plan) >= 1)
    assert bound.upper == pytest.approx(2 * upper - 1, abs=3e-6)
    assert bound.lower == pytest.approx(2 * lower - 1, abs=3e-6)


@pytest.mark.parametrize("any_time", [False, True])
def test_the_papers_bets_equal_a_literal_transcription(any_time):
    ids, values = names(40), list(excesses(40))
    bound = stats.betting_bound(ids, values, **RANGE, planned=40 if any_time else None, bets="plug_in")
    x = [(values[i] + 1) / 2 for i in stats.reading_order(ids)]
    upper = literal_upper(lambda m: literal_plug_in_peak(x, m, 0.05, any_time) >= 1)
    assert bound.upper == pytest.approx(2 * upper - 1, abs=3e-6)


# ---- the betting bound: what it promises

VALUES = st.lists(st.floats(-1, 1), min_size=1, max_size=25)


@settings(deadline=None, max_examples=40)
@given(VALUES, st.sampled_from([None, 10, 40]))
def test_bounds_stay_in_the_range_and_grow_with_confidence(values, planned):
    previous = None
    for confidence in (0.5, 0.8, 0.95, 0.999):
        bound = stats.betting_bound(names(len(values)), values, **RANGE, confidence=confidence, planned=planned)
        assert -1 <= bound.lower <= bound.mean + 1e-12
        assert bound.mean - 1e-12 <= bound.upper <= 1
        if previous is not None:
            assert bound.upper >= previous.upper - 4e-6
            assert bound.lower <= previous.lower + 4e-6
        previous = bound


@settings(deadline=None, max_examples=40)
@given(VALUES, st.sampled_from([None, 10, 40]), st.floats(1e-4, 0.9))
def test_wealth_grows_with_the_mean_bet_against_and_with_the_level(values, planned, level):
    x = (np.array(values)[:, None] + 1) / 2
    means = np.linspace(0.001, 0.999, 200)[:, None]
    wealth = peak_wealth(x, means, np.full_like(means, level), planned=planned)
    assert (np.diff(wealth[:, 0]) >= -1e-12).all()
    levels = np.geomspace(1e-6, 1, 200)[:, None]
    wealth = peak_wealth(x, np.full_like(levels, 0.7), levels, planned=planned)
    assert (np.diff(wealth[:, 0]) >= -1e-12).all()


@settings(deadline=None, max_examples=40)
@given(VALUES, st.sampled_from([None, 30]), st.floats(-0.95, 0.95))
def test_the_p_value_says_what_the_bound_says(values, planned, margin):
    ids = names(len(values))
    bound = stats.betting_bound(ids, values, **RANGE, planned=planned)
    above = stats.betting_p_value(ids, values, margin, side="above", **RANGE, planned=planned)
    below = stats.betting_p_value(ids, values, margin, side="below", **RANGE, planned=planned)
    if abs(bound.lower - margin) > 1e-5 and abs(above - 0.05) > 1e-5:
        assert (above <= 0.05) == (bound.lower > margin)
    if abs(bound.upper - margin) > 1e-5 and abs(below - 0.05) > 1e-5:
        assert (below <= 0.05) == (bound.upper < margin)


@settings(deadline=None, max_examples=20)
@given(VALUES)
def test_bounds_are_mirrored_with_the_values_and_scale_with_the_range(values):
    ids = names(len(values))
    bound = stats.betting_bound(ids, values, **RANGE)
    mirrored = stats.betting_bound(ids, [-value for value in values], **RANGE)
    scaled = stats.betting_bound(ids, [10 * value + 3 for value in values], low=-7.5, high=13.5)
    wider = stats.betting_bound(ids, values, low=-1.05, high=1.05)
    assert mirrored.upper == pytest.approx(-bound.lower, abs=1e-5)
    assert scaled.upper == pytest.approx(10 * wider.upper + 3, abs=1e-4)


def test_reading_on_narrows_the_any_time_bound_and_never_widens_it():
    ids = names(120)
    values = excesses(120)
    order = stats.reading_order(ids)
    uppers = []
    for looked in range(10, 121, 10):
        seen = order[:looked]
        bound = stats.betting_bound([ids[i] for i in seen], values[seen], **RANGE, planned=100)
        uppers.append(bound.upper)
    assert all(later <= earlier for earlier, later in pairwise(uppers))
    assert uppers[0] > uppers[5] > uppers[9]
    assert uppers[9] == uppers[11]  # nothing is bet beyond the plan


SCENARIOS = {
    "dense and skewed": (lambda rng, shape: rng.beta(0.5, 4.5, shape), 0.1),
    "5 % broken": (lambda rng, shape: (rng.random(shape) < 0.05) * 1.0, 0.05),
    "1 % broken": (lambda rng, shape: (rng.random(shape) < 0.01) * 1.0, 0.01),
    "symmetric noise": (lambda rng, shape: rng.beta(8, 2, shape) - rng.beta(8, 2, shape), 0.0),
    "all or nothing": (lambda rng, shape: rng.choice([-1.0, 1.0], shape), 0.0),
    "rarely much better": (lambda rng, shape: 0.1 - (rng.random(shape) < 0.1) * 1.0, 0.0),
}


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("any_time", [False, True])
def test_with_the_true_excess_at_the_margin_few_studies_pass_or_fail(scenario, any_time):
    """4,000 studies each, looked at at any moment. At a true rate of 5 % more than `most` come once in 10,000 times."""
    draw, margin = SCENARIOS[scenario]
    studies, n = 4000, 120
    x = (draw(np.random.default_rng(7), (n, studies)) + 1) / 2
    level = np.full((1, studies), 0.05)
    planned = n if any_time else None
    passed = peak_wealth(x, np.full((1, studies), (margin + 1) / 2), level, planned=planned) >= 1
    failed = peak_wealth(1 - x, np.full((1, studies), (1 - margin) / 2), level, planned=planned) >= 1
    most = scipy_stats.binom.isf(1e-4, studies, 0.05)
    assert passed.sum() <= most
    assert failed.sum() <= most


def test_the_bound_has_power():
    """A bound that is never wrong because it is always the range would pass the test above."""
    bound = stats.betting_bound(names(200), SCENARIOS["dense and skewed"][0](np.random.default_rng(1), 200), **RANGE)
    assert bound.mean is not None
    normal = 1.645 * bound.spread / math.sqrt(200)
    assert bound.upper - bound.mean < 1.75 * normal
    assert bound.mean - bound.lower < 1.75 * normal


# ---- bootstrap


def test_bca_equals_scipy():
    values = np.random.default_rng(1).exponential(size=60)
    own = stats.bca_interval(names(60), values, resamples=20_000)
    package = scipy_stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(2)
    ).confidence_interval
    # an end at 2.5 % of 20,000 resamples wanders by about 1 % of the width
    tolerance = 0.04 * (package.high - package.low)
    assert own.estimate == pytest.approx(values.mean())
    assert own.low == pytest.approx(package.low, abs=tolerance)
    assert own.high == pytest.approx(package.high, abs=tolerance)
    assert (own.method, own.n, own.asymptotic) == ("bca", 60, True)


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
def test_degenerate_columns(statistic):
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
    assert own.asymptotic
    few = stats.studentised_intervals(names(9), [range(9)])[0]
    assert (few.estimate, few.low, few.high) == (4, None, None)


def test_tail_excess_by_hand():
    # 200 prompts, similarities 1/200 to 200/200; the candidate loses 0.1 everywhere. 5 % of 200 is 10 whole prompts:
    # the quantiles are the middle of the 10th and 11th value, 0.0525 and -0.0475.
    control = [i / 200 for i in range(1, 201)]
    candidate = [value - 0.1 for value in control]
    tail = stats.tail_excess(names(200), control, candidate)
    assert tail.estimate == pytest.approx(0.1)
    # resampled jointly, both lose the same prompts, so the difference never varies
    assert (tail.low, tail.high) == (pytest.approx(0.1), pytest.approx(0.1))
    assert stats.tail_excess(names(199), control[:199], candidate[:199]) is None
    assert stats.tail_excess(names(200), control, [None, *candidate[1:]]) is None


def test_tail_excess_is_that_of_a_plain_loop():
    rng = np.random.default_rng(8)
    control, candidate = rng.beta(8, 2, 250), rng.beta(6, 2, 250)
    tail = stats.tail_excess(names(250), control, candidate, resamples=4000)
    rows = rng.integers(0, 250, size=(4000, 250))
    drawn = [
        np.quantile(control[row], 0.05, method="averaged_inverted_cdf")
        - np.quantile(candidate[row], 0.05, method="averaged_inverted_cdf")
        for row in rows
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert tail.low == pytest.approx(low, abs=0.08 * (high - low))
    assert tail.high == pytest.approx(high, abs=0.08 * (high - low))


def test_no_number_depends_on_the_rows_order():
    n = 220
    ids, values, other = names(n), excesses(n), excesses(n, seed=1)
    shuffled = np.random.default_rng(0).permutation(n)
    rows = [(ids, values, other), ([ids[i] for i in shuffled], values[shuffled], other[shuffled])]
    bounds, p_values, means, medians, studentised, tails = zip(
        *[
            (
                stats.betting_bound(i, v, **RANGE, planned=300),
                stats.betting_p_value(i, v, 0.05, side="above", **RANGE),
                stats.bca_intervals(i, [v, o], resamples=300),
                stats.bca_interval(i, v, statistic="median", resamples=300),
                stats.studentised_intervals(i, [v], resamples=300),
                stats.tail_excess(i, v, o, resamples=300),
            )
            for i, v, o in rows
        ],
        strict=True,
    )
    for pair in (bounds, p_values, means, medians, studentised, tails):
        assert pair[0] == pair[1]


# ---- shares, breaks, corrections


@pytest.mark.parametrize(("k", "n"), [(0, 12), (1, 30), (7, 20), (30, 30), (13, 500)])
def test_clopper_pearson_equals_scipy(k, n):
    for confidence in (0.9, 0.95):
        two_sided = scipy_stats.binomtest(k, n).proportion_ci(confidence, method="exact")
        assert stats.clopper_pearson(k, n, confidence=confidence) == pytest.approx(tuple(two_sided), abs=1e-12)
        upper = scipy_stats.binomtest(k, n, alternative="less").proportion_ci(confidence, method="exact")
        assert stats.clopper_pearson(k, n, confidence=confidence, side="upper") == pytest.approx(
            tuple(upper), abs=1e-12
        )
        lower = scipy_stats.binomtest(k, n, alternative="greater").proportion_ci(confidence, method="exact")
        assert stats.clopper_pearson(k, n, confidence=confidence, side="lower") == pytest.approx(
            tuple(lower), abs=1e-12
        )


def test_clopper_pearson_of_nothing_and_of_nonsense():
    assert stats.clopper_pearson(0, 0) == (0, 1)
    with pytest.raises(ValueError, match="3 of 2"):
        stats.clopper_pearson(3, 2)


def test_smallest_resolvable_share_is_the_upper_bound_of_no_case():
    assert stats.smallest_resolvable_share(59) == pytest.approx(1 - 0.05 ** (1 / 59))
    assert stats.smallest_resolvable_share(59) == pytest.approx(stats.clopper_pearson(0, 59, side="upper")[1])
    assert stats.smallest_resolvable_share(0) == 1


def test_mcnemar_by_hand():
    assert stats.mcnemar(0, 0) == 1
    assert stats.mcnemar(0, 4) == 1
    assert stats.mcnemar(5, 0) == pytest.approx(1 / 32)
    assert stats.mcnemar(6, 2) == pytest.approx(37 / 256)  # (28 + 8 + 1) / 2^8
    assert stats.mcnemar(30, 11) == pytest.approx(scipy_stats.binomtest(30, 41, alternative="greater").pvalue)


def test_holm_by_hand():
    # sorted 0.01, 0.03, 0.04: times 3, 2, 1 = 0.03, 0.06, 0.04, and never less than the one before
    assert stats.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert stats.holm([0.6, 0.7]) == [1, 1]
    assert stats.holm([]) == []


def test_benjamini_hochberg_equals_scipy():
    p_values = list(np.random.default_rng(0).random(12))
    assert stats.benjamini_hochberg(p_values) == pytest.approx(list(scipy_stats.false_discovery_control(p_values)))
    assert stats.benjamini_hochberg([]) == []


# ---- planning


def bound_of(mean, spread, distance, n):
    return stats.Bound(mean, mean - distance, mean + distance, spread, n, 0.95, None, 0, (-1.0, 1.0))


def test_detectable_excess_by_hand():
    # 0.03 to the bound and 0.8416 * 0.2 / sqrt(100)
    assert stats.detectable_excess(bound_of(0.0, 0.2, 0.03, 100)) == pytest.approx(0.03 + 0.016832, abs=1e-5)
    assert stats.detectable_excess(stats.betting_bound([], [], **RANGE)) is None


def test_prompts_needed_by_hand():
    # no spread: log(20) / 0.95 + 0.3 = 3.4534 times what is left of the range, 1, over n is at most 0.01; either side
    assert stats.prompts_needed(bound_of(0.0, 0.0, 0.05, 40), 0.01) == 346
    assert stats.prompts_needed(bound_of(0.0, 0.0, 0.05, 40), -0.01) == 346
    # nothing left of the range: (1.8339 + 0.8416) * 0.2 / sqrt(n) = 0.01, with z(1 - 0.05 * 2/3) = 1.8339
    assert stats.prompts_needed(bound_of(1.0, 0.2, 0.0, 40), 1.01) == math.ceil((2.67553 * 20) ** 2)
    assert stats.prompts_needed(bound_of(0.1, 0.2, 0.03, 40), 0.1) is None
    assert stats.prompts_needed(stats.betting_bound(["a"], [0.0], **RANGE), 0.1) is None


def test_as_many_prompts_as_needed_mostly_decide():
    draw, mean = SCENARIOS["dense and skewed"]
    rng = np.random.default_rng(11)
    pilot = stats.betting_bound(names(100), draw(rng, 100), **RANGE)
    needed = stats.prompts_needed(pilot, pilot.mean + 0.04)
    x = (draw(rng, (needed, 300)) + 1) / 2
    means = np.full((1, 300), (mean + 0.04 + 1) / 2)
    assert 0.7 < (peak_wealth(x, means, np.full((1, 300), 0.05)) >= 1).mean() <= 1


def test_prompts_needed_for_a_share():
    assert stats.prompts_needed_for_share(0, 30, 0.05) == 59  # log 0.05 / log 0.95 = 58.4
    needed = stats.prompts_needed_for_share(4, 200, 0.05)
    assert stats.clopper_pearson(math.floor(0.02 * needed), needed, side="upper")[1] <= 0.05
    assert stats.clopper_pearson(math.ceil(0.02 * (needed - 20)), needed - 20, side="upper")[1] > 0.05
    beyond = stats.prompts_needed_for_share(8, 100, 0.05)
    assert stats.clopper_pearson(math.ceil(0.08 * beyond), beyond, side="lower")[0] > 0.05
    assert stats.prompts_needed_for_share(5, 100, 0.05) is None
    assert stats.prompts_needed_for_share(0, 0, 0.05) is None


def test_importing_the_statistics_loads_no_scipy():
    code = "import sys, fidelity.stats; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
