"""Directions: words of opposite meaning in the same place of two sentences, from a word list for each language."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files

import regex

from fidelity.text.frames import Frame, UnitConflict
from fidelity.text.terms import stem

LANGUAGES = ("en", "de", "fr", "es", "hi", "it", "pt", "nl", "zh", "ja", "ru")
"""Those with a list in `antonyms/`."""
MIN_SIMILARITY = 0.4
"""Of a frame: below it an antonym is more often another thought than the opposite one."""

Opposites = Mapping[str, frozenset[str]]
"""Each stem's antonyms, as stems."""


def direction_findings(frame: Frame, opposites: Opposites) -> Iterator[UnitConflict]:
    """Words that are replaced by their antonym.

    Each must be on one side only, or both must be swapped in an otherwise equal sentence. "A is before B" and
    "B is after A" are not a conflict.
    """
    if frame.likeness < MIN_SIMILARITY:
        return
    pairs = [
        (i, j)
        for i, term in enumerate(frame.a)
        if (antonyms := opposites.get(term.stem))
        for j, other in enumerate(frame.b)
        if other.stem in antonyms
    ]
    pairs += _affixed(frame)
    in_place = set(frame.replaced)
    for i, j in pairs:
        alone = frame.a[i].stem in frame.only_baseline and frame.b[j].stem in frame.only_candidate
        if ((i, j) in in_place or (alone and frame.together(i, j))) and not frame.crossed(i, j):
            yield frame.finding("direction", [i], [j])


def _affixed(frame: Frame) -> Iterator[tuple[int, int]]:
    """Terms of which one is the other with an affix that turns it around: effective and ineffective."""
    pattern = _prefixes().get(frame.language or "")
    if pattern is None:
        return
    words = [
        [(i, term.form.casefold()) for i, term in enumerate(side) if term.kind == "word" and term.stem in only]
        for side, only in ((frame.a, frame.only_baseline), (frame.b, frame.only_candidate))
    ]
    for i, word in words[0]:
        for j, other in words[1]:
            longer, shorter = (word, other) if len(word) > len(other) else (other, word)
            if longer.endswith(shorter) and (match := pattern.fullmatch(longer)) and match["rest"] == shorter:
                yield i, j


@cache
def _prefixes() -> "dict[str, regex.Pattern[str]]":
    """Prefixes that deny; `in-` only before what adjectives and their nouns end in, as "inform" denies nothing."""
    adjective = r"\w{2,}(?:able|ible|ent|ant|ive|ate|al|ect|id|ure|ous|ar|ary|ite|ly|[ae]nc[ey]|ity|ness|iency|acy)"
    unlike = r"(?!valu|flam|form[^a]|habit)"
    english = rf"(?:un|non-?|dis|contra|mal|anti-?)(?P<rest>\w{{4,}})|i[nmlr](?P<rest>{unlike}{adjective})"
    return {"en": regex.compile(english), "de": regex.compile(r"un(?P<rest>\w{4,})")}


def opposites(language: str, more: Iterable[Sequence[str]] = ()) -> Opposites:
    """The antonyms of a language, with more pairs of words."""
    own = _listed(language)
    if not more:
        return own
    stems = [(stem(a.casefold(), language), stem(b.casefold(), language)) for a, b in more]
    added = _by_stem((([a], [b]) for a, b in stems))
    return {word: own.get(word, frozenset()) | added.get(word, frozenset()) for word in {*own, *added}}


@cache
def _listed(language: str) -> Opposites:
    lines = (files("fidelity.text") / "antonyms" / f"{language}.txt").read_text(encoding="utf-8").split("\n")
    sides = (line.split("|") for line in lines if line and not line.startswith("#"))
    return _by_stem(tuple([stem(word, language) for word in side.split()] for side in both) for both in sides)


def _by_stem(lines: Iterable[Sequence[Sequence[str]]]) -> Opposites:
    opposites: dict[str, set[str]] = defaultdict(set)
    for one, other in lines:
        for word in one:
            opposites[word].update(other)
        for word in other:
            opposites[word].update(one)
    return {word: frozenset(antonyms - {word}) for word, antonyms in opposites.items()}
