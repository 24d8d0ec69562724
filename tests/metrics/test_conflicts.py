"""Conflicts as columns: 0 or 1 per prompt and kind, None where nothing can be compared."""

import pytest
from hypothesis import given, settings

from fidelity.metrics.conflicts import Conflicts
from tests import laws

COLUMNS = [
    *("conflict_number", "conflict_negation", "conflict_direction", "conflict_name", "conflict_json", "conflict_code"),
    *("conflict_table", "conflict_any", "aligned", "omitted", "added"),
]


@settings(deadline=None, max_examples=50)
@given(laws.pairs)
def test_laws(some_pairs):
    laws.check(Conflicts(), some_pairs)


@pytest.mark.parametrize("name", laws.HARD_TEXTS)
def test_hard_texts(name):
    text = laws.HARD_TEXTS[name]
    assert set(laws.values(Conflicts(), text, text).values()) == {0.0, 1.0}
    laws.check(Conflicts(), [laws.pair(text, "Paris is not in Spain."), laws.pair("Paris is not in Spain.", text)])


def test_columns():
    values = laws.values(Conflicts(), "Take 5 mg. It is not safe.", "Take 50 mg. It is not safe.")
    assert list(values) == COLUMNS
    assert values == dict.fromkeys(COLUMNS, 0.0) | {"conflict_number": 1.0, "conflict_any": 1.0, "aligned": 1.0}


def test_texts_that_share_nothing_are_unscored():
    values = laws.values(Conflicts(), "Take 5 mg a day.", "Bananas are yellow and grow in warm countries.")
    assert values["conflict_any"] is None
    assert values["conflict_number"] is None
    assert values["aligned"] == 0.0


def test_a_language_without_words():
    polish = "Tego leku nie wolno brać razem z alkoholem, ponieważ szkodzi to wątrobie."
    values = laws.values(Conflicts(), polish, polish.replace("nie ", ""))
    assert values["conflict_negation"] is None
    assert values["conflict_any"] is None
    assert values["conflict_number"] == 0.0
    values = laws.values(Conflicts(), polish + " 5 mg", polish + " 50 mg")
    assert values["conflict_any"] == 1.0
