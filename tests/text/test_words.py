import pytest
from hypothesis import given

from fidelity.text.normalization import normalize
from fidelity.text.words import plain_words, words
from tests import laws


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't STOP foo_bar w4a16", ["don't", "stop", "foo_bar", "w4a16"]),
        ("-3 +3 3 −3", ["-3", "+3", "3", "-3"]),
        ("3.14, 1,000 v1.2.3", ["3.14", ",", "1,000", "v1.2.3"]),
        ("10-3 x-1 f(x)-1 (-1)", ["10", "-", "3", "x", "-", "1", "f", "(", "x", ")", "-", "1", "(", "-1", ")"]),
        ("10.5cm = 10.5 cm", ["10.5", "cm", "=", "10.5", "cm"]),
        ("-5km/h, 5cm² 1,000kg", ["-5", "km", "/", "h", ",", "5", "cm²", "1,000", "kg"]),
        ("3rd 3x 1980s 0x1f 1e5 x5cm", ["3rd", "3x", "1980s", "0x1f", "1e5", "x5cm"]),
        ("5किमी 333メートル", ["5", "किमी", "333", "メ", "ー", "ト", "ル"]),
        ("x**=2;", ["x", "*", "*", "=", "2", ";"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),  # one word each: vowel signs and virama are marks, not separators
        ("漢字カナ。Tokyo", ["漢", "字", "カ", "ナ", "。", "tokyo"]),
        ("한국어 단어", ["한국어", "단어"]),
        ("ดีครับ", ["ดี", "ค", "รั", "บ"]),  # each mark stays with its consonant
        ("٣٫١٤", ["٣٫١٤"]),
        ("👩‍👩‍👧👍🏽 🇩🇪🇫🇷🇩", ["👩‍👩‍👧", "👍🏽", "🇩🇪", "🇫🇷", "🇩"]),
        ("e\u0301te\u0301 =\u0338", ["\u00e9t\u00e9", "\u2260"]),
        ("\u0345\u0391 \u01f0", ["\u03b9\u03b1", "\u01f0"]),  # case folding takes apart, NFC puts together
        ("\x00 \ud800", ["\x00", "\ud800"]),
        (" \n\u00a0\u3000", []),
    ],
)
def test_by_hand(text, expected):
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't STOP foo_bar w4a16", ["don", "t", "stop", "foo", "bar", "w4a16"]),
        ("-3, 3.14 and 10-3", ["-3", "3", "14", "and", "10", "3"]),
        ("10.5cm = 2.54cm.", ["10", "5", "cm", "2", "54", "cm"]),
        ("3rd 3x 1980s 80s", ["3rd", "3x", "1980s", "80", "s"]),
        ("**bold** `code` 👍🏽 50 %", ["bold", "code", "50"]),
        ("漢字カナ。Tokyo", ["漢", "字", "カ", "ナ", "tokyo"]),
        ("नमस्ते, दुनिया।", ["नमस्ते", "दुनिया"]),
        ("ดีครับ", ["ดี", "ค", "รั", "บ"]),
        ("...!? 👍", []),
    ],
)
def test_plain_words_by_hand(text, expected):
    assert plain_words(text) == expected


@given(laws.texts)
def test_every_character_that_is_left_but_white_space_is_in_exactly_one_token(text):
    tokens, left = "".join(words(text)), normalize(normalize(text).casefold())
    assert normalize(tokens) == normalize("".join(c for c in left if not _is_white_space(c)))


def _is_white_space(character):
    # Unicode's White_Space: str.isspace() also counts the four information separators, which have not that property.
    return character.isspace() and character not in "\x1c\x1d\x1e\x1f"
