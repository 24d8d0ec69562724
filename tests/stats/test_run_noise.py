"""What a mean excess keeps of its runs' batches, by hand and against the truth."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import t

from fidelity.stats import run_noise
from fidelity.stats.betting import betting_bound


def among(effects, candidate, prompts=50):
    """Similarities to which every run adds its own effect on all prompts: floor, and the candidate's."""
    floor = [[0.8 + effects[a] + effects[b]] * prompts for a, b in combinations(range(len(effects)), 2)]
    return np.array([[0.8 + candidate + effect] * prompts for effect in effects]), np.array(floor)


def test_three_runs_by_hand():
    # Run effects 0.03, 0, -0.03: variance 0.0009. The candidate's excess is the mean of three less its own effect, so
    # its variance is 0.0009 (1 + 1/3).
    noise = run_noise(*among([0.03, 0.0, -0.03], 0.0))
    assert noise.freedom == 2
    assert noise.error == pytest.approx(math.sqrt(0.0009 * 4 / 3))
    assert noise.distance(0.95) == pytest.approx(t.ppf(0.95, 2) * noise.error)


def test_one_control_by_hand():
    # The candidate is 0.04 nearer to one reference: 3/4 of 0.04 squared, and one degree of freedom.
    noise = run_noise(*among([0.04, 0.0], 0.0))
    assert (noise.freedom, noise.error) == (1, pytest.approx(0.04 * math.sqrt(0.75)))
    assert noise.distance(0.95) == pytest.approx(6.3138 * noise.error, rel=1e-4)


@pytest.mark.parametrize("controls", [1, 2, 4])
def test_runs_that_are_all_alike_have_none(controls):
    noise = run_noise(*among([0.0] * (controls + 1), -0.2))
    assert (noise.error, noise.distance(0.999)) == (0.0, 0.0)


def test_half_of_what_prompts_explain_is_taken_away():
    """Without anything shared by a run's prompts the estimate is about half of what prompts alone would give."""
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(200):
        runs = rng.normal(0, 0.1, (6, 100))
        floor = np.array([0.8 + runs[a] + runs[b] for a, b in combinations(range(5), 2)])
        errors.append(run_noise(0.8 + runs[5] + runs[:5], floor).error)
    by_prompts = 0.1 / math.sqrt(100) * math.sqrt(6 / 5)
    assert 0.4 * by_prompts**2 < np.mean(np.array(errors) ** 2) < 0.8 * by_prompts**2


def test_the_order_of_prompts_and_runs_changes_nothing():
    rng = np.random.default_rng(1)
    runs, shuffled = rng.normal(0, 0.1, (4, 30)) + rng.normal(0, 0.1, (4, 1)), rng.permutation(30)
    errors = []
    for order, prompts in (([0, 1, 2], slice(None)), ([2, 0, 1], shuffled)):
        own = runs[[*order, 3]][:, prompts]
        floor = np.array([own[a] + own[b] for a, b in combinations(range(3), 2)])
        errors.append(run_noise(own[3] + own[:3], floor).error)
    assert errors[0] == pytest.approx(errors[1])
    assert errors[0] > 0


def test_weights_are_those_of_the_mean():
    candidate, floor = among([0.03, 0.0, -0.03], 0.0, prompts=4)
    candidate[:, 3], floor[:, 3] = 0.5, 0.5  # a prompt of no weight
    weighted = run_noise(candidate, floor, weights=np.array([2.0, 2.0, 2.0, 0.0]))
    assert weighted.error == pytest.approx(run_noise(candidate[:, :3], floor[:, :3]).error)
    assert run_noise(candidate, floor, weights=np.zeros(4)).error == 0.0


@pytest.mark.parametrize("controls", [2, 4])
def test_one_more_run_of_the_baseline_is_hardly_ever_beyond_both_shares(controls):
    """400 studies, 60 prompts in 4 chunks of a run, chunk effects of sd 0.1: prompts alone fail 1 in 4 (here: 22%)."""
    rng = np.random.default_rng(controls)
    prompts_alone = both = 0
    for _ in range(400):
        chunks = np.array([rng.permutation(np.arange(60) % 4) for _ in range(controls + 2)])
        effects = rng.normal(0, 0.1, (controls + 2, 4))
        runs = np.take_along_axis(effects, chunks, axis=1) + rng.normal(0, 0.05, (controls + 2, 60))
        pairs = list(combinations(range(controls + 1), 2))
        floor = np.array([runs[a] + runs[b] for a, b in pairs])
        candidate = runs[-1] + runs[:-1]
        excess = floor.mean(axis=0) - candidate.mean(axis=0)
        error = excess.std(ddof=1) / math.sqrt(60)
        mean, runs_share = excess.mean(), run_noise(candidate, floor).distance(0.95)
        prompts_alone += mean > 1.645 * error
        both += mean > math.hypot(1.645 * error, runs_share)
    assert prompts_alone > 0.15 * 400
    assert both <= 30  # 5% of 400, and three binomial standard errors (4.4)


def test_zero_noise_leaves_the_betting_bound_as_it_is():
    candidate, floor = among([0.0, 0.0], -0.1)
    bound = betting_bound([str(n) for n in range(50)], floor[0] - candidate.mean(axis=0), low=-1, high=1)
    assert run_noise(candidate, floor).distance(bound.confidence) == 0.0
