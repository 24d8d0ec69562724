"""Conflicts: statements of two texts that can't both be true, with their positions."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeVar

from fidelity.records import Side
from fidelity.text.alignment import Match, align
from fidelity.text.code import compare_code
from fidelity.text.counterparts import counterparts
from fidelity.text.directions import LANGUAGES as WITH_ANTONYMS
from fidelity.text.directions import Opposites, direction_findings, opposites
from fidelity.text.frames import ConflictKind, Frame, UnitConflict
from fidelity.text.function_words import listed_languages
from fidelity.text.names import Lexicon, lexicon, name_findings
from fidelity.text.negations import LANGUAGES as WITH_NEGATORS
from fidelity.text.negations import is_negator, negation_findings, negation_surplus
from fidelity.text.numbers import number_findings, number_forms
from fidelity.text.places import TextSpan, in_document, in_fence, in_table, in_text, joined
from fidelity.text.roles import swapped_roles
from fidelity.text.scope import scope_findings
from fidelity.text.segments import DocumentSegment, FenceSegment, Segments, Table, segments
from fidelity.text.sql import same_sql
from fidelity.text.tables import CellPair, compare_tables
from fidelity.text.terms import Term, terms
from fidelity.text.values import ValuePair, compare_values, same_value

KINDS: tuple[ConflictKind, ...] = ("negation", "number", "direction", "name", "json", "code", "table")
"""The kinds in the order in which reports show them, the most severe first."""
MIN_PROSE_WORDS = 4
"""A cell or a JSON string of more words is compared as a sentence, a shorter one as a whole."""
SQL = frozenset({"sql", "mysql", "postgresql", "postgres", "sqlite", "tsql", "plsql", "psql"})


class Conflict(NamedTuple):
    """One conflict, with its place in both texts."""

    kind: ConflictKind
    baseline: TextSpan
    candidate: TextSpan
    severity: float
    """In [0, 1]: how alike the rest of the two units is; the more, the surer."""


@dataclass(frozen=True)
class TextComparison:
    """All that is known of two texts."""

    conflicts: tuple[Conflict, ...]
    """By kind, then by severity, the worst first."""
    units: tuple[int, int]
    """Sentences, statements of code, rows and JSON values of the baseline and of the candidate."""
    matched: tuple[int, int]
    """Those of them that have a counterpart."""
    languages: tuple[str | None, str | None] = (None, None)
    """Of the prose of both; None where no list of words covers it, or there is no prose."""
    prose: bool = True
    """Whether any aligned sentence changed, so its language matters."""

    @property
    def aligned(self) -> float:
        """Share of the baseline's units with a counterpart; 1 where neither side has units, 0 where one has none."""
        return self.matched[0] / self.units[0] if self.units[0] else float(not self.units[1])

    @property
    def added(self) -> float:
        """Share of the candidate's units without a counterpart."""
        return 1 - self.matched[1] / self.units[1] if self.units[1] else 0.0

    @property
    def left_by(self) -> Side:
        """The side responsible if hardly anything is aligned: the candidate if it is empty or in another language.

        Two answers in one language that share nothing can both be good. Then it is neither's, and the pair is excluded.
        """
        own, other = self.languages
        return "candidate" if self.units[0] and (not self.units[1] or (own and own != other)) else "baseline"

    def uncovered(self, kind: ConflictKind) -> Side | None:
        """The side with a language without the word list, or other than the baseline's; None if both are covered."""
        if kind not in ("negation", "direction") or not self.prose:
            return None
        listed, (own, other) = WITH_NEGATORS if kind == "negation" else WITH_ANTONYMS, self.languages
        return "baseline" if own not in listed else "candidate" if other != own else None


def compare_texts(baseline: str, candidate: str, *, antonyms: Iterable[tuple[str, str]] = ()) -> TextComparison:
    """Align two texts and look for conflicts in what is aligned. Linear in practice; nothing is raised.

    Args:
        baseline: One text.
        candidate: The other.
        antonyms: Pairs of words to add to the word list of the texts' language.
    """
    if baseline == candidate:
        return TextComparison((), (1, 1), (1, 1), prose=False)
    return _Reader(baseline, candidate, tuple(antonyms)).comparison()


@lru_cache(maxsize=256)
def _segments(text: str) -> Segments:
    return segments(text)


