"""Normalization: one spelling for texts that differ only in encoding and typography."""

import unicodedata
from functools import cache

import regex

APOSTROPHES = "\u2018\u2019\u201b\u02bc\u02b9\u2032\uff07\u00b4"
QUOTES = "\u201c\u201d\u201e\u201f\u2033\uff02"
HYPHENS = "\u2010\u2011\u2012\u2013\u2043\u2212\ufe63\uff0d"
"""Hyphens, the figure and the en dash, and the minus sign; an em dash is punctuation of its own."""
SPACES = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
VARIATIONS = "\ufe0e\ufe0f"
"""Whether an emoji has colors; unseen, also inside emoji sequences."""
MOST_MARKS = 30
"""UAX #15's stream-safe limit. Longer rows of marks, which no language has, take quadratic time, so they stay."""


def normalize(text: str) -> str:
    r"""The text in NFC, with `'`, `"`, `-` and the space for their typographic forms, `\n` for `\r\n`, nothing unseen.

    What is unseen are Unicode's default-ignorable characters (soft hyphens, zero widths, byte order and direction
    marks, variation selectors, joiners), except inside emoji sequences, where they distinguish families and flags.
    Normalization is idempotent.
    """
    if text.isascii():
        return text.replace("\r\n", "\n")
    seen = _ignorable().sub("", text)
    return composed(seen).translate(_spellings()).replace("\r\n", "\n")


def composed(text: str) -> str:
    """The text in NFC, in linear time: rows of more than 30 marks stay as they are."""
    pieces = _long_rows().split(text)
    return "".join(
        unicodedata.normalize("NFC", piece) if place % 2 == 0 else piece for place, piece in enumerate(pieces)
    )


def with_short_rows(text: str) -> str:
    """The text with rows of marks cut to 30, for packages that normalize it themselves."""
    shortened: str = _long_rows().sub(lambda row: row[0][:MOST_MARKS], text)
    return shortened


@cache
def _spellings() -> dict[int, str]:
    groups = {"'": APOSTROPHES, '"': QUOTES, "-": HYPHENS, " ": SPACES, "": VARIATIONS}
    return {ord(spelling): character for character, spellings in groups.items() for spelling in spellings}


@cache
def _ignorable() -> "regex.Pattern[str]":
    emoji = r"\p{Extended_Pictographic}[\uFE0F\p{Emoji_Modifier}]?"
    family = rf"{emoji}(?:\u200D{emoji})++"
    flag = r"\U0001F3F4[\U000E0030-\U000E007A]++\U000E007F"
    return regex.compile(rf"(?:{family}|{flag})(*SKIP)(*FAIL)|\p{{Default_Ignorable_Code_Point}}++")


@cache
def _long_rows() -> "regex.Pattern[str]":
    return regex.compile(rf"(\p{{M}}{{{MOST_MARKS + 1},}}+)")
