"""Bounds and intervals of more prompts than are read one by one: block means take their place."""

from hashlib import blake2b

import numpy as np
import pytest

from fidelity.stats import betting, bootstrap
from fidelity.stats.betting import betting_bound, betting_p_value
from fidelity.stats.bootstrap import bca_intervals, studentised_intervals, tail_excess
from fidelity.stats.order import reading_order


def ids(n):
    return [f"p{i}" for i in range(n)]


@pytest.fixture
def few_bets(monkeypatch):
    monkeypatch.setattr(betting, "MOST_BETS", 50)


@pytest.mark.parametrize(("studies", "most"), [(100, 11), pytest.param(400, 34, marks=pytest.mark.slow)])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_bounds_on_blocks_are_wrong_no_more_often_than_promised(few_bets, share, studies, most):
    # Studies of 330 prompts in blocks of 7, the last one shorter; a bound may be wrong in 5% of them: more wrong ones
    # than `most` (at most 1% of the binomial distribution) would be too many.
    rng, names = np.random.default_rng(3), ids(330)
    bounds = [betting_bound(names, (rng.random(330) < share).astype(float), low=0, high=1) for _ in range(studies)]
    assert sum(bound.upper < share for bound in bounds) <= most
    assert sum(bound.lower > share for bound in bounds) <= most
    assert all(bound.lower <= bound.mean <= bound.upper and bound.n == 330 for bound in bounds)


def test_looks_at_full_blocks_while_more_are_planned(few_bets):
    rng, names = np.random.default_rng(4), ids(700)
    wrong = 0
    for _ in range(200):
        values = (rng.random(700) < 0.1).astype(float)
        order = reading_order(names)
        looks = [
            betting_bound([names[i] for i in order[:n]], values[order[:n]], low=0, high=1, planned=700)
            for n in (5, 150, 351, 700)
        ]
        assert looks[0].upper == 1  # five prompts are not a block
        wrong += any(look.upper < 0.1 for look in looks)
    assert wrong <= 19


def test_a_block_bound_is_close_to_the_one_of_single_bets(monkeypatch):
    values = np.random.default_rng(5).beta(2, 8, 3000)
    one_by_one = betting_bound(ids(3000), values, low=0, high=1)
    monkeypatch.setattr(betting, "MOST_BETS", 1000)
    blocks = betting_bound(ids(3000), values, low=0, high=1)
    for distances in (
        [bound.upper - bound.mean for bound in (one_by_one, blocks)],
        [bound.mean - bound.lower for bound in (one_by_one, blocks)],
    ):
        assert distances[1] == pytest.approx(distances[0], rel=0.3)
    assert (blocks.mean, blocks.spread) == (one_by_one.mean, one_by_one.spread)


@pytest.mark.parametrize("planned", [None, 900])
def test_the_p_value_agrees_with_the_bound(few_bets, planned):
    values = np.random.default_rng(6).random(900) * 0.3
    bound = betting_bound(ids(900), values, low=0, high=1, planned=planned)
    for margin, is_beyond in ((bound.lower - 0.001, True), (bound.lower + 0.001, False)):
        p = betting_p_value(ids(900), values, margin, side="above", low=0, high=1, planned=planned)
        assert (p <= 0.05) is is_beyond


def test_a_million_prompts_take_seconds():
    bound = betting_bound(ids(1_000_000), np.full(1_000_000, 0.25), low=0, high=1)
    assert bound.mean == 0.25
    assert 0.2498 < bound.lower < 0.25 < bound.upper < 0.2502


def columns_of(n):
    rng = np.random.default_rng(7)
    skewed = rng.gamma(0.5, size=n)
    discrete = rng.choice([0.0, 0.5, 1.0], n, p=[0.04, 0.06, 0.9])
    return skewed, discrete, rng.random(n)


def ends(monkeypatch, compute, *, most):
    monkeypatch.setattr(bootstrap, "MOST_RESAMPLED", most)
    return compute()


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_block_intervals_are_those_of_single_prompts(monkeypatch, statistic):
    n = 6000
    skewed, _, weights = columns_of(n)
    values = [skewed, [None if i % 3 else v for i, v in enumerate(skewed)], skewed]

    def compute():
        return bca_intervals(ids(n), values, weights=[None, None, weights], statistic=statistic, resamples=3000, seed=1)

    single, blocks = ends(monkeypatch, compute, most=n), ends(monkeypatch, compute, most=n - 1)
    for one, other in zip(single, blocks, strict=True):
        close(one, other)


def test_block_intervals_of_a_studentised_mean(monkeypatch):
    n = 6000
    skewed, _, weights = columns_of(n)

    def compute():
        return studentised_intervals(ids(n), [skewed, skewed], weights=[None, weights], resamples=3000, seed=1)

    single, blocks = ends(monkeypatch, compute, most=n), ends(monkeypatch, compute, most=n - 1)
    for one, other in zip(single, blocks, strict=True):
        close(one, other)


def test_block_intervals_of_the_tail(monkeypatch):
    n = 6000
    skewed, discrete, noise = columns_of(n)
    control = 1 - 0.05 * skewed

    def compute():
        return tail_excess(ids(n), [control], [control - 0.1 * noise], resamples=3000, seed=1)

    close(ends(monkeypatch, compute, most=n), ends(monkeypatch, compute, most=n - 1))

    def of_discrete():
        return tail_excess(ids(n), [np.ones(n)], [discrete], resamples=500, seed=1)

    # 4% are 0 and 6% a half: the worst 5% begin at a half in every resample of so many.
    single, blocks = ends(monkeypatch, of_discrete, most=n), ends(monkeypatch, of_discrete, most=n - 1)
    assert (blocks.low, blocks.estimate, blocks.high) == (single.low, single.estimate, single.high) == (0.5, 0.5, 0.5)


def close(one, other):
    """Equal but for the chance of the draws: other seeds move an end by up to a seventh of the interval's half."""
    assert (one.estimate, one.n, one.method) == (other.estimate, other.n, other.method)
    half = (one.high - one.low) / 2
    assert other.low == pytest.approx(one.low, abs=0.15 * half)
    assert other.high == pytest.approx(one.high, abs=0.15 * half)


def test_the_reading_order_is_that_of_whole_digests():
    names = ids(2000)
    key = (5).to_bytes(16, "little")
    digests = {name: blake2b(name.encode(), key=key, digest_size=16).digest() for name in names}
    assert [names[i] for i in reading_order(names, seed=5)] == sorted(names, key=digests.__getitem__)
