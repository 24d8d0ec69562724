from dataclasses import replace

import pytest
from hypothesis import given

from fidelity.floor import AmongRuns, by_prompt, summarise
from fidelity.metrics.inflation import Inflation
from fidelity.records import Generation, Pair, Prompt
from tests import laws

CHARACTERS = Inflation(unit="characters")


@given(laws.pairs)
def test_it_obeys_the_laws(pairs):
    laws.check(Inflation(), pairs)
    laws.check(CHARACTERS, pairs)
    laws.check(Inflation(of="thinking"), pairs)


@pytest.mark.parametrize("metric", [Inflation(), CHARACTERS])
def test_equal_answers_are_exactly_one(metric):
    laws.check_hard_texts(metric, identity=False)
    for text in filter(None, laws.HARD_TEXTS.values()):
        (column,) = metric.score([laws.pair(text, text)])
        assert column.values == (1.0,)


def test_the_mean_is_all_tokens_over_all_tokens():
    (column,) = Inflation().score([laws.pair("ab", "vwxyz"), laws.pair("abcdefgh", "abc"), laws.pair("", "abc")])
    assert (column.values, column.weights) == ((2.5, 0.375, None), (2.0, 8.0, None))
    assert column.sides == (None, None, "baseline")
    # (5 + 3) / (2 + 8); the mean of the two ratios would be 1.44.
    summary = summarise(AmongRuns((by_prompt("abc", column),)), column)
    assert summary.value == pytest.approx(0.8)


def test_the_excess_is_that_over_the_control_in_shares_of_the_baseline():
    (candidate,) = Inflation().score([laws.pair("ab", "vwxyz"), laws.pair("abcdefgh", "abcdefghi")])
    (control,) = Inflation().score([laws.pair("ab", "abc"), laws.pair("abcdefgh", "abcdefg")])
    among = AmongRuns((by_prompt("ab", candidate),), (by_prompt("ab", control),))
    # (5 + 9) / 10 of the candidate, (3 + 7) / 10 of the control.
    assert summarise(among, candidate).excess == pytest.approx(0.4)


def test_without_token_ids_it_falls_back_to_characters():
    assert laws.values(Inflation(), "ab", "abc", tokens=False) == {"length_inflation": None}
    assert Inflation().fallback() == CHARACTERS
    assert laws.values(CHARACTERS, "ab", "abc", tokens=False) == {"length_inflation_chars": 1.5}


class TestThinking:
    def pair(self, *, thoughts=("abcd", "abcdefgh"), answers=("wxyz", "wxyzwxyz")):
        """Baseline: 4 characters of each, 10 tokens; candidate: 8 of each, 30 tokens."""
        sides = [
            Generation("p", answer, tuple(range(count)), reasoning=thought)
            for answer, thought, count in zip(answers, thoughts, (10, 30), strict=True)
        ]
        return Pair(Prompt("p", "?"), *sides)

    def test_each_part_has_its_share_of_the_tokens(self):
        assert Inflation().score([self.pair()])[0].values == (3.0,)
        (thinking,) = Inflation(of="thinking").score([self.pair(answers=("wxyz", "wxyz"))])
        assert thinking.name == "length_inflation_thinking"
        # Baseline: half of 10 tokens; candidate: 8 of 12 characters, so 20 of 30 tokens.
        assert (thinking.values, thinking.weights) == ((4.0,), (5.0,))
        (answer,) = Inflation(of="answer").score([self.pair(answers=("wxyz", "wxyz"))])
        assert answer.values == (2.0,)  # 10 of 30 tokens over 5 of 10

    def test_a_baseline_without_thinking_has_none_to_inflate(self):
        plain = self.pair(thoughts=(None, "abcd"))
        (column,) = Inflation(of="thinking").score([plain])
        assert (column.values, column.sides) == ((None,), ("baseline",))
        assert Inflation(of="thinking").inapplicable([plain])
        assert Inflation(of="answer").inapplicable([plain])
        assert Inflation().inapplicable([plain]) is None
        assert Inflation(of="thinking").inapplicable([self.pair()]) is None

    def test_characters_are_counted_in_parts_too(self):
        pair = replace(self.pair(), candidate=Generation("p", "wx", None, reasoning="abcdef"))
        (column,) = Inflation(of="thinking", unit="characters").score([pair])
        assert (column.name, column.values) == ("length_inflation_thinking_chars", (1.5,))
