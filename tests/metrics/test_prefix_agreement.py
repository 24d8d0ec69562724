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


def test_the_profile_shows_where_they_diverge():
    # Twenty tokens, two a decile, the first five shared: deciles 1 and 2 whole, half of decile 3, then none.
    values = laws.values(PrefixAgreement(profile=True), "abcdefghijklmnopqrst", "abcdeXghijklmnopqrst")
    assert values.pop("prefix_agreement") == 5 / 20
    assert values == {f"prefix_agreement[decile={d}]": {1: 1.0, 2: 1.0, 3: 0.5}.get(d, 0.0) for d in range(1, 11)}


def test_a_short_baseline_has_deciles_without_tokens():
    values = laws.values(PrefixAgreement(profile=True), "abc", "abX")
    assert [values[f"prefix_agreement[decile={d}]"] for d in (1, 2, 4, 7, 10)] == [1.0, None, 1.0, 0.0, None]
    assert laws.values(PrefixAgreement(profile=True), "abc", "abX", tokens=False)["prefix_agreement[decile=1]"] is None


@given(laws.pairs)
def test_the_profile_obeys_the_laws(pairs):
    laws.check(PrefixAgreement(profile=True), pairs)
