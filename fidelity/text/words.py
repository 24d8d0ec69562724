"""The words of a text in any script: what lexical metrics count unless they must agree with a package of the field."""

from functools import cache

import regex

# LB=SA is Unicode's own list of the scripts whose words can't be found without a dictionary (UAX #14).
BY_CHARACTER = r"[\p{scx=Hani}\p{scx=Hira}\p{scx=Kana}\p{LB=SA}]"
"""A character of a script written without spaces (a set of the `regex` package, version 1)."""
LETTER = rf"[[\p{{L}}\p{{M}}\p{{N}}_\u200C\u200D]--{BY_CHARACTER}]"
"""What words are made of: letters, marks and digits of the other scripts, `_`, and the joiners inside words."""


def words(text: str) -> list[str]:
    """The case-folded tokens of a text; every character that isn't white space is in exactly one of them.

    - Words of letters, combining marks and digits, with inner apostrophes: `don't`, `foo_bar`, `w4a16`, `नमस्ते`.
    - Numbers with sign and separators: `-3`, `3.14`, `1,000`. A sign counts where no operand stands before it: `10-3`
      has a minus between two numbers.
    - One token per character, with its marks, for scripts written without spaces: Han, kana, Thai, Lao, Khmer, Myanmar
      (Hangul has spaces, so it goes by word).
    - One token per remaining character, with its marks: punctuation, code symbols, emoji sequences and flags.

    Code points are compared as they are: no normalization beyond case folding. White space only gives no tokens.
    """
    found: list[str] = _pattern().findall(text.casefold())
    return found


def word_spans(text: str) -> list[tuple[int, int]]:
    """Where the words of a text start and end, in the text as it is written: without case folding."""
    return [match.span() for match in _pattern().finditer(text)]


@cache
def _pattern() -> "regex.Pattern[str]":
    sign = r"(?<![\p{L}\p{M}\p{N}_)\]}])[-+\u2212](?=\p{Nd})"
    # What joins two parts of a word is UAX #29's: a separator between digits, an apostrophe between letters.
    inner = rf"(?:(?<=\p{{Nd}})[.,\u066B\u066C](?=\p{{Nd}})|['’·](?={LETTER})){LETTER}+"
    word = rf"(?:{sign})?{LETTER}+(?:{inner})*+"
    # A flag is spelled out because \X counts all regional indicators before it: 14 s for a text of 50,000 of them.
    flag = r"[\U0001F1E6-\U0001F1FF]{2}"
    return regex.compile(rf"(?={BY_CHARACTER})\X|{word}|{flag}|(?=\S)\X", regex.V1)
