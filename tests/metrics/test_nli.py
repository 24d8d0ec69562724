import pytest
from hypothesis import given
from pydantic import ValidationError

from fidelity.metrics.nli import Nli
from tests import laws
from tests.encoders.fake_encoder import FakeEncoder

METRIC = Nli(encoder="fake").bind(FakeEncoder())


def contradiction(baseline, candidate):
    return laws.values(METRIC, baseline, candidate)["contradiction"]


@given(laws.pairs)
def test_it_obeys_the_laws(pairs):
    laws.check(METRIC, pairs)


def test_hard_texts():
    laws.check_hard_texts(METRIC)


@given(laws.texts)
def test_a_text_never_contradicts_itself(text):
    assert contradiction(text, text) == 0.0


def test_by_hand():
    # Two sentences, of 10 and of 6 and 10 characters; the fake model sees a contradiction in the second alone.
    assert contradiction("It is red. I ran.", "It is red. I not ran.") == 10 / 20
    assert contradiction("It is red. I ran.", "It is bad. I not ran.") == 10 / 20


def test_neutral_apart():
    values = laws.values(METRIC, "The cat is here. The dog ran.", "The cat is here. The dog maybe ran.")
    assert values == {"contradiction": 0.0, "neutral": 18 / 34}


def test_sentences_are_held_against_their_counterpart_wherever_it_is():
    assert contradiction("The cat is here. The dog ran.", "The dog ran. The cat is not here.") == 20 / 32


def test_what_has_no_counterpart_does_not_count():
    assert contradiction("The cat is here.", "The cat is here. Nobody wants to not pay for it.") == 0.0
    assert contradiction("Bananas are yellow.", "Nobody wants to not pay for it.") is None


def test_one_empty_text_says_nothing_to_contradict():
    assert contradiction("", "") == 0.0
    (column, _) = METRIC.score([laws.pair("a.", " "), laws.pair("", "a.")])
    assert column.sides == ("candidate", "baseline")


def test_only_changed_sentences_reach_the_model_and_each_pair_once():
    encoder = FakeEncoder()
    pairs = [laws.pair("A. B c.", "A. B d."), laws.pair("B c.", "B d. B d."), laws.pair("A.", "A.")]
    Nli(encoder="fake").bind(encoder).score(pairs)
    assert encoder.embedded == ["B d."]


def test_it_has_no_model_of_its_own_and_is_described_without_one():
    with pytest.raises(ValidationError, match="encoder"):
        Nli()
    assert [c.name for c in Nli(encoder="x").score([])] == ["contradiction", "neutral"]
