"""Roles: whether two nouns of a sentence changed places, as in "the dog bit the man"."""

from collections.abc import Iterator, Sequence

import regex

from fidelity.text.frames import Frame, Hunk, UnitConflict
from fidelity.text.function_words import function_words
from fidelity.text.terms import Term

COORDINATING = {
    **{"en": "and or nor versus vs plus times", "de": "und oder noch", "fr": "et ou ni", "es": "y e o u ni"},
    **{"it": "e ed o né", "pt": "e ou nem", "nl": "en of noch"},
}
"""What joins nouns and names that may change places, in the languages where the order of words gives them roles."""
RELATING = {"en": "with as", "de": "mit wie als", "fr": "avec comme", "es": "con como", "it": "con come"} | {
    **{"pt": "com como", "nl": "met als"}
}
"""What else may be between two nouns that may change places."""
DETERMINERS = frozenset(
    (
        *("the", "a", "an", "le", "la", "les", "l", "un", "une", "des", "el", "los", "las", "una", "unos", "unas"),
        *("der", "die", "das", "den", "dem", "des", "ein", "eine", "einen", "einem", "einer", "eines"),
        *("il", "lo", "i", "gli", "uno", "o", "os", "as", "um", "uma", "de", "het", "een", "al", "du", "ao"),
    )
)
COPULAS = frozenset(
    (
        *("is", "are", "was", "were", "be", "been", "being", "called", "named", "means", "equals", "ist", "sind"),
        *("war", "waren", "est", "sont", "était", "es", "son", "era", "eran", "è", "sono", "é", "são", "is", "zijn"),
    )
)
"""Words between two names of one thing, which may change places."""


def swapped_roles(frame: Frame, sentences: tuple[str, str]) -> Iterator[UnitConflict]:
    """Two nouns that changed places in a sentence that else is the same, if what is between them has a direction.

    Members of lists and of pairs (`A and B`, `A, B`, `A is like B`) may change places.
    """
    if frame.language not in COORDINATING or sorted(_forms(frame.a)) != sorted(_forms(frame.b)):
        return
    swaps = _swap(frame)
    if swaps is None or (frame.language == "de" and _articles(frame.a) != _articles(frame.b)):
        return
    one, other = swaps
    if _moved_with_prepositions(frame, one, other):
        return
    rows, columns = (one[0], other[0]), (one[1], other[1])
    for terms, places, sentence in ((frame.a, rows, sentences[0]), (frame.b, columns, sentences[1])):
        between = terms[places[0] + 1 : places[1]]
        words = {term.form.casefold() for term in between} - DETERMINERS - COPULAS
        joined = words & {*COORDINATING[frame.language].split(), *RELATING[frame.language].split()}
        if not words or joined or _ALIKE.search(sentence) or _MARK.search(sentence[_gap(terms, places)]):
            return
    yield frame.finding("name", list(rows), list(columns))


def _moved_with_prepositions(frame: Frame, one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether each noun has the function words before it on both sides, one of them a preposition.

    The sentence is only in another order then: "Die Temperatur steigt im Sommer" and "Im Sommer steigt die Temperatur".
    """
    before = [
        (_function_words_before(frame.a, i, frame.language), _function_words_before(frame.b, j, frame.language))
        for i, j in ((one[0], other[1]), (other[0], one[1]))
    ]
    return all(a == b for a, b in before) and any(set(a) - DETERMINERS for a, _ in before)


def _function_words_before(terms: Sequence[Term], index: int, language: str | None) -> list[str]:
    words: list[str] = []
    for term in reversed(terms[:index]):
        word = term.form.casefold()
        if word not in DETERMINERS and word not in function_words(language):
            break
        words.append(word)
    return words


def _gap(terms: Sequence[Term], places: tuple[int, int]) -> slice:
    return slice(terms[places[0]].end, terms[places[1]].start)


def may_change_places(frame: Frame, places: tuple[Sequence[int], Sequence[int]], sentences: tuple[str, str]) -> bool:
    """Whether names that are swapped may be: "and" or "or" joins them, or the sentence relates them alike."""
    if any("respectiv" in sentence.casefold() for sentence in sentences):
        return False
    return all(map(_ALIKE.search, sentences)) or all(
        _are_joined(terms[min(indices) : max(indices) + 1], sentence, frame.language)
        for terms, indices, sentence in zip((frame.a, frame.b), places, sentences, strict=True)
    )


def _are_joined(terms: Sequence[Term], sentence: str, language: str | None) -> bool:
    coordinating = COORDINATING.get(language or "", "").split()
    others = [t for t in terms if not t.capital and t.kind != "code" and t.form.casefold() not in DETERMINERS]
    text = sentence[terms[0].start : terms[-1].end]
    return all(t.form.casefold() in (*coordinating, "&", "/") for t in others) and (bool(others) or "," in text)


def _swap(frame: Frame) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """The places, on both sides, of two nouns of which each is in the other's place; None if more has changed."""
    pairs = [pair for hunk in _whole(frame.hunks) if (pair := _noun_pair(frame, hunk))]
    if len(pairs) != 2 or len(pairs) != len(_whole(frame.hunks)):
        return None
    (i, j), (k, m) = pairs
    exchanged = frame.a[i].stem == frame.b[m].stem and frame.a[k].stem == frame.b[j].stem
    return ((i, j), (k, m)) if exchanged and frame.a[i].stem != frame.a[k].stem else None


def _whole(hunks: Sequence[Hunk]) -> list[Hunk]:
    """Hunks with both sides; an insertion and a deletion around a common article are one."""
    merged: list[Hunk] = []
    for hunk in hunks:
        last = merged[-1] if merged else None
        one_sided = last and (not last.baseline or not last.candidate) and (not hunk.baseline or not hunk.candidate)
        if last and one_sided and hunk.baseline.start - last.baseline.stop <= 1:
            merged[-1] = Hunk(
                range(last.baseline.start, hunk.baseline.stop), range(last.candidate.start, hunk.candidate.stop)
            )
        else:
            merged.append(hunk)
    return merged


def _noun_pair(frame: Frame, hunk: Hunk) -> tuple[int, int] | None:
    """The only words of a hunk that aren't function words, if both are words of some length."""
    rows = [i for i in hunk.baseline if _is_content(frame.a[i], frame.language)]
    columns = [j for j in hunk.candidate if _is_content(frame.b[j], frame.language)]
    return (rows[0], columns[0]) if len(rows) == len(columns) == 1 else None


def _is_content(term: Term, language: str | None) -> bool:
    word = term.form.casefold()
    return term.kind == "word" and len(word) > 2 and word not in function_words(language) and word not in DETERMINERS


def _articles(terms: Sequence[Term]) -> list[str]:
    """In German they give the roles."""
    return [word for term in terms if (word := term.form.casefold()) in DETERMINERS]


def _forms(terms: Sequence[Term]) -> list[str]:
    return [term.stem for term in terms if term.form.casefold() not in DETERMINERS]


_MARK = regex.compile(r"[,;/&|:+]")
_ALIKE = regex.compile(
    r"\b(?:similar|like|equal|same|identical|resembl\w*|compar\w*|differ\w*|related|relation\w*|between|marr\w+|met"
    r"|meets?|adjacent|parallel|opposite|match\w*|equivalent|synonym\w*|interact\w*|connect\w*|combin\w*|mix\w*"
    r"|ähnlich\w*|gleich\w*|zwischen|entre|tra|fra|tussen|verglich\w*|igual\w*|mismo|même|stesso|mesmo)\b",
    regex.I,
)
