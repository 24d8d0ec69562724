"""The tail of several runs: nothing between equal runs, and their noise in the bound."""

import math
from itertools import combinations

import numpy as np
import pytest

from fidelity.stats import stars, tail_excess, tail_noise
from tests.stats.values import names


def equal_runs(rng, controls, *, prompts=400, shared=0.0):
    """Similarities of exchangeable runs: each adds its own noise by prompt, and `shared` of one draw to all."""
    runs = rng.normal(0, 0.05, (controls + 2, prompts)) + rng.normal(0, shared, (controls + 2, 1))
    difficulty = rng.beta(8, 2, prompts)
    floor = [difficulty + runs[a] + runs[b] for a, b in combinations(range(controls + 1), 2)]
    return np.array([difficulty + runs[-1] + run for run in runs[:-1]]), np.array(floor)


@pytest.mark.parametrize("controls", [1, 2, 4])
def test_equal_runs_have_no_tail_excess(controls):
    rng = np.random.default_rng(controls)
    excesses, plain = [], []
    for _ in range(150):
        candidate, floor = equal_runs(rng, controls)
        baseline, own = stars(candidate, floor)
        excesses.append(tail_excess(names(400), baseline, own, resamples=1).estimate)
        plain.append(tail_excess(names(400), [floor.mean(axis=0)], [candidate[0]], resamples=1).estimate)
    assert abs(np.mean(excesses)) < 4 * np.std(excesses) / math.sqrt(150)
    # A mean over pairs against a single pair, as it was before, takes the mean's shorter tail for drift.
    assert controls == 1 or np.mean(plain) > 4 * np.std(plain) / math.sqrt(150)


@pytest.mark.parametrize("controls", [1, 2, 4])
@pytest.mark.parametrize("shared", [0.0, 0.03])
def test_the_noise_of_runs_is_in_the_bound(controls, shared):
    rng = np.random.default_rng(controls)
    beyond = by_prompts_alone = 0
    for _ in range(200):
        candidate, floor = equal_runs(rng, controls, prompts=200, shared=shared)
        baseline, own = stars(candidate, floor)
        tail = tail_excess(names(200), baseline, own, confidence=0.9, resamples=200)
        runs = tail_noise(candidate, floor).distance(0.95)
        beyond += tail.estimate - math.hypot(tail.estimate - tail.low, runs) > 0
        by_prompts_alone += tail.low > 0
    assert beyond <= 200 * (0.05 + 1.96 * math.sqrt(0.05 * 0.95 / 200))
    assert shared == 0.0 or by_prompts_alone > 30


def test_three_runs_by_hand():
    # Run effects 0.03, 0, -0.03 on all prompts move all quantiles alike, so the noise is that of a mean.
    effects = [0.03, 0.0, -0.03]
    floor = np.array([[0.8 + effects[a] + effects[b]] * 200 for a, b in combinations(range(3), 2)])
    candidate = np.array([[0.8 + effect] * 200 for effect in effects])
    noise = tail_noise(candidate, floor)
    assert (noise.freedom, noise.error) == (2, pytest.approx(math.sqrt(0.0009 * 4 / 3)))


def test_one_control_by_hand():
    candidate, floor = np.array([[0.84] * 200, [0.8] * 200]), np.array([[0.84] * 200])
    noise = tail_noise(candidate, floor)
    assert (noise.freedom, noise.error) == (1, pytest.approx(0.04 * math.sqrt(0.75)))
