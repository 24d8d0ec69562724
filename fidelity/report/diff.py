"""Where two texts differ, word by word."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Literal

from fidelity.text.words import word_spans

MOST_WORDS = 4_000
"""Words of each side that are aligned, after what both begin with; what comes later counts as one change."""
CHANCE = 4
"""Fewer words than this in common between two longer changes are chance, and part of the change."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text: in both, or in one of them only."""

    kind: Literal["both", "baseline", "candidate"]
    text: str


def word_diff(baseline: str, candidate: str) -> list[Piece]:
    """The two texts as one sequence of pieces.

    The pieces "both" and "baseline", joined, are the baseline's text to the character, "both" and "candidate" the
    candidate's. Words are those of `metrics.words` in any script, with case; white space alone never aligns two texts,
    but where it differs it is a change. Equal texts give one piece, two empty ones none.
    """
    ours, theirs = _units(baseline), _units(candidate)
    raw = _pieces(ours, theirs, _common_runs([word for _, word in ours], [word for _, word in theirs]))
    return list(_joined(raw))


SpacedWord = tuple[str, str]
"""A word with the white space before it; the last word of a text is empty, so that no white space is lost."""
CommonRun = tuple[int, int, int]
"""Words in common: where in the baseline, where in the candidate, how many."""


def _units(text: str) -> list[SpacedWord]:
    spans = [*word_spans(text), (len(text), len(text))]
    starts = [0, *(end for _, end in spans)]
    return [(text[gap:start], text[start:end]) for gap, (start, end) in zip(starts, spans, strict=False)]


def _common_runs(ours: Sequence[str], theirs: Sequence[str]) -> list[CommonRun]:
    from rapidfuzz.distance import LCSseq

    same = next((n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    number: dict[str, int] = {}
    head, other = (
        [number.setdefault(word, len(number)) for word in words[same : same + MOST_WORDS]] for words in (ours, theirs)
    )
    blocks = LCSseq.opcodes(head, other).as_matching_blocks()
    found = [(same + block.a, same + block.b, block.size) for block in blocks if block.size]
    if same:
        found = [(0, 0, same), *found]
    return _without_chance([*found, (len(ours), len(theirs), 0)])


def _without_chance(runs: list[CommonRun]) -> list[CommonRun]:
    """Runs that are shorter than the changes on both sides of them are dropped, until none is left to drop."""
    while True:
        changes = [max(b[0] - a[0] - a[2], b[1] - a[1] - a[2]) for a, b in pairwise([(0, 0, 0), *runs])]
        kept = [
            run
            for run, before, after in zip(runs, changes, [*changes[1:], 0], strict=True)
            if run[2] >= min(CHANCE, before, after) or not run[2]
        ]
        if len(kept) == len(runs):
            return runs
        runs = kept


def _pieces(ours: Sequence[SpacedWord], theirs: Sequence[SpacedWord], runs: Sequence[CommonRun]) -> Iterator[Piece]:
    at, other = 0, 0
    for start, start_other, size in runs:
        yield Piece("baseline", _text(ours[at:start]))
        yield Piece("candidate", _text(theirs[other:start_other]))
        at, other = start + size, start_other + size
        for (gap, word), (gap_other, _) in zip(ours[start:at], theirs[start_other:other], strict=True):
            if gap == gap_other:
                yield Piece("both", gap + word)
            else:
                yield from (Piece("baseline", gap), Piece("candidate", gap_other), Piece("both", word))


def _joined(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Neighbours of a kind as one piece, empty ones left out, and in each change first what the baseline says."""
    filled = (piece for piece in pieces if piece.text)
    for is_both, group in groupby(filled, key=lambda piece: piece.kind == "both"):
        members = list(group)
        kinds: tuple[Literal["both", "baseline", "candidate"], ...] = (
            ("both",) if is_both else ("baseline", "candidate")
        )
        for kind in kinds:
            text = "".join(piece.text for piece in members if piece.kind == kind)
            if text:
                yield Piece(kind, text)


def _text(units: Sequence[SpacedWord]) -> str:
    return "".join(gap + word for gap, word in units)
