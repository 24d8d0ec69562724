import pytest
from hypothesis import given
from hypothesis import strategies as st

from fidelity.metrics.thinking import Thinking
from fidelity.records import Generation, Pair, Prompt
from tests import laws

METRIC = Thinking()
SYMMETRIC = ("thinking.rougeL", "thinking.length_similarity")


def generation(answer, thinking=None):
    return Generation("p", answer, reasoning=thinking)


def pair(baseline, candidate):
    return Pair(Prompt("p", "x"), baseline, candidate)


def values(baseline, candidate):
    return {column.name: column.values[0] for column in METRIC.score([pair(baseline, candidate)])}


generations = st.builds(generation, laws.texts, st.one_of(st.none(), laws.texts))


@given(st.lists(st.builds(pair, generations, generations), max_size=6))
def test_laws(pairs):
    laws.check(METRIC, pairs, symmetric=SYMMETRIC)


@given(generations)
def test_identity(one):
    thought = bool(one.reasoning)
    columns = values(one, one)
    assert columns["thinking.rougeL"] == columns["thinking.length_similarity"] == (1.0 if thought else None)
    assert columns["thinking.length_ratio"] == (1.0 if thought else None)
    assert columns["break_unanswered"] == 0.0


def test_by_hand():
    # rougeL: "one two" in common of 4 and 2 words, F1 2 * 2 / 6; 18 and 7 characters.
    columns = values(generation("4", "one two three four"), generation("4", "one two"))
    assert columns["thinking.rougeL"] == pytest.approx(2 / 3)
    assert columns["thinking.length_ratio"] == pytest.approx(7 / 18)
    assert columns["thinking.length_similarity"] == pytest.approx(7 / 18)


def test_inflation_is_all_characters_over_all_characters():
    pairs = [
        pair(generation("x", "abcd"), generation("x", "ab")),
        pair(generation("x", "a"), generation("x", "abc")),
        pair(generation("x"), generation("y")),
    ]
    (ratio,) = [column for column in METRIC.score(pairs) if column.name == "thinking.length_ratio"]
    assert (ratio.values, ratio.weights, ratio.better) == ((0.5, 3.0, None), (4.0, 1.0, None), "neither")


@pytest.mark.parametrize(("thinks", "silent"), [("long thoughts", None), ("long thoughts", "")])
def test_a_side_that_does_not_think_shares_nothing(thinks, silent):
    for columns in (
        values(generation("x", thinks), generation("x", silent)),
        values(generation("x", silent), generation("x", thinks)),
    ):
        assert (columns["thinking.rougeL"], columns["thinking.length_similarity"]) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("baseline", "candidate", "broken"),
    [
        (generation("4", "a"), generation(" \n", "a and on and on"), 1.0),
        (generation("4"), generation("", "a"), 1.0),
        (generation("", "a"), generation("", "b"), 0.0),  # the baseline didn't come to one either
        (generation("4", "a"), generation(""), 0.0),  # it didn't think: an empty answer, which break_empty counts
        (generation("", "a"), generation("4", "a"), 0.0),
    ],
)
def test_never_came_to_an_answer(baseline, candidate, broken):
    assert values(baseline, candidate)["break_unanswered"] == broken


@given(laws.pairs)
def test_without_thinking_it_has_nothing_to_say(pairs):
    assert METRIC.inapplicable(pairs)
    assert not METRIC.inapplicable([*pairs, pair(generation("x"), generation("x", "hm"))])


def test_hard_texts():
    pairs = [
        pair(generation(text, text), generation("x", other))
        for text, other in zip(laws.HARD_TEXTS.values(), [*list(laws.HARD_TEXTS.values())[1:], ""], strict=True)
    ]
    laws.check_form(METRIC.score(pairs), len(pairs))
