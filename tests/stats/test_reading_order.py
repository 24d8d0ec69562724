"""Prompts are read in an order that depends on their ids alone, and so does every number."""

import random

import numpy as np
import pytest

from fidelity import stats
from tests.stats.values import RANGE, excesses, names


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
    with pytest.raises(ValueError, match="'a' is duplicated"):
        stats.reading_order(["a", "b", "a"])


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
                stats.tail_excess(i, [v], [o], resamples=300),
            )
            for i, v, o in rows
        ],
        strict=True,
    )
    for pair in (bounds, p_values, means, medians, studentised, tails):
        assert pair[0] == pair[1]