class _Reader:
    """Two texts while they are compared."""

    def __init__(self, baseline: str, candidate: str, antonyms: tuple[tuple[str, str], ...]) -> None:
        self.texts = baseline, candidate
        self.sides = _segments(baseline), _segments(candidate)
        self.languages = listed_languages(*(" ".join(s.text for s in side.sentences) for side in self.sides))
        self.language = self.languages[0] if self.languages[0] == self.languages[1] else None
        self.opposites: Opposites = opposites(self.language, antonyms) if self.language in WITH_ANTONYMS else {}
        self.units, self.matched = [0, 0], [0, 0]
        self.prose = False
        self.names: Lexicon | None = None

    def comparison(self) -> TextComparison:
        conflicts = [*self._prose(), *self._documents(), *self._code(), *self._tables()]
        conflicts.sort(key=lambda conflict: (KINDS.index(conflict.kind), -conflict.severity, conflict.baseline))
        return TextComparison(
            tuple(dict.fromkeys(conflicts)),
            (self.units[0], self.units[1]),
            (self.matched[0], self.matched[1]),
            self.languages,
            prose=self.prose,
        )

    def _count(self, units: tuple[int, int], matched: tuple[int, int]) -> None:
        self.units = [n + m for n, m in zip(self.units, units, strict=True)]
        self.matched = [n + m for n, m in zip(self.matched, matched, strict=True)]

    def _terms(self, text: str) -> Sequence[Term]:
        return terms(text, self.language or "")

    def _prose(self) -> Iterator[Conflict]:
        left, right = (side.sentences for side in self.sides)
        matches = align([s.text for s in left], [s.text for s in right])
        self._count(
            (len(left), len(right)), (sum(len(m.baseline) for m in matches), sum(len(m.candidate) for m in matches))
        )
        changed = [m for m in matches if m.similarity < 1]
        self.prose = bool(changed)
        if not changed:
            return
        self.names = lexicon((s.text for side in (left, right) for s in side), self.language)
        elsewhere = _Elsewhere(self, matches)
        for match in changed:
            (a, pieces), (b, others) = joined(left, match.baseline), joined(right, match.candidate)
            frame = Frame(self._terms(a), self._terms(b), self.language)
            for finding in self._sentence(frame, (a, b), elsewhere.numbers(match)):
                spans = (
                    in_text(finding.baseline, pieces, self.texts[0]),
                    in_text(finding.candidate, others, self.texts[1]),
                )
                yield Conflict(finding.kind, *spans, frame.similarity)

    def _sentence(
        self, frame: Frame, sentences: tuple[str, str], elsewhere: tuple[frozenset[str], frozenset[str]]
    ) -> Iterator[UnitConflict]:
        yield from number_findings(frame, elsewhere)
        directions = list(direction_findings(frame, self.opposites))
        negators = any(is_negator(word, self.language) for word in _words(frame, directions))
        if not directions:
            yield from negation_findings(frame, sentences)
        elif negators and len({finding.baseline for finding in directions}) == 2:
            pass  # "nothing is impossible" is "everything is possible"
        elif negators or negation_surplus(frame, sentences) == ([], []):  # "not more" can be "less"
            yield from directions
        yield from scope_findings(frame)
        names = list(name_findings(frame, self.names, sentences)) if self.names else []
        yield from names or swapped_roles(frame, sentences)

    def _documents(self) -> Iterator[Conflict]:
        left, right = (side.documents for side in self.sides)
        for a, b in _pairs(left, right, self.texts):
            compared = compare_values(a.root, b.root) if a and b else None
            if not compared or not a or not b:
                self._count((int(a is not None), int(b is not None)), (0, 0))
                continue
            n = len(compared.pairs)
            self._count((n + compared.omitted, n + compared.added), (n, n))
            for pair in compared.pairs:
                for kind in self._value_kinds(pair):
                    left_span = in_document(a, pair.path, pair.baseline, self.texts[0])
                    right_span = in_document(b, pair.path, pair.candidate, self.texts[1])
                    yield Conflict(kind, left_span, right_span, 1.0)

    def _value_kinds(self, pair: ValuePair) -> set[ConflictKind]:
        """`json` if the values differ; long texts only if their content conflicts; and the kinds of conflict."""
        if pair.moved:
            return {"json"}
        if same_value(pair.baseline, pair.candidate):
            return set()
        if not (isinstance(pair.baseline, str) and isinstance(pair.candidate, str)):
            return {"json"}
        if min(len(self._terms(text)) for text in (pair.baseline, pair.candidate)) <= MIN_PROSE_WORDS:
            return {"json", "name"} if all("://" in text for text in (pair.baseline, pair.candidate)) else {"json"}
        kinds = self._kinds(pair.baseline, pair.candidate)
        return {"json", *kinds} if kinds else set()

    def _kinds(self, baseline: str, candidate: str) -> set[ConflictKind]:
        """The kinds of conflict between two cells or strings, read as sentences."""
        if self.names is None:
            self.names = lexicon((), self.language)
        frame = Frame(self._terms(baseline), self._terms(candidate), self.language)
        return {f.kind for f in self._sentence(frame, (baseline, candidate), (frozenset(), frozenset()))}

    def _cell_kinds(self, cell: CellPair) -> set[ConflictKind]:
        """`table` if a cell moved, conflicts, or is short and entirely new, with the kinds of its conflicts."""
        kinds = self._kinds(cell.baseline, cell.candidate)
        stems = [{term.stem for term in self._terms(text)} for text in (cell.baseline, cell.candidate)]
        short = min(map(len, stems)) <= MIN_PROSE_WORDS
        if cell.moved or not (kinds or (short and not stems[0] & stems[1])):
            return {"table"} if cell.moved else set()
        return {"table", *(kinds & {"number"} if short else kinds)}

    def _code(self) -> Iterator[Conflict]:
        left, right = (side.fences for side in self.sides)
        for a, b in _pairs(left, right, self.texts):
            if not a or not b:
                lonely = a or b
                n = lonely.text.count("\n") if lonely else 0
                self._count((n if a else 0, n if b else 0), (0, 0))
                continue
            language = a.language or b.language
            if language in SQL and same_sql(a.text, b.text):
                self._count((1, 1), (1, 1))
                continue
            compared = compare_code(a.text, b.text, "sql" if language in SQL else language)
            self._count(
                (compared.statements, compared.of_candidate), (compared.aligned, compared.of_candidate - compared.added)
            )
            for finding in compared.findings:
                spans = in_fence(a, finding.baseline, self.texts[0]), in_fence(b, finding.candidate, self.texts[1])
                yield Conflict("code", *spans, 1.0)

    def _tables(self) -> Iterator[Conflict]:
        left, right = (side.tables for side in self.sides)
        for a, b in _pairs(left, right, self.texts):
            if not a or not b:
                self._count((len(a.rows) if a else 0, len(b.rows) if b else 0), (0, 0))
                continue
            compared = compare_tables(a, b)
            self._count((compared.rows, compared.of_candidate), (compared.aligned, compared.aligned))
            for cell in compared.cells:
                spans = in_table(a, cell.baseline, self.texts[0]), in_table(b, cell.candidate, self.texts[1])
                for kind in self._cell_kinds(cell):
                    yield Conflict(kind, *spans, 1.0)


