"""A text as Markdown blocks (CommonMark and tables, by markdown-it-py), for the structural metrics."""

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from fidelity.records import Side
from fidelity.text.remembered import remembered

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

MAX_CHARACTERS = 500_000
"""Longer texts aren't read as Markdown, and are unscored. Reading takes up to 10 microseconds per character."""


def too_long(baseline: str, candidate: str, *, most: int | None = None) -> Side | None:
    """The side with a text of more than `most` characters (MAX_CHARACTERS if None), the baseline first; else None."""
    limit = MAX_CHARACTERS if most is None else most
    return "baseline" if len(baseline) > limit else "candidate" if len(candidate) > limit else None


class Fence(NamedTuple):
    """A fenced block of code."""

    language: str
    """First word of the info string in lower case: "python", "c++"; empty where there is none."""
    content: str
    lines: tuple[int, int]
    """First line and line after the last, fence marks included."""


def parse(text: str) -> "list[Token]":
    """The blocks' tokens. Inline elements (emphasis, links, code spans) are not read."""
    tokens: list[Token] = _parser().parse(text)
    return tokens


@remembered
def fences(text: str) -> tuple[Fence, ...]:
    """The fenced blocks in order, those in lists and quotes too. One that is never closed ends with what it is in."""
    if "```" not in text and "~~~" not in text:
        return ()
    return tuple(
        Fence(language(t), t.content, (t.map[0], t.map[1])) for t in parse(text) if t.type == "fence" and t.map
    )


def without_fences(text: str, code: Sequence[Fence]) -> list[str]:
    """The stretches of whole lines before, between and after the fences."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    starts = [0, *(fence.lines[1] for fence in code)]
    ends = [*(fence.lines[0] for fence in code), len(lines)]
    return ["\n".join(lines[start:end]) for start, end in zip(starts, ends, strict=True)]


def language(fence: "Token") -> str:
    """The language that a fence's info string names, in lower case: `{.python}` and `Python title=x` are "python"."""
    named = re.search(r"[\w+#-]+", fence.info)
    return named.group().lower() if named else ""


@cache
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser
