import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fidelity.outside.strings import cut, one_line, visible


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain\ttext\nof two lines", "plain\ttext\nof two lines"),
        ("a\x00b\x1b[31mc\x7f", "a␀b␛[31mc␡"),
        ("one\r\ntwo", "one␍\ntwo"),
        ("\u202eevil\u202c \u2066x\u2069 \u061c", "⟦U+202E⟧evil⟦U+202C⟧ ⟦U+2066⟧x⟦U+2069⟧ ⟦U+061C⟧"),
        ("zero\u200bwidth\ufeff \u2028", "zero⟦U+200B⟧width⟦U+FEFF⟧ ⟦U+2028⟧"),
        ("\ud800\ufffe\x9b", "⟦U+D800⟧⟦U+FFFE⟧⟦U+009B⟧"),
        ("عربي שלום می‌خواهم 👨‍👩‍👧 ٣", "عربي שלום می‌خواهم 👨‍👩‍👧 ٣"),  # ZWNJ and ZWJ belong to what is written
    ],
)
def test_what_cannot_be_seen_is_made_visible(text, seen):
    assert visible(text) == seen


@given(st.text())
def test_nothing_invisible_is_left(text):
    for character in visible(text):
        if character not in "\n\t\u200c\u200d":
            assert unicodedata.category(character) not in {"Cc", "Cs", "Zl", "Zp"}
            assert unicodedata.bidirectional(character) not in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "PDI"}


def test_one_line_and_cut():
    assert one_line(" a\n\n b\x00 ") == "a b␀"
    assert one_line("abcdef", most=4) == "abc…"
    assert cut("abcdef", 10) == "abcdef"
    assert cut("abcdef" * 1000, 3) == "abc… (5,997 more characters)"
