"""Making foreign text safe: invisible characters become visible, so they can't act or hide anything."""

import re
from functools import cache

import regex

LONGEST_REASON = 300
"""The maximum length of a reason or a name from outside."""
WORD_JOINER = "\u2060"
"""An invisible character that prevents links and mentions; `visible` removes it from foreign text."""


def replace_lone_surrogates(text: str) -> str:
    """The text with surrogate pairs joined and lone surrogates, which no UTF-8 file can hold, as U+FFFD."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def inert(text: str) -> str:
    """Text for a terminal or a CI log: `visible`, and no line is a command of GitHub Actions.

    Its runner reads `::name::` at the start of a line, and `##[name]` anywhere in it.
    """
    return re.sub(r"(?m)^(\s*)::", r"\1> ::", visible(text).replace("##[", "## ["))


def visible(text: str) -> str:
    """Replace every invisible or active character with a symbol: NUL is `␀`, ESC is `␛`.

    Characters without a symbol become their code point: `⟦U+202E⟧` (right-to-left override). These are all of Unicode's
    control, format and default-ignorable characters (ANSI codes, marks of direction, zero widths, tags, fillers), line
    and paragraph separators, lone surrogates and what XML has no place for. Tab and line feed stay, and so do the
    joiners and variation selectors inside words and emoji.
    """
    seen: str = _unseen().sub(_named, text)
    return seen


def one_line(text: str, *, most: int = 500) -> str:
    """Visible text on one line, cut with `…` after `most` characters."""
    line = visible(" ".join(text.split()))
    return line if len(line) <= most else line[: most - 1] + "…"


def cut(text: str, most: int) -> str:
    """The text if it is short enough, else its beginning and the number of characters left out."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} more characters)"


def _named(match: "regex.Match[str]") -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else code_point(match.group())


def code_point(character: str) -> str:
    """A character's code point: `⟦U+202E⟧`."""
    return f"⟦U+{ord(character):04X}⟧"


@cache
def _unseen() -> "regex.Pattern[str]":
    # Exceptions: ZWNJ, ZWJ, variation selectors, and visible format characters (Arabic and other number signs).
    return regex.compile(
        r"[[\p{Cc}\p{Cf}\p{Cs}\p{DI}\p{Zl}\p{Zp}\uFFFE\uFFFF]--[\t\n\u200C\u200D\uFE00-\uFE0F\U000E0100-\U000E01EF"
        r"\u0600-\u0605\u06DD\u070F\u0890\u0891\u08E2\U000110BD\U000110CD]]",
        regex.V1,
    )
