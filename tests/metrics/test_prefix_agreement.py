import pytest
from hypothesis import given

from fidelity.metrics.prefix_agreement import PrefixAgreement
from tests import laws

CHARACTERS = PrefixAgreement(unit="characters")


@given(laws.pairs)
def test_it_obeys_the_laws(pairs):
    laws.check(PrefixAgreement(), pairs, symmetric=["prefix_agreement"])
    laws.check(CHARACTERS, pairs, symmetric=["prefix_agreement_chars"])


@pytest.mark.parametrize("metric", [PrefixAgreement(), CHARACTERS])
def test_hard_texts(metric):
    laws.check_hard_texts(metric)
    laws.check_empty(metric)


@pytest.mark.parametrize(
    ("baseline", "candidate", "expected"),
    [
        ("abcde", "abXde", 2 / 5),  # two of five before the first differing one; what agrees later doesn't count
        ("abc", "abcdef", 3 / 6),  # the start of the other: it parts where it ends
        ("abc", "Xbc", 0.0),
    ],
)
def test_by_hand(baseline, candidate, expected):
    assert laws.values(PrefixAgreement(), baseline, candidate) == {"prefix_agreement": expected}
    assert laws.values(CHARACTERS, baseline, candidate) == {"prefix_agreement_chars": expected}


def test_without_token_ids_it_is_unscored_and_falls_back_to_characters():
    assert laws.values(PrefixAgreement(), "ab", "ab", tokens=False) == {"prefix_agreement": None}
    assert PrefixAgreement(label="x").fallback() == PrefixAgreement(unit="characters", label="x")
    assert CHARACTERS.fallback() is None
    assert (PrefixAgreement().needs, CHARACTERS.needs) == ({"token_ids"}, {"text"})
