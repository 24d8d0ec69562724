"""How many prompts would decide, and what can be detected with those there are."""

import math

import numpy as np
import pytest

from fidelity import stats
from fidelity.stats.betting import peak_wealth
from tests.stats.values import RANGE, SCENARIOS, names


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
