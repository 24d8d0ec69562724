"""A frame: two aligned sentences, term by term, with equal terms and replaced terms."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from rapidfuzz.distance import Levenshtein

from fidelity.text.function_words import function_words
from fidelity.text.terms import Term

ConflictKind = Literal["negation", "number", "direction", "name", "json", "code", "table"]
SHORT = 2
NEAR = 2
"""Terms that two hunks may have in common between them and still be taken as one change."""


class UnitConflict(NamedTuple):
    """A conflict inside two aligned units, in the units' own offsets; an empty span is where something is missing."""

    kind: ConflictKind
    baseline: tuple[int, int]
    candidate: tuple[int, int]


class Hunk(NamedTuple):
    """Terms of the baseline and the terms in their place; one side may be empty."""

    baseline: range
    candidate: range


@dataclass(frozen=True)
class Frame:
    """Two sentences that are counterparts."""

    a: Sequence[Term]
    b: Sequence[Term]
    language: str | None
    """ISO 639 code; None where it isn't one that has word lists."""

    @cached_property
    def hunks(self) -> list[Hunk]:
        """Where the sentences differ, by the terms' stems, in order."""
        stems = [term.stem for term in self.a], [term.stem for term in self.b]
        changes = (op for op in Levenshtein.opcodes(*stems) if op.tag != "equal")
        single = (Hunk(range(c.src_start, c.src_end), range(c.dest_start, c.dest_end)) for c in changes)
        return list(_joined(single, near=0))

    @cached_property
    def similarity(self) -> float:
        """Share of the terms that are equal and in the same order, in [0, 1], numbers and names left out of account.

        1 for sentences of one or two terms, whose place in the text makes them counterparts.
        """
        if max(len(self.a), len(self.b)) <= SHORT:
            return 1.0
        changed = [(len(h.baseline), len(h.candidate)) for h in self.hunks]
        same = len(self.a) - sum(rows for rows, _ in changed)
        loose = sum(
            term.kind != "word" or term.capital
            for hunk in self.hunks
            for term in (
                *self.a[hunk.baseline.start : hunk.baseline.stop],
                *self.b[hunk.candidate.start : hunk.candidate.stop],
            )
        )
        total = len(self.a) + len(self.b) - loose
        return 2 * same / total if total else 1.0

    @cached_property
    def likeness(self) -> float:
        """The similarity, or the share of content words in common in any order, whichever is larger."""
        content = [self._content(side) for side in (self.a, self.b)]
        smaller = min(map(len, content))
        return max(self.similarity, 2 * len(content[0] & content[1]) / sum(map(len, content)) if smaller > 1 else 0.0)

    @cached_property
    def replaced(self) -> list[tuple[int, int]]:
        """Terms that replace each other: hunks of the same length on both sides, one by one."""
        return [
            pair
            for hunk in self.hunks
            if len(hunk.baseline) == len(hunk.candidate)
            for pair in zip(hunk.baseline, hunk.candidate, strict=True)
        ]

    @cached_property
    def only_baseline(self) -> set[str]:
        """Stems that the candidate doesn't have."""
        return {term.stem for term in self.a} - {term.stem for term in self.b}

    @cached_property
    def only_candidate(self) -> set[str]:
        """Stems that the baseline doesn't have."""
        return {term.stem for term in self.b} - {term.stem for term in self.a}

    def together(self, i: int, j: int) -> bool:
        """Whether terms of both sides are in one change: in each other's place, or in hunks of unequal length."""
        if (i, j) in self._in_place:
            return True
        if i in self._paired[0] or j in self._paired[1]:
            return False
        return any(i in group.baseline and j in group.candidate for group in self._changes)

    @cached_property
    def _in_place(self) -> set[tuple[int, int]]:
        return set(self.replaced)

    @cached_property
    def _paired(self) -> tuple[set[int], set[int]]:
        return {i for i, _ in self.replaced}, {j for _, j in self.replaced}

    @cached_property
    def _changes(self) -> list[Hunk]:
        return list(_joined(self.hunks, near=NEAR))

    def first_change(self, rows: Sequence[int], columns: Sequence[int]) -> tuple[list[int], list[int]]:
        """Those of two sides' terms that are in the first change with both, side by side; else the first of each."""
        for change in self._changes:
            left, right = sorted({*rows} & {*change.baseline}), sorted({*columns} & {*change.candidate})
            if left and right:
                return _run(left), _run(right)
        return list(rows[:1]), list(columns[:1])

    def crossed(self, i: int, j: int) -> bool:
        """Whether what is before term i of the baseline is after term j of the candidate, and the other way round."""
        before, after = (self._content(side) for side in (self.a[:i], self.a[i + 1 :]))
        left, right = (self._content(side) for side in (self.b[:j], self.b[j + 1 :]))
        both = before & after
        same = len((before & left) - both) + len((after & right) - both)
        return len((before & right) - both - left) + len((after & left) - both - right) > same

    def _content(self, terms: Sequence[Term]) -> set[str]:
        return {term.stem for term in terms if self._is_content(term)}

    def _is_content(self, term: Term) -> bool:
        return term.kind != "mark" and term.form.casefold() not in function_words(self.language)

    def finding(self, kind: ConflictKind, rows: Sequence[int], columns: Sequence[int]) -> UnitConflict:
        """A conflict between these terms; where a side has none, its place is after what is equal before the other."""
        return UnitConflict(
            kind, _span(self.a, rows, self._place(columns, 1)), _span(self.b, columns, self._place(rows, 0))
        )

    def _place(self, indices: Sequence[int], side: Literal[0, 1]) -> int:
        """The index on the other side of where these terms are."""
        for hunk in self.hunks:
            own, other = (hunk.baseline, hunk.candidate) if side == 0 else (hunk.candidate, hunk.baseline)
            if indices and own.start <= indices[0] < own.stop:
                return other.start
        return 0


def _joined(hunks: Iterable[Hunk], *, near: int) -> Iterator[Hunk]:
    """Hunks with no more than so many terms between them as one."""
    pending: Hunk | None = None
    for hunk in hunks:
        if pending and hunk.baseline.start - pending.baseline.stop <= near:
            pending = Hunk(
                range(pending.baseline.start, hunk.baseline.stop), range(pending.candidate.start, hunk.candidate.stop)
            )
        else:
            if pending:
                yield pending
            pending = hunk
    if pending:
        yield pending


def _run(indices: Sequence[int]) -> list[int]:
    """The first of them and those that follow without a gap."""
    return [i for place, i in enumerate(indices) if i == indices[0] + place]


def _span(terms: Sequence[Term], indices: Sequence[int], place: int) -> tuple[int, int]:
    if indices:
        return min(terms[i].start for i in indices), max(terms[i].end for i in indices)
    offset = terms[place].start if place < len(terms) else terms[-1].end if terms else 0
    return offset, offset
