from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fidelity.text import ngrams
from fidelity.text.ngrams import shared_ngrams


def counted(one, other, order):
    """The same with Counters, one n after another."""
    both = [
        [Counter(tuple(s[i : i + n]) for i in range(len(s) - n + 1)) for s in (one, other)] for n in range(1, order + 1)
    ]
    return [sum((a & b).values()) for a, b in both]


def shared(pairs, order):
    return shared_ngrams([(np.array(a, np.int64), np.array(b, np.int64)) for a, b in pairs], order=order).tolist()


few = st.lists(st.integers(1, 3), max_size=30)
many = st.lists(st.integers(1, 1 << 20), max_size=30)


@given(st.lists(st.one_of(st.tuples(few, few), st.tuples(many, few), st.tuples(many, many)), max_size=8))
def test_they_are_counted_as_counters_do(pairs):
    for order in (1, 2, 6):
        assert shared(pairs, order) == [counted(a, b, order) for a, b in pairs]


@given(st.lists(st.tuples(few, few), min_size=1, max_size=8))
def test_a_large_alphabet_gives_the_same_counts(pairs):
    expected = shared(pairs, 6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ngrams, "KEY_BITS", 0)
        assert shared(pairs, 6) == expected


@given(st.lists(st.tuples(few, few), max_size=8), st.integers(1, 40))
def test_the_size_of_a_block_does_not_matter(pairs, block):
    expected = shared(pairs, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ngrams, "BLOCK", block)
        assert shared(pairs, 3) == expected


def test_by_hand():
    # 1 2 1 2 and 1 2 2: they share 1, 2, 2 (one 1 is missing in the other); of the pairs, 1-2 once; no triple.
    assert shared([([1, 2, 1, 2], [1, 2, 2])], 3) == [[3, 1, 0]]
    # Equal ends count once for each n-gram, not again for what is filled up behind them.
    assert shared([([1, 2, 3], [4, 2, 3])], 6) == [[2, 1, 0, 0, 0, 0]]
    assert shared([([], []), ([1], []), ([1], [1])], 2) == [[0, 0], [0, 0], [1, 0]]
    assert shared([], 2) == []


def test_more_distinct_symbols_than_a_sort_key_has_bits_for():
    one = list(range(1, 3000))
    assert shared([(one, one[500:]), (one[::-1], one)], 6) == [
        [2499, 2498, 2497, 2496, 2495, 2494],
        [2999, 0, 0, 0, 0, 0],
    ]
