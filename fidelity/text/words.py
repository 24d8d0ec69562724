"""The words of a text in any script: what lexical metrics count unless they must agree with a package of the field."""

from functools import cache

import regex

from fidelity.text.normalization import composed, normalize

# LB=SA is Unicode's own list of the scripts whose words can't be found without a dictionary (UAX #14).
BY_CHARACTER = r"[\p{scx=Hani}\p{scx=Hira}\p{scx=Kana}\p{LB=SA}]"
"""A character of a script written without spaces (a set of the `regex` package, version 1)."""
LETTER = rf"[[\p{{L}}\p{{M}}\p{{N}}_\u200C\u200D]--{BY_CHARACTER}]"
"""What words are made of: letters, marks and digits of the other scripts, `_`, and the joiners inside words."""

SIGN = r"(?<![\p{L}\p{M}\p{N}_)\]}])[-+\u2212](?=\p{Nd})"
# "3rd", "3x" and "1980s" are words; 3 in "3cm" is a number with a unit.
ATTACHED_UNIT = rf"(?!(?:st|nd|rd|th|x|(?<=\d\d\d0)s)(?!{LETTER}))\p{{L}}[\p{{L}}\p{{M}}]*+[²³]?(?!{LETTER})"


def words(text: str) -> list[str]:
    """The normalized, case-folded tokens of a text; each character that `normalize` leaves, but white space, is in one.

    - Words of letters, combining marks and digits, with inner apostrophes: `don't`, `foo_bar`, `w4a16`, `नमस्ते`.
    - Numbers with sign and separators: `-3`, `3.14`, `1,000`. A sign counts where no operand is before it: `10-3`
      has a minus between two numbers. A unit is a word of its own: `10.5cm` is `10.5` and `cm`.
    - One token per character, with its marks, for scripts written without spaces: Han, kana, Thai, Lao, Khmer, Myanmar
      (Hangul has spaces, so it goes by word).
    - One token per remaining character, with its marks: punctuation, code symbols, emoji sequences and flags.

    White space only gives no tokens.
    """
    tokens: list[str] = _pattern().findall(_folded(text))
    return tokens


def plain_words(text: str) -> list[str]:
    """The words as rouge-score 0.1.2 counts them, in any script: runs of letters, marks and digits, and nothing else.

    In English in ASCII they are the package's (`don't` is `don` and `t`, `3.14` is `3` and `14`) but for two things: a
    number has its sign, `-3`, and an attached unit is a word of its own, `10.5cm` is `10`, `5` and `cm`. Scripts
    written without spaces go by character. Punctuation, symbols and emoji are no words.
    """
    runs: list[str] = _plain_pattern().findall(_folded(text))
    return runs


def word_spans(text: str) -> list[tuple[int, int]]:
    """Where the words of a text start and end, in the text as it is written: not normalized, not case-folded."""
    return [match.span() for match in _pattern().finditer(text)]


def _folded(text: str) -> str:
    folded = normalize(text).casefold()
    return folded if folded.isascii() else composed(folded)


@cache
def _pattern() -> "regex.Pattern[str]":
    # What joins two runs of a word is UAX #29's: a separator between digits, an apostrophe between letters.
    separator = r"(?<=\p{Nd})[.,\u066B\u066C](?=\p{Nd})"
    inner = rf"(?:{separator}|['’·](?={LETTER})){LETTER}+"
    number = rf"(?:{SIGN})?\p{{Nd}}++(?:{separator}\p{{Nd}}++)*+(?={ATTACHED_UNIT})"
    word = rf"(?:{SIGN})?{LETTER}+(?:{inner})*+"
    # A flag is spelled out because \X counts all regional indicators before it: 14 s for a text of 50,000 of them.
    flag = r"[\U0001F1E6-\U0001F1FF]{2}"
    return regex.compile(rf"(?={BY_CHARACTER})\X|(?<!{LETTER}){number}|{word}|{flag}|(?=\S)\X", regex.V1)


@cache
def _plain_pattern() -> "regex.Pattern[str]":
    letter = rf"[{LETTER}--_]"
    sign = rf"(?:{SIGN})?"
    number = rf"(?<!{LETTER}){sign}\p{{Nd}}++(?={ATTACHED_UNIT})"
    return regex.compile(rf"(?=[[\p{{L}}\p{{N}}]&&{BY_CHARACTER}])\X|{number}|{sign}{letter}++", regex.V1)
