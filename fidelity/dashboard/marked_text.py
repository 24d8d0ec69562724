"""Texts as markup, with conflicts, search hits and changed words marked by more than color."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import regex

from fidelity.dashboard.widgets import text
from fidelity.outside.strings import cut, one_line
from fidelity.report.diff import Piece, readable, word_diff
from fidelity.text.conflicts import Conflict

SECONDS = 0.2
"""The time limit for finding the hits of a regular expression in one text; beyond, none is marked."""
MOST_HITS = 500
LONGEST_VALUE = 60
TAGS = {"both": "{}", "baseline": '<del class="f-gone">{}</del>', "candidate": '<ins class="f-new">{}</ins>'}
FIRST = '<span class="f-parts">first divergence</span>'


@dataclass(frozen=True, slots=True)
class Mark:
    """A marked stretch of a text, in characters; empty where only a place is marked."""

    kind: Literal["conflict", "hit"]
    start: int
    end: int
    label: str = ""
    """What is written behind it."""
    tip: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for."""

    words: str
    is_regex: bool = False

    @property
    def pattern(self) -> str:
        """As a regular expression; ignoring case."""
        return self.words if self.is_regex else regex.escape(self.words)


def hits(body: str, query: Query | None) -> list[Mark]:
    """The places in a text that a query matches; none if the expression is invalid or takes too long."""
    if query is None or not query.words:
        return []
    try:
        matches = regex.finditer(query.pattern, body, flags=regex.IGNORECASE, timeout=SECONDS)
        return [
            Mark("hit", *match.span()) for match, _ in zip(matches, range(MOST_HITS), strict=False) if match.group()
        ]
    except (regex.error, TimeoutError):
        return []


def pieces_around(body: str, query: Query | None) -> tuple[str, ...]:
    """A text cut at its hits: every second piece is one."""
    pieces: list[str] = []
    at = 0
    for hit in hits(body, query):
        pieces += [body[at : hit.start], body[hit.start : hit.end]]
        at = hit.end
    return (*pieces, body[at:])


def conflict_marks(conflicts: Iterable[Conflict], baseline: str, candidate: str) -> tuple[list[Mark], list[Mark]]:
    """The marks of both texts; the label is the kind, and the tip has both values."""
    marks: tuple[list[Mark], list[Mark]] = ([], [])
    for conflict in conflicts:
        old, new = (one_line(cut(one[slice(*at)], LONGEST_VALUE)) for one, at in _sides(conflict, baseline, candidate))
        tip = f"{conflict.kind}: {old or 'added'} / {new or 'dropped'}"
        for side, (_, (start, end)) in zip(marks, _sides(conflict, baseline, candidate), strict=True):
            side.append(Mark("conflict", start, end, conflict.kind, tip))
    return marks


def _sides(conflict: Conflict, baseline: str, candidate: str) -> tuple[tuple[str, tuple[int, int]], ...]:
    return (baseline, conflict.baseline), (candidate, conflict.candidate)


def marked(body: str, marks: Sequence[Mark]) -> str:
    """A text as escaped markup with its marks."""
    return "".join([*_segments(body, 0, marks), *_at_end(body, marks)])


def marked_diff(baseline: str, other: str, marks: tuple[Sequence[Mark], Sequence[Mark]]) -> str:
    """Both texts as one: words only in the first struck through, words only in the second underlined.

    The marks are those of both texts. Words that both share carry the marks of the first.
    """
    pieces = word_diff(baseline, other)
    if all(piece.kind == "both" for piece in pieces):
        return f"{marked(baseline, marks[0])}\n\n<i>Equal, character for character.</i>"
    first = next(number for number, piece in enumerate(pieces) if piece.kind != "both")
    shown = list(_drawn(pieces, marks))
    ends = [*_at_end(baseline, marks[0]), *_at_end(other, marks[1])]
    return "".join([*shown[:first], FIRST, *shown[first:], *ends])


def _drawn(pieces: Sequence[Piece], marks: tuple[Sequence[Mark], Sequence[Mark]]) -> Iterator[str]:
    at = [0, 0]
    for piece, spelled in zip(pieces, readable(pieces), strict=True):
        side = 1 if piece.kind == "candidate" else 0
        inner = text(spelled.text) if piece.spelling else "".join(_segments(piece.text, at[side], marks[side]))
        yield TAGS[piece.kind].replace("{}", inner)
        for moved in (0, 1):
            if piece.kind == "both" or moved == side:
                at[moved] += len(piece.text)


def _segments(body: str, offset: int, marks: Sequence[Mark]) -> Iterator[str]:
    """The markup of a stretch that begins at `offset` of the marked text; a label follows its mark."""
    inside = [mark for mark in marks if mark.start <= offset + len(body) and mark.end >= offset]
    cuts = {offset, offset + len(body)}.union(*({mark.start, mark.end} for mark in inside))
    edges = sorted(edge for edge in cuts if offset <= edge <= offset + len(body))
    for start, end in pairwise(edges):
        over = [mark for mark in inside if mark.start <= start and mark.end >= end]
        yield from (_label(mark) for mark in inside if mark.start == mark.end == start)
        yield _wrapped(body[start - offset : end - offset], over)
        yield from (_label(mark) for mark in over if mark.label and mark.end == end)


def _at_end(body: str, marks: Sequence[Mark]) -> list[str]:
    """The labels of places behind the last character."""
    return [_label(mark) for mark in marks if mark.start == mark.end >= len(body)]


def _wrapped(segment: str, over: Sequence[Mark]) -> str:
    body = text(segment)
    if any(mark.kind == "hit" for mark in over):
        body = f'<mark class="f-hit">{body}</mark>'
    tips = [mark.tip for mark in over if mark.kind == "conflict"]
    return f'<span class="f-conflict" title="{text("; ".join(tips))}">{body}</span>' if tips else body


def _label(mark: Mark) -> str:
    return f'<sup class="f-kind" title="{text(mark.tip)}">{text(mark.label)}</sup>'
