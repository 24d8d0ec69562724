"""The betting bound against numbers by hand and literal transcriptions, and what it promises."""

import math
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from fidelity import stats
from fidelity.stats.betting import GOAL, LARGEST_SHARE, peak_wealth
from tests.stats.values import RANGE, SCENARIOS, excesses, names


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


def test_many_zeros_are_bounded_by_no_less_than_so_many_prompts_can_exclude():
    # No method can exclude a share of 1 - 0.05^(1/n); never betting more than 0.95 of the wealth costs a little more.
    for n in (20, 200):
        upper = stats.betting_bound(names(n), [0.0] * n, low=0, high=1).upper
        least = 1 - 0.05 ** (1 / n)
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
    with pytest.raises(ValueError, match=r"1 of 2 values are outside \[0, 1\], the first is 1.5"):
        stats.betting_bound(["a", "b"], [0.5, 1.5], low=0, high=1)
    with pytest.raises(ValueError, match="3 ids, 1 values"):
        stats.betting_bound(names(3), [0.5], low=0, high=1)
    with pytest.raises(ValueError, match="can't be tested"):
        stats.betting_p_value(["a"], [0.5], 1.0, side="above", low=0, high=1)


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


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("any_time", [False, True])
def test_with_the_true_excess_at_the_margin_few_studies_pass_or_fail(scenario, any_time):
    """4,000 studies each, looked at at any moment. At a true rate of 5% more than `most` come once in 10,000 times."""
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


@pytest.mark.filterwarnings("error")
def test_means_at_the_ends_of_the_range_give_numbers():
    x = np.random.default_rng(0).uniform(0.2, 0.8, (30, 3))
    wealth = peak_wealth(x, np.array([[0.0, 0.5, 1.0]]), np.full((1, 3), 0.05), planned=100)
    assert np.isfinite(wealth).all()
    assert wealth[0, 0] < 1
    assert wealth[0, 2] > 1
