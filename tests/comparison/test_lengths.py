"""Texts beyond the limit are unscored, by side, and what is within it takes a bounded time."""

import time

import pytest

from fidelity.comparison.lengths import LONGEST_TEXT, score_within_limits, too_long
from fidelity.metrics import metric_of_kind
from fidelity.records import Generation, Pair, Prompt

LONG = "a b c d e. " * (LONGEST_TEXT // 10)


def pair(baseline, candidate):
    return Pair(Prompt("p", "?"), Generation("p", baseline), Generation("p", candidate))


PAIRS = [pair("x y", "x y"), pair(LONG, "x"), pair("x", "y"), pair("x", LONG), pair(LONG, LONG), pair("x z", "x")]
SIDES = (None, "baseline", None, "candidate", "pair", None)


@pytest.mark.parametrize("kind", ["rouge", "edit", "facts", "json"])
def test_a_text_beyond_the_limit_is_unscored_on_its_side(kind):
    metric = metric_of_kind(kind)
    within = [one for one, side in zip(PAIRS, SIDES, strict=True) if side is None]
    assert [too_long(one) for one in PAIRS] == list(SIDES)
    for column, alone in zip(score_within_limits(metric, PAIRS), metric.score(within), strict=True):
        own = [place for place, side in enumerate(SIDES) if side is None]
        assert [column.values[place] for place in own] == list(alone.values)
        for place, side in enumerate(SIDES):
            if side:
                assert column.values[place] is None
                assert column.sides[place] == side


def test_equal_texts_of_any_length_are_identical():
    (column,) = score_within_limits(metric_of_kind("identical"), PAIRS)
    assert column.values == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def test_a_text_at_the_limit_is_scored():
    one = pair("a" * LONGEST_TEXT, "a" * LONGEST_TEXT)
    assert [column.values for column in score_within_limits(metric_of_kind("edit"), [one])] == [(1.0,), (1.0,)]


def test_brackets_take_linear_time():
    """A link was looked for from every bracket to the end: 48 KB took seconds."""
    took = []
    for size in (12_000, 96_000):
        text = "[" * size + "]" * size
        began = time.process_time()
        metric_of_kind("conflicts").score([pair(text, text[:-7] + " tail x")])
        took.append(time.process_time() - began)
    assert took[1] < 8 * max(took[0], 0.05) * 3
