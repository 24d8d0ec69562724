import math
import random

import pytest

from fidelity.stats import paired_ratio, ratio_of_rates


def test_a_paired_ratio_by_hand():
    # Logarithms of 2 and 8 are 1 and 3 in bits: mean 2, so 4. Their standard error is sqrt(2 / 2) = 1 bit, and
    # Student's t with one degree of freedom at 97.5% is 12.706: from 2**(2 - 12.706) to 2**(2 + 12.706).
    ratio = paired_ratio([2.0, 16.0], [1.0, 2.0])
    assert ratio.value == pytest.approx(4)
    assert ratio.low == pytest.approx(2 ** (2 - 12.7062), rel=1e-4)
    assert ratio.high == pytest.approx(2 ** (2 + 12.7062), rel=1e-4)


def test_turned_round_it_is_the_inverse():
    one, other = paired_ratio([1.0, 2.0, 5.0], [2.0, 2.5, 4.0]), paired_ratio([2.0, 2.5, 4.0], [1.0, 2.0, 5.0])
    assert one.value == pytest.approx(1 / other.value)
    assert (one.low, one.high) == pytest.approx((1 / other.high, 1 / other.low))


def test_equal_sides_are_exactly_1():
    assert paired_ratio([3.0, 4.0], [3.0, 4.0]).value == 1
    assert ratio_of_rates([(3, 4), (5, 6)], [(3, 4), (5, 6)]).value == 1


def test_too_few_values_have_no_interval_and_none_no_ratio():
    assert paired_ratio([2.0], [1.0]).low is None
    assert paired_ratio([], []) is None
    assert ratio_of_rates([], [(1, 1)]) is None
    assert ratio_of_rates([(0, 5.0)], [(1, 1)]) is None
    alone = ratio_of_rates([(8, 2)], [(1, 1), (1, 2)])
    assert (alone.value, alone.low, alone.n) == (pytest.approx(6), None, 1)


def test_a_rate_is_all_that_was_done_over_all_the_time():
    assert ratio_of_rates([(10, 1), (10, 4)], [(1, 1)]).value == pytest.approx(4)


def test_constant_rates_are_known_exactly():
    ratio = ratio_of_rates([(10, 1), (20, 2)], [(5, 1), (10, 2), (15, 3)])
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((2, 2, 2))


@pytest.mark.parametrize(("chunks", "least"), [(4, 0.90), (20, 0.92)])
def test_the_interval_of_two_rates_covers_the_true_one(chunks, least):
    draw = random.Random(7)

    def series(rate):
        seconds = [draw.uniform(5, 20) for _ in range(chunks)]
        return [(rate * s * math.exp(draw.gauss(0, 0.1)), s) for s in seconds]

    ratios = [ratio_of_rates(series(180), series(100)) for _ in range(1000)]
    assert sum(ratio.low < 1.8 < ratio.high for ratio in ratios) / 1000 > least
