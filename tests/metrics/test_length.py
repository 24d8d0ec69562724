import pytest
from hypothesis import given

from fidelity.metrics.length import Length
from tests import laws

CHARACTERS = Length(unit="characters")


@given(laws.pairs)
def test_it_obeys_the_laws(pairs):
    laws.check(Length(), pairs, symmetric=["length_similarity"])
    laws.check(CHARACTERS, pairs, symmetric=["length_similarity_chars"])


@pytest.mark.parametrize("metric", [Length(), CHARACTERS])
def test_hard_texts(metric):
    laws.check_hard_texts(metric)
    laws.check_empty(metric)


def test_by_hand():
    # 2 tokens against 5: ratio 5/2, similarity 2/5.
    assert laws.values(Length(), "ab", "vwxyz") == {"length_ratio": 2.5, "length_similarity": 0.4}


def test_the_mean_of_the_ratio_is_sum_over_sum():
    ratio, _ = Length().score([laws.pair("ab", "vwxyz"), laws.pair("abcdefgh", "abc"), laws.pair("", "abc")])
    assert (ratio.values, ratio.weights) == ((2.5, 0.375, None), (2.0, 8.0, None))
    # Sum over sum is (5 + 3) / (2 + 8) = 0.8; the mean of the two ratios would be 1.4375. An empty baseline has none.
    assert sum(v * w for v, w in zip(ratio.values[:2], ratio.weights[:2], strict=True)) / sum(ratio.weights[:2]) == 0.8


def test_without_token_ids_it_is_unscored_and_falls_back_to_characters():
    assert laws.values(Length(), "ab", "ab", tokens=False) == {"length_ratio": None, "length_similarity": None}
    assert Length().fallback() == CHARACTERS
    assert [c.name for c in CHARACTERS.score([])] == ["length_ratio_chars", "length_similarity_chars"]
