"""Names: whether two aligned sentences name the same people, places, products, identifiers, paths and addresses."""

import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

from fidelity.text.frames import Frame, Hunk, UnitConflict
from fidelity.text.remembered import remembered
from fidelity.text.roles import DETERMINERS, may_change_places
from fidelity.text.terms import Term, capitals

if TYPE_CHECKING:
    from spylls.hunspell import Dictionary

TITLE = 0.6
"""Share of capitals among a sentence's longer words from which on capitals make no names."""
TIGHT = 0.75
"""Of a frame: from here on a name on each side without an equal is another name, wherever it is."""
SWAPPED = 0.8
LETTER = 0.6
EXCHANGED = 2
"""The number of stems that a name's statement shares with another name's in the baseline, and none with its own."""
MIN_SIMILARITY = 0.35
TITLES = frozenset(
    {"dr", "mr", "mrs", "ms", "miss", "prof", "professor", "sir", "lord", "lady", "president", "herr", "frau"}
)
ARTICLES = frozenset({"the", "a", "an"})
BEFORE_GERMAN_NAMES = frozenset(["ist", "war", "heißt", "hieß", "in", "nach", "aus", "von", "bei", "durch", "gegen"])
GERMAN_NOUN_ENDINGS = ("ung", "ungen", "heit", "keit", "schaft", "tion", "tionen", "ismus", "tät", "nis", "en", "er")
SAME_NAMES = {"usa": "us"}


@dataclass(frozen=True)
class Lexicon:
    """Properties of words from the capitals in two texts."""

    names: frozenset[str]
    """Words with a capital in the middle of a sentence that isn't a title, and never without one (case-folded)."""
    common: frozenset[str]
    """Words without a capital somewhere (case-folded)."""
    language: str | None = None
    """In German a capital alone makes no name; two in a row do, and one without an article after "ist" or "in"."""

    def is_name(self, terms: Sequence[Term], index: int) -> bool:
        """Whether a term is (a piece of) a name."""
        term = terms[index]
        word = term.form.casefold()
        if not term.capital or word in self.common or word in TITLES or len(word) < 2:
            return False
        if len(term.form) > 1 and term.form.isupper():
            return True
        if self.language == "de":
            return index > 0 and (
                any(0 < i < len(terms) and terms[i].capital for i in (index - 1, index + 1))
                or (terms[index - 1].form.casefold() in BEFORE_GERMAN_NAMES and not word.endswith(GERMAN_NOUN_ENDINGS))
            )
        return word in self.names or self.is_foreign(term)

    def is_foreign(self, term: Term) -> bool:
        """Whether a word is a name at any position, because English doesn't have it in lower case."""
        return self.language == "en" and term.kind == "word" and not _is_english_word(term.form.casefold())


def lexicon(sentences: Iterable[str], language: str | None) -> Lexicon:
    """Read the capitals of all sentences of both texts."""
    names: set[str] = set()
    common: set[str] = set()
    for sentence in sentences:
        own_names, own_common = _names_and_common(sentence)
        names |= own_names
        common |= own_common
    return Lexicon(frozenset(names - common), frozenset(common), language)


@remembered
def _names_and_common(sentence: str) -> tuple[frozenset[str], frozenset[str]]:
    """The words that a sentence writes as names, and those that it doesn't, case-folded."""
    words = list(capitals(sentence))
    title = is_title(words)
    names = {word.casefold() for word, initial in words if word[0].isupper() and not initial and not title}
    return frozenset(names), frozenset(word.casefold() for word, _ in words if not word[0].isupper())


def is_title(words: Sequence[tuple[str, bool]]) -> bool:
    """Whether most of the longer words after the first have a capital, and they are three or more, as in a title."""
    long = [word for word, _ in words[1:] if len(word) > 3]
    return len(long) > 2 and sum(word[0].isupper() for word in long) > TITLE * len(long)


