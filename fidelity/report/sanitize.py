"""Text from strangers, made harmless: what a reader can't see is made visible, so that it neither acts nor hides."""

from functools import cache

import regex

WORD_JOINER = "\u2060"
"""Put inside what a website would make a link or a mention of; invisible, and never left in by `visible`."""


def visible(text: str) -> str:
    """The text with every character that can't be seen, or that would act, as a sign: NUL is `␀`, ESC `␛`.

    Those without a sign of their own are named: `⟦U+202E⟧` turned the reading direction. That is all of Unicode's
    control and format characters (ANSI codes, marks of direction, zero widths, tags), line and paragraph separators,
    lone surrogates and what XML has no place for. Tab and line feed stay, and so do the joiners inside words and emoji.
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
    return "\u2421" if code == 0x7F else f"⟦U+{code:04X}⟧"


@cache
def _unseen() -> "regex.Pattern[str]":
    # The last line has format characters that are seen (Arabic and other number signs), and the joiners ZWNJ and ZWJ.
    return regex.compile(
        r"[[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\uFFFE\uFFFF]--[\t\n\u200C\u200D"
        r"\u0600-\u0605\u06DD\u070F\u0890\u0891\u08E2\U000110BD\U000110CD]]",
        regex.V1,
    )
