import random

import pytest
from hypothesis import given

from fidelity.metrics.edit import Edit
from tests import laws

PROFILE = [f"edit_words[decile={d}]" for d in range(1, 11)]


@given(laws.pairs)
def test_it_obeys_the_laws(pairs):
    laws.check(Edit(profile=True), pairs, symmetric=["edit_chars", "edit_words"])


@given(laws.texts)
def test_identical_texts_give_exactly_one(text):
    laws.check_identity(Edit(), text)
    laws.check_identity(Edit(profile=True), text, unscored=True)


def test_hard_texts():
    laws.check_hard_texts(Edit())
    laws.check_empty(Edit())


def test_by_hand():
    # kitten to sitting, the textbook example: k to s, e to i, and a g at the end: 3 edits, 7 characters.
    # One word of three differs.
    values = laws.values(Edit(), "the kitten sat", "the sitting sat")
    assert values == {"edit_chars": pytest.approx(1 - 3 / 15), "edit_words": pytest.approx(2 / 3)}


@given(laws.texts, laws.texts)
def test_it_is_the_textbook_distance(baseline, candidate):
    longer = max(len(baseline), len(candidate), 1)
    assert laws.values(Edit(), baseline, candidate)["edit_chars"] == 1 - naive_distance(baseline, candidate) / longer


def naive_distance(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a):
        row, above = [i + 1], row
        for j, y in enumerate(b):
            row.append(min(above[j] + (x != y), above[j + 1] + 1, row[j] + 1))
    return row[-1]


def profile(baseline, candidate):
    values = laws.values(Edit(profile=True), baseline, candidate)
    return [values[name] for name in PROFILE]


def test_the_profile_shows_where():
    # Twenty words, two a decile: the third word replaced (decile 2: one of two remains), the ninth deleted (decile 5),
    # two added before the thirteenth (decile 7: two of four steps), one after the end (decile 10: two of three).
    baseline = [f"w{i}" for i in range(1, 21)]
    candidate = [*baseline[:2], "X", *baseline[3:8], *baseline[9:12], "Y", "Z", *baseline[12:], "end"]
    expected = [1, 1 / 2, 1, 1, 1 / 2, 1, 2 / 4, 1, 1, 2 / 3]
    assert profile(" ".join(baseline), " ".join(candidate)) == expected


def test_a_short_baseline_has_deciles_without_words():
    # Word i of three is in decile 10 * i // 3 + 1: the first, the fourth and the seventh.
    assert profile("a b c", "a b x") == [1, None, None, 1, None, None, 0, None, None, None]
    assert profile("", "a b") == [None] * 10


def test_all_steps_of_the_alignment_are_in_the_profile():
    # A decile of w words with share k keeps at most all of its words; together they keep the longest the alignment has.
    rng = random.Random(0)
    for _ in range(50):
        baseline, candidate = (" ".join(rng.choices("abcdef", k=rng.randrange(10, 60))) for _ in range(2))
        assert all(0 <= value <= 1 for value in profile(baseline, candidate))
        assert profile(baseline, baseline) == [1.0] * 10
        assert profile(baseline, "") == [0.0] * 10
