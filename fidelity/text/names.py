"""Names: whether two aligned sentences speak of the same people, places, products, identifiers, paths and addresses."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from fidelity.text.frames import Finding, Frame
from fidelity.text.terms import Term

TITLE = 0.6
"""Share of capitals among a sentence's longer words from which on capitals make no names."""
TIGHT = 0.75
"""Of a frame: from here on a name on each side without an equal is another name, wherever it is."""
SWAPPED = 0.8
MIN_SIMILARITY = 0.35


@dataclass(frozen=True)
class Lexicon:
    """What the capitals of two texts tell of their words."""

    names: frozenset[str]
    """Words with a capital in the middle of a sentence that isn't a title, and never without one (case-folded)."""
    common: frozenset[str]
    """Words without a capital somewhere (case-folded)."""
    nouns_have_capitals: bool = False
    """German: a capital alone makes no name, two words with capitals side by side do."""

    def is_name(self, terms: Sequence[Term], index: int) -> bool:
        """Whether a term is (a piece of) a name."""
        term = terms[index]
        word = term.form.casefold()
        if not term.capital or word in self.common or len(word) < 2:
            return False
        if len(term.form) > 1 and term.form.isupper():
            return True
        if self.nouns_have_capitals:
            return any(0 <= i < len(terms) and terms[i].capital and i > 0 for i in (index - 1, index + 1)) and index > 0
        return word in self.names


def lexicon(sentences: Iterable[Sequence[Term]], language: str | None) -> Lexicon:
    """Read the capitals of all sentences of both texts."""
    names, common = set(), set()
    for terms in sentences:
        title = is_title(terms)
        for index, term in enumerate(terms):
            if term.kind != "word":
                continue
            if not term.capital:
                common.add(term.form.casefold())
            elif index > 0 and not title:
                names.add(term.form.casefold())
    return Lexicon(frozenset(names - common), frozenset(common), language == "de")


def is_title(terms: Sequence[Term]) -> bool:
    """Whether most of the longer words after the first have a capital, as in a title."""
    long = [term for term in terms[1:] if term.kind == "word" and len(term.form) > 3]
    return bool(long) and sum(term.capital for term in long) > TITLE * len(long)


def name_findings(frame: Frame, lexicon: Lexicon) -> Iterator[Finding]:
    """Names with another one in their place, and names that changed places."""
    if frame.similarity < MIN_SIMILARITY:
        return
    rows, columns = ([i for i in range(len(s)) if _names(s, i, lexicon)] for s in (frame.a, frame.b))
    forms = [Counter(_form(s[i]) for i in side) for s, side in ((frame.a, rows), (frame.b, columns))]
    everything = [{_form(term) for term in side} | _initials(side) for side in (frame.a, frame.b)]
    lost = [i for i in rows if _form(frame.a[i]) not in everything[1]]
    new = [j for j in columns if _form(frame.b[j]) not in everything[0]]
    together = [(i, j) for i in lost for j in new if frame.together(i, j) or frame.similarity >= TIGHT]
    if together:
        yield frame.finding("name", sorted({i for i, _ in together}), sorted({j for _, j in together}))
    elif forms[0] == forms[1] and frame.similarity >= SWAPPED:
        yield from _swapped(frame, set(rows), set(columns))


def _swapped(frame: Frame, rows: set[int], columns: set[int]) -> Iterator[Finding]:
    """Names that stand in each other's place while nothing but names changed."""
    changed_rows = [i for hunk in frame.hunks for i in hunk.baseline]
    changed_columns = [j for hunk in frame.hunks for j in hunk.candidate]
    if changed_rows and changed_columns and set(changed_rows) <= rows and set(changed_columns) <= columns:
        yield frame.finding("name", changed_rows, changed_columns)


def _names(terms: Sequence[Term], index: int, lexicon: Lexicon) -> bool:
    return terms[index].kind == "code" or lexicon.is_name(terms, index)


def _form(term: Term) -> str:
    """Without case and accents, and without the plural's s of what is in capitals (`GPUs`)."""
    form = "".join(c for c in unicodedata.normalize("NFKD", term.form.casefold()) if not unicodedata.combining(c))
    return form.rstrip("().,/").removesuffix("s") if term.kind == "word" else form.rstrip("().,/")


def _initials(terms: Sequence[Term]) -> set[str]:
    """The initials of words with capitals in a row: `who` for World Health Organization."""
    capitals = "".join(term.form[0].casefold() if term.capital else " " for term in terms)
    return {run.removesuffix("s") for run in capitals.split() if len(run) > 1}
