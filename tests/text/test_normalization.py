"""What looks or reads the same is the same text after normalization, and everything else stays different."""

import time
import unicodedata

import pytest
from hypothesis import given

from fidelity.text.normalization import normalize
from fidelity.text.words import words
from tests import laws

SAME = [
    ("caf\u00e9", "cafe\u0301"),
    ("\uac00", "\u1100\u1161"),
    ("\u212b", "\u00c5"),
    ("don\u2019t", "don't"),
    ("\u02bcn", "'n"),
    ("\u201cyes\u201d", '"yes"'),
    ("well\u2010known", "well-known"),
    ("well\u2011known", "well-known"),
    ("10\u201320", "10-20"),
    ("\u22123", "-3"),
    ("inter\u00adnational", "international"),
    ("zero\u200bwidth\ufeff", "zerowidth"),
    ("\u200eleft\u200f \u202aright\u202c", "left right"),
    ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u062e\u0648\u0627\u0647\u0645"),
    ("5\u00a0km", "5 km"),
    ("5\u202fkm", "5 km"),
    ("\u2764\ufe0f", "\u2764"),
    ("\u2764\ufe0f\u200d\U0001f525", "\u2764\u200d\U0001f525"),
    ("line\r\nline", "line\nline"),
    ("a\u0323\u0302", "a\u0302\u0323"),
    ("a\u200b\u0301", "\u00e1"),
]
DIFFERENT = [
    ("\U0001f469\u200d\U0001f467", "\U0001f469\U0001f467"),  # a family, and a woman and a girl
    (
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    ),  # the flags of England and Scotland
    ("\U0001f44d\U0001f3fb", "\U0001f44d\U0001f3ff"),
    ("a\u2014b", "a-b"),
    ("x\u00b2", "x2"),
    ("resume", "r\u00e9sum\u00e9"),
    ("Yes", "yes"),
    ("a  b", "a b"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_reads_the_same_is_the_same(one, other):
    assert normalize(one) == normalize(other)
    assert words(one) == words(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_reads_otherwise_stays_different(one, other):
    assert normalize(one) != normalize(other)


@given(laws.texts)
def test_once_is_enough(text):
    assert normalize(normalize(text)) == normalize(text)


@given(laws.texts)
def test_unicodes_forms_of_a_text_have_the_same_words(text):
    assert words(unicodedata.normalize("NFD", text)) == words(unicodedata.normalize("NFC", text)) == words(text)


def test_hostile_texts_take_no_time():
    start = time.process_time()
    for text in (*laws.HARD_TEXTS.values(), "\U0001f469\u200d" * 50_000, "\u200d\U0001f469" * 50_000):
        assert normalize(normalize(text)) == normalize(text)
    assert time.process_time() - start < 5
