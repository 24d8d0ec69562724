"""Text from strangers, made harmless: what a reader can't see is made visible, so that it neither acts nor hides."""

import re
from functools import cache

import regex

LONGEST_REASON = 300
"""Characters of a reason or a name that somebody else gives."""
WORD_JOINER = "\u2060"
"""Put inside what a website would make a link or a mention of; invisible, and never left in by `visible`."""


def replace_lone_surrogates(text: str) -> str:
    """The text with surrogate pairs joined and lone surrogates, which no UTF-8 file can hold, as U+FFFD."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def inert(text: str) -> str:
    """Text for a terminal or the log of a CI: `visible`, and no line is a command of GitHub Actions."""
    return re.sub(r"(?m)^(\s*)(::|##\[)", r"\1> \2", visible(text))


def visible(text: str) -> str:
    """The text with every character that can't be seen, or that would act, as a sign: NUL is `␀`, ESC `␛`.

    Those without a sign of their own are named: `⟦U+202E⟧` turned the reading direction. That is all of Unicode's
    control, format and default-ignorable characters (ANSI codes, marks of direction, zero widths, tags, fillers), line
    and paragraph separators, lone surrogates and what XML has no place for. Tab and line feed stay, and so do the
    joiners and variation selectors inside words and emoji.
    """
    seen: str = _unseen().sub(_named, text)
    return seen


def one_line(text: str, *, most: int = 500) -> str:
    """The same on one line, cut with `…` where it is longer than `most` characters."""
    line = visible(" ".join(text.split()))
    return line if len(line) <= most else line[: most - 1] + "…"


def cut(text: str, most: int) -> str:
    """The text itself if it is short enough, else its beginning, and how much was left out."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} more characters)"


def _named(match: "regex.Match[str]") -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else code_point(match.group())


def code_point(character: str) -> str:
    """A character's number in Unicode: `⟦U+202E⟧`."""
    return f"⟦U+{ord(character):04X}⟧"


@cache
def _unseen() -> "regex.Pattern[str]":
    # What stays: ZWNJ, ZWJ, variation selectors, and format characters that are seen (Arabic and other number signs).
    return regex.compile(
        r"[[\p{Cc}\p{Cf}\p{Cs}\p{DI}\p{Zl}\p{Zp}\uFFFE\uFFFF]--[\t\n\u200C\u200D\uFE00-\uFE0F\U000E0100-\U000E01EF"
        r"\u0600-\u0605\u06DD\u070F\u0890\u0891\u08E2\U000110BD\U000110CD]]",
        regex.V1,
    )
