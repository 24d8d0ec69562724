"""Columns in arrays: equal to tuples of the same values, and NaN is no value."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fidelity.records import Column, ColumnNumbers, Sides, numbers

VALUES = st.lists(st.none() | st.floats(allow_nan=False))


@given(VALUES, st.integers(1, 4))
def test_numbers_are_the_values_that_they_were_made_of(values, at_once):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numbers, "AT_ONCE", at_once)
        packed = ColumnNumbers.of(values)
        assert list(packed) == values
        assert packed == tuple(values)
        assert tuple(values) == packed
        assert [packed[place] for place in range(len(values))] == values
        assert packed[1:] == values[1:]
    assert ColumnNumbers.of(packed) is packed


@given(st.lists(st.sampled_from([None, "baseline", "candidate", "pair"])))
def test_sides_too(sides):
    assert list(Sides.of(sides)) == sides
    assert Sides.of(sides).array.itemsize == 1


def test_they_differ_where_a_value_does():
    assert ColumnNumbers.of((1.0, None)) != (1.0, 0.0)
    assert ColumnNumbers.of((1.0, None)) != ColumnNumbers.of((1.0, 0.0))
    assert ColumnNumbers.of((1.0,)) != (1.0, None)
    assert Column("m", ColumnNumbers.of((1.0, None))) == Column("m", (1.0, None))


def test_nan_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        ColumnNumbers.of((1.0, float("nan")))


def test_a_lost_answer_of_the_candidate_is_judged_as_the_worst():
    column = Column("m", ColumnNumbers.of((0.5, None, None)), sides=Sides.of((None, "candidate", "baseline")))
    assert column.judged_values == (0.5, 0.0, None)
    assert np.array_equal(np.asarray(column.values), [0.5, np.nan, np.nan], equal_nan=True)