def name_findings(frame: Frame, lexicon: Lexicon, sentences: tuple[str, str]) -> Iterator[UnitConflict]:
    """Names with another one in their place, and names that changed places."""
    if frame.similarity < MIN_SIMILARITY:
        return
    rows = [i for hunk in frame.hunks for i in hunk.baseline if _is_name(frame.a, i, lexicon)]
    columns = [j for hunk in frame.hunks for j in hunk.candidate if _is_name(frame.b, j, lexicon)]
    changed = [i for h in frame.hunks for i in h.baseline], [j for h in frame.hunks for j in h.candidate]
    lost = _without_equal(frame.a, rows, frame.b, columns, changed[1])
    new = _without_equal(frame.b, columns, frame.a, rows, changed[0])
    together = [(i, j) for i in lost for j in new if frame.together(i, j) or frame.similarity >= TIGHT]
    together += _in_place_of_capitals(frame, lost, new, lexicon)
    if together:
        yield frame.finding("name", *frame.first_change([i for i, _ in together], [j for _, j in together]))
    elif frame.similarity >= TIGHT and (flags := [_flags(frame.a, lost), _flags(frame.b, new)]) != [[], []]:
        yield frame.finding("name", *flags)
    elif letters := _other_letters(frame, sentences):
        yield from letters
    elif frame.similarity >= SWAPPED:
        yield from _swapped(frame, lexicon, sentences)
    else:
        yield from _exchanged(frame, lexicon)


def _flags(terms: Sequence[Term], indices: Sequence[int]) -> list[int]:
    """Those of a command's flags, which change it also where nothing is in their place."""
    return [i for i in indices if terms[i].kind == "code" and terms[i].form.startswith("-")]


def _in_place_of_capitals(
    frame: Frame, lost: Sequence[int], new: Sequence[int], lexicon: Lexicon
) -> Iterator[tuple[int, int]]:
    """Names that are no words of the language in the place of words with capitals that are, as in titles."""
    for hunk in frame.hunks:
        terms = [*(frame.a[i] for i in hunk.baseline), *(frame.b[j] for j in hunk.candidate)]
        surely = [*(frame.a[i] for i in hunk.baseline if i in lost), *(frame.b[j] for j in hunk.candidate if j in new)]
        if all(term.capital for term in terms) and any(map(lexicon.is_foreign, surely)):
            yield from ((i, j) for i in hunk.baseline for j in hunk.candidate)


def _other_letters(frame: Frame, sentences: tuple[str, str]) -> list[UnitConflict]:
    """Another option's letter: "the answer is B", "(c)"."""
    if frame.similarity < LETTER:
        return []
    return [
        frame.finding("name", [i], [j])
        for i, j in frame.replaced
        if _is_option(frame.a[i], sentences[0])
        and _is_option(frame.b[j], sentences[1])
        and frame.a[i].stem in frame.only_baseline
        and frame.b[j].stem in frame.only_candidate
    ]


def _is_option(term: Term, sentence: str) -> bool:
    letter = len(term.form) == 1 and term.form.isalpha() and term.form.isascii()
    return letter and (term.form.isupper() or sentence[term.end : term.end + 1] == ")")


def _swapped(frame: Frame, lexicon: Lexicon, sentences: tuple[str, str]) -> Iterator[UnitConflict]:
    """Words with capitals, or identifiers, of which each is in the other's place while nothing else changed places."""
    pairs = {}
    for hunk in frame.hunks:
        forms = tuple(_form(frame.a[i]) for i in hunk.baseline), tuple(_form(frame.b[j]) for j in hunk.candidate)
        pairs[forms] = hunk
    swaps = [hunk for (a, b), hunk in pairs.items() if a and b and (b, a) in pairs]
    swaps += [
        hunk
        for deleted, inserted in pairwise(frame.hunks)
        if _is_move(frame, deleted, inserted)
        for hunk in (deleted, inserted)
    ]
    rows, columns = [i for hunk in swaps for i in hunk.baseline], [j for hunk in swaps for j in hunk.candidate]
    moved = [*(frame.a[i] for i in rows), *(frame.b[j] for j in columns)]
    if not moved or (lexicon.language == "de" and any(t.form.casefold() in DETERMINERS for t in moved)):
        return
    words = [term for term in moved if len(term.form) > 1]
    of_one_name = lexicon.language == "en" and words and not any(map(lexicon.is_foreign, words))  # Plug and Play
    if not of_one_name and may_change_places(frame, (rows, columns), sentences):
        return
    if all(term.capital or term.kind == "code" for term in moved):
        yield frame.finding("name", rows, columns)


