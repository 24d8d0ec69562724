import pytest
from hypothesis import given

from fidelity.text.words import words
from tests import laws


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't STOP foo_bar w4a16", ["don't", "stop", "foo_bar", "w4a16"]),
        ("-3 +3 3 −3", ["-3", "+3", "3", "−3"]),
        ("3.14, 1,000 v1.2.3", ["3.14", ",", "1,000", "v1.2.3"]),
        ("10-3 x-1 f(x)-1 (-1)", ["10", "-", "3", "x", "-", "1", "f", "(", "x", ")", "-", "1", "(", "-1", ")"]),
        ("x**=2;", ["x", "*", "*", "=", "2", ";"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),  # one word each: vowel signs and virama are marks, not separators
        ("漢字カナ。Tokyo", ["漢", "字", "カ", "ナ", "。", "tokyo"]),
        ("한국어 단어", ["한국어", "단어"]),
        ("ดีครับ", ["ดี", "ค", "รั", "บ"]),  # each mark stays with its consonant
        ("٣٫١٤", ["٣٫١٤"]),
        ("👩‍👩‍👧👍🏽 🇩🇪🇫🇷🇩", ["👩‍👩‍👧", "👍🏽", "🇩🇪", "🇫🇷", "🇩"]),
        ("e\u0301te\u0301 =\u0338", ["e\u0301te\u0301", "=\u0338"]),
        ("\x00 \ud800", ["\x00", "\ud800"]),
        (" \n\u00a0\u3000", []),
    ],
)
def test_by_hand(text, expected):
    assert words(text) == expected


@given(laws.texts)
def test_every_character_but_white_space_is_in_exactly_one_token(text):
    assert "".join(words(text)) == "".join(c for c in text.casefold() if not _is_white_space(c))


def _is_white_space(character):
    # Unicode's White_Space: str.isspace() also counts the four information separators, which have not that property.
    return character.isspace() and character not in "\x1c\x1d\x1e\x1f"
