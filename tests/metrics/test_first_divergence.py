import pytest
from hypothesis import given

from fidelity.metrics.first_divergence import FirstDivergence
from tests import laws

CHARACTERS = FirstDivergence(unit="characters")


@given(laws.pairs)
def test_it_obeys_the_laws(pairs):
    laws.check(FirstDivergence(), pairs, symmetric=["first_divergence"])
    laws.check(CHARACTERS, pairs, symmetric=["first_divergence_chars"])


def test_hard_texts():
    laws.check_hard_texts(FirstDivergence())
    laws.check_hard_texts(CHARACTERS)


@pytest.mark.parametrize(
    ("baseline", "candidate", "expected"),
    [
        ("abcde", "abXde", 2.0),  # positions count from 0
        ("abc", "abcdef", 3.0),  # the candidate goes on where the baseline ends
        ("abcd", "abcd", 4.0),  # never diverges: its whole length, which lets equal pairs raise the median
        ("", "", 0.0),
    ],
)
def test_by_hand(baseline, candidate, expected):
    assert laws.values(FirstDivergence(), baseline, candidate) == {"first_divergence": expected}
    assert laws.values(CHARACTERS, baseline, candidate) == {"first_divergence_chars": expected}


def test_it_is_described_by_its_median_and_never_judged():
    (column,) = FirstDivergence().score([])
    assert (column.better, column.summary, column.bounds) == ("neither", "median", None)


def test_without_token_ids_it_is_unscored_and_falls_back_to_characters():
    assert laws.values(FirstDivergence(), "ab", "ab", tokens=False) == {"first_divergence": None}
    assert FirstDivergence().fallback() == CHARACTERS
    assert CHARACTERS.fallback() is None