def _exchanged(frame: Frame, lexicon: Lexicon) -> Iterator[UnitConflict]:
    """Two names in a paraphrase that swaps their statements in the baseline."""
    sides = [_predicates_of(terms, lexicon) for terms in (frame.a, frame.b)]
    shared = [form for form in sides[0] if form in sides[1]]
    for one, other in combinations(shared, 2):
        straight = len(sides[0][one][1] & sides[1][one][1]) + len(sides[0][other][1] & sides[1][other][1])
        crossed = [len(sides[0][a][1] & sides[1][b][1]) for a, b in ((one, other), (other, one))]
        if not straight and sum(crossed) >= EXCHANGED:
            yield frame.finding("name", [sides[0][f][0] for f in (one, other)], [sides[1][f][0] for f in (one, other)])
            return


def _predicates_of(terms: Sequence[Term], lexicon: Lexicon) -> dict[str, tuple[int, frozenset[str]]]:
    """Each name that is there once, by its last word's form: where it is, and the stems after it up to the next."""
    names = [i for i in range(len(terms)) if _is_name(terms, i, lexicon)]
    last = [i for i in names if i + 1 not in names]
    forms = Counter(_form(terms[i]) for i in last)
    return {
        form: (i, frozenset(t.stem for t in terms[i + 1 : end] if t.kind == "word" and len(t.form) > 3))
        for i, end in pairwise([*last, len(terms)])
        if forms[form := _form(terms[i])] == 1
    }


def _is_move(frame: Frame, hunk: Hunk, following: Hunk) -> bool:
    """Whether terms of one hunk are in the next one on the other side, with only names in between."""
    between = frame.a[hunk.baseline.stop : following.baseline.start]
    moved = [
        tuple(_form(frame.a[i]) for h in (hunk, following) for i in h.baseline),
        tuple(_form(frame.b[j]) for h in (hunk, following) for j in h.candidate),
    ]
    one_sided = bool(hunk.baseline) != bool(hunk.candidate) and bool(following.baseline) != bool(following.candidate)
    return (
        one_sided
        and sorted(moved[0]) == sorted(moved[1])
        and all(term.capital or term.kind == "code" for term in between)
    )


def _without_equal(
    terms: Sequence[Term],
    indices: Sequence[int],
    others: Sequence[Term],
    taken: Sequence[int],
    changed: Iterable[int],
) -> list[int]:
    """Changed names that are not among the changed names of the other side, nor its words or initials."""
    forms = Counter(_form(others[j]) for j in taken)
    words = {_form(others[k]) for k in changed if others[k].kind == "word"}
    initials = _initials(others)
    unmatched = []
    for i in indices:
        form = _form(terms[i])
        if forms[form]:
            forms[form] -= 1
        elif form not in initials and not (terms[i].kind == "code" and form in words):
            unmatched.append(i)
    return unmatched


@lru_cache(maxsize=100_000)
def _is_english_word(word: str) -> bool:
    """Whether a case-folded word is in Hunspell's dictionary without a capital."""
    return bool(_dictionary().lookup(word))


@cache
def _dictionary() -> "Dictionary":
    from spylls.hunspell import Dictionary

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its files to the garbage collector
        return Dictionary.from_files("en_US")


def _is_name(terms: Sequence[Term], index: int, lexicon: Lexicon) -> bool:
    return terms[index].kind == "code" or lexicon.is_name(terms, index)


def _form(term: Term) -> str:
    """Without case and accents, and without the plural's s of what is in capitals (`GPUs`)."""
    form = "".join(c for c in unicodedata.normalize("NFKD", term.form.casefold()) if not unicodedata.combining(c))
    form = form.rstrip("().,/")
    if "." in form and all(len(piece) < 3 for piece in form.split(".")):
        form = form.replace(".", "")  # Ph.D.
    return SAME_NAMES.get(form, form.removesuffix("s") if term.kind == "word" and len(form) > 3 else form)


def _initials(terms: Sequence[Term]) -> set[str]:
    """The initials of words with capitals in a row: `who` for World Health Organization."""
    capitals = "".join(t.form[0].casefold() if t.capital and t.stem not in ARTICLES else " " for t in terms)
    return {run for run in capitals.split() if len(run) > 1}