class _Elsewhere:
    """The numbers of the sentences that aren't equal on both sides, but for one match's own."""

    def __init__(self, reader: _Reader, matches: Sequence[Match]) -> None:
        same = [m for m in matches if m.similarity == 1]
        equal = {i for m in same for i in m.baseline}, {j for m in same for j in m.candidate}
        self.by_sentence = [
            {i: number_forms(s.text, reader.language) for i, s in enumerate(side.sentences) if i not in done}
            for side, done in zip(reader.sides, equal, strict=True)
        ]

    def numbers(self, match: Match) -> tuple[frozenset[str], frozenset[str]]:
        left, right = (
            frozenset(stem for i, stems in side.items() if i not in own for stem in stems)
            for side, own in zip(self.by_sentence, (match.baseline, match.candidate), strict=True)
        )
        return left, right


Block = TypeVar("Block", DocumentSegment, FenceSegment, Table)


def _pairs(
    left: Sequence[Block], right: Sequence[Block], texts: tuple[str, str]
) -> Iterator[tuple[Block | None, Block | None]]:
    """Blocks that are counterparts by what is in them, then those that have none."""
    contents = ([text[b.start : b.end] for b in side] for side, text in zip((left, right), texts, strict=True))
    partners = counterparts(*contents)
    for block, partner in zip(left, partners, strict=True):
        yield block, None if partner is None else right[partner]
    yield from ((None, block) for j, block in enumerate(right) if j not in partners)


def _words(frame: Frame, findings: Sequence[UnitConflict]) -> Iterator[str]:
    for _, *spans in findings:
        for side, span in zip((frame.a, frame.b), spans, strict=True):
            yield from (term.form.casefold() for term in side if span[0] <= term.start < span[1])
