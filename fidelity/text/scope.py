"""Scope: whether a statement holds for everyone or only for some, where no word has an antonym in its place."""

from collections.abc import Iterator, Sequence

from fidelity.text.frames import Frame, UnitConflict
from fidelity.text.function_words import function_words
from fidelity.text.terms import Term

TIGHT = 0.75
"""Of a frame: below it "only" or "everyone" may belong to another thought."""
EXCLUSIVE = {
    "en": "only solely exclusively",
    "de": "nur ausschließlich lediglich",
    "fr": "seulement uniquement seul seule seuls seules",
    "es": "solo sólo solamente únicamente",
    "it": "solo soltanto solamente esclusivamente",
    "pt": "só somente apenas unicamente",
    "nl": "alleen slechts uitsluitend",
    "ru": "только лишь исключительно",
}
CONDITIONS = {
    "en": "if when after before in at on with without for by during under within as through from because once",
    "de": "wenn nach vor in im bei mit ohne für am bis während unter durch falls sofern aus von",
    "fr": "si quand après avant en dans à avec sans pour par pendant sous lorsque chez",
    "es": "si cuando después antes en a con sin para por durante bajo al como",
    "it": "se quando dopo prima in nel con senza per da durante sotto al",
    "pt": "se quando depois antes em no na com sem para por durante sob ao",
    "nl": "als wanneer na voor in bij met zonder door tijdens onder op",
    "ru": "если когда после до в на с без для при во под",
}
"""Words that begin a condition, a time or a place: "only if", "only after", "only in"."""
EVERYONE = {
    "en": "everyone everybody anyone anybody",
    "de": "jedermann",
    "es": "cualquiera",
    "it": "chiunque ognuno",
    "nl": "iedereen",
}
ANYONE_ELSE = {
    "en": "people person persons individuals individual humans folks users user readers you we they one someone all",
    "de": "menschen leute man",
    "es": "personas gente uno",
    "it": "persone gente tutti",
    "nl": "mensen men",
}
"""Words for people in general, which are as many as everyone."""


def scope_findings(frame: Frame) -> Iterator[UnitConflict]:
    """An "only" on one side of a sentence that else is the same, and "everyone" in the place of a group."""
    if frame.language not in EXCLUSIVE or frame.similarity < TIGHT:
        return
    sides = [_exclusive(terms, frame.language) for terms in (frame.a, frame.b)]
    everywhere = [[t for t in terms if t.form.casefold() in _words(frame.language)] for terms in (frame.a, frame.b)]
    if any(sides) and not all(everywhere) and max(len(h.baseline) + len(h.candidate) for h in frame.hunks) == 1:
        yield frame.finding("direction", *sides)
    everyone = EVERYONE.get(frame.language, "").split()
    for i, j in frame.replaced:
        words = frame.a[i].form.casefold(), frame.b[j].form.casefold()
        group = [word for word in words if word not in everyone]
        if len(group) == 1 and _is_group(group[0], frame.language):
            yield frame.finding("direction", [i], [j])


def _exclusive(terms: Sequence[Term], language: str) -> list[int]:
    """Where an exclusive word limits the subject, which begins the sentence, or a condition."""
    words, conditions = _words(language), CONDITIONS[language].split()
    forms = [term.form.casefold() for term in terms]
    return [
        i
        for i, form in enumerate(forms)
        if form in words and (i == 0 or i + 1 == len(forms) or forms[i + 1] in conditions)
    ]


def _words(language: str) -> list[str]:
    return EXCLUSIVE[language].split()


def _is_group(word: str, language: str) -> bool:
    return len(word) > 3 and word not in function_words(language) and word not in ANYONE_ELSE[language].split()
