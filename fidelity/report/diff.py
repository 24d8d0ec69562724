"""A word diff of two texts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Literal

from fidelity.outside.strings import code_point, visible
from fidelity.text.normalization import normalize
from fidelity.text.words import word_spans

MOST_WORDS = 4_000
"""The number of words of each side to align, after the common prefix. Later words count as one change."""
CHANCE = 4
"""Fewer common words than this between two longer changes are a coincidence and belong to the change."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of text that is in both texts, or in only one."""

    kind: Literal["both", "baseline", "candidate"]
    text: str
    spelling: bool = False
    """Whether it differs from its counterpart only in normalization, so both look equal."""


def word_diff(baseline: str, candidate: str) -> list[Piece]:
    """Return both texts as one sequence of pieces.

    The pieces "both" and "baseline", joined, give exactly the baseline's text; "both" and "candidate" the candidate's.
    Words are those of `text.words`, in any script and case-sensitive. White space alone never aligns two texts, but a
    difference in white space is a change, as is a difference in normalization. Equal texts give one piece, two empty
    texts none.
    """
    units, others = _units(baseline), _units(candidate)
    spelled, other = ([normalize(word) or word for _, word in side] for side in (units, others))
    return list(_joined(_pieces(units, others, _common_runs(spelled, other))))


def readable(pieces: Sequence[Piece]) -> list[Piece]:
    """Return the pieces as `visible` text, with code points where two spellings look equal.

    `café` against `café`, the second with a combining accent, is `caf⟦U+00E9⟧` against `cafe⟦U+0301⟧`.
    """
    shown = [replace(piece, text=visible(piece.text)) for piece in pieces]
    for place, (piece, other) in enumerate(pairwise(pieces)):
        if piece.spelling and other.spelling and (piece.kind, other.kind) == ("baseline", "candidate"):
            shown[place] = replace(piece, text=_spelled(piece.text, other.text))
            shown[place + 1] = replace(other, text=_spelled(other.text, piece.text))
    return shown


def _spelled(text: str, other: str) -> str:
    """The text with the code point of every non-ASCII character that the other text lacks."""
    return "".join(code_point(c) if not c.isascii() and c not in other else visible(c) for c in text)


SpacedWord = tuple[str, str]
"""A word with the white space before it. The last word is empty, so no white space is lost."""
CommonRun = tuple[int, int, int]
"""A run of common words: its position in the baseline, in the candidate, and its length."""


def _units(text: str) -> list[SpacedWord]:
    spans = [*word_spans(text), (len(text), len(text))]
    starts = [0, *(end for _, end in spans)]
    return [(text[gap:start], text[start:end]) for gap, (start, end) in zip(starts, spans, strict=False)]


def _common_runs(baseline: Sequence[str], candidate: Sequence[str]) -> list[CommonRun]:
    from rapidfuzz.distance import LCSseq

    pairs = enumerate(zip(baseline, candidate, strict=False))
    same = next((n for n, (a, b) in pairs if a != b), min(len(baseline), len(candidate)))
    number: dict[str, int] = {}
    head, other = (
        [number.setdefault(word, len(number)) for word in words[same : same + MOST_WORDS]]
        for words in (baseline, candidate)
    )
    blocks = LCSseq.opcodes(head, other).as_matching_blocks()
    runs = [(same + block.a, same + block.b, block.size) for block in blocks if block.size]
    if same:
        runs = [(0, 0, same), *runs]
    return _without_chance([*runs, (len(baseline), len(candidate), 0)])


def _without_chance(runs: list[CommonRun]) -> list[CommonRun]:
    """Drop runs that are shorter than the changes on both sides, until there are none."""
    while True:
        changes = [max(b[0] - a[0] - a[2], b[1] - a[1] - a[2]) for a, b in pairwise([(0, 0, 0), *runs])]
        longer = [
            run
            for run, before, after in zip(runs, changes, [*changes[1:], 0], strict=True)
            if run[2] >= min(CHANCE, before, after) or not run[2]
        ]
        if len(longer) == len(runs):
            return runs
        runs = longer


def _pieces(units: Sequence[SpacedWord], others: Sequence[SpacedWord], runs: Sequence[CommonRun]) -> Iterator[Piece]:
    at, other = 0, 0
    for start, start_other, size in runs:
        yield Piece("baseline", _text(units[at:start]))
        yield Piece("candidate", _text(others[other:start_other]))
        at, other = start + size, start_other + size
        for unit, unit_other in zip(units[start:at], others[start_other:other], strict=True):
            for one, two in zip(unit, unit_other, strict=True):
                if one == two:
                    yield Piece("both", one)
                else:
                    same = normalize(one) == normalize(two)
                    yield from (Piece("baseline", one, same), Piece("candidate", two, same))


def _joined(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Merge adjacent pieces of a kind, drop empty ones, and put the baseline's text first in each change."""
    filled = (piece for piece in pieces if piece.text)
    for (is_both, spelling), group in groupby(filled, key=lambda piece: (piece.kind == "both", piece.spelling)):
        members = list(group)
        kinds: tuple[Literal["both", "baseline", "candidate"], ...] = (
            ("both",) if is_both else ("baseline", "candidate")
        )
        for kind in kinds:
            text = "".join(piece.text for piece in members if piece.kind == kind)
            if text:
                yield Piece(kind, text, spelling)


def _text(units: Sequence[SpacedWord]) -> str:
    return "".join(gap + word for gap, word in units)
