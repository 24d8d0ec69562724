"""Which blocks of one text are those of another."""

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fidelity.text.counterparts import counterparts

blocks = st.lists(st.sampled_from(["one", "two", "one two", "three", "", "x" * 9]), max_size=6)


@pytest.mark.parametrize(
    ("baseline", "candidate", "expected"),
    [
        ([], [], []),
        (["a"], [], [None]),
        (["a"], ["b"], [0]),
        (["alpha", "beta"], ["beta", "alpha"], [1, 0]),
        (["alpha beta"], ["new", "alpha beta gamma"], [1]),
        (["alpha", "beta"], ["alpha"], [0, None]),
        (["same", "same"], ["same", "new", "same"], [0, 2]),
        (["xx", "yy"], ["pp", "qq"], [0, 1]),  # nothing alike: in order
    ],
)
def test_by_hand(baseline, candidate, expected):
    assert counterparts(baseline, candidate) == expected


@given(blocks, blocks)
def test_swapped_arguments_give_the_same_pairs(baseline, candidate):
    pairs = {(i, j) for i, j in enumerate(counterparts(baseline, candidate)) if j is not None}
    assert len(pairs) == min(len(baseline), len(candidate))
    assert pairs == {(i, j) for j, i in enumerate(counterparts(candidate, baseline)) if i is not None}
    assert counterparts(baseline, baseline) == list(range(len(baseline)))


def test_many_blocks_take_seconds():
    start = time.process_time()
    rng = random.Random(0)
    baseline = [f"{rng.random()}" for _ in range(20_000)]
    assert counterparts(baseline, ["new", *baseline]) == list(range(1, 20_001))
    counterparts(baseline, baseline[::-1])
    assert time.process_time() - start < 20
