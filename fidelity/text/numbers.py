"""Numbers: whether two aligned sentences give the same ones for the same things."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Literal

from fidelity.text.frames import Frame, UnitConflict
from fidelity.text.quantities import quantities
from fidelity.text.terms import Term

MIN_SIMILARITY = 0.3
"""Of a frame: below it numbers are of other things."""
TIGHT = 0.75
"""Of a frame: from here on, a number on one side only is a change, not a thought that the other side left out."""
SMALL = 4
"""Terms of a change up to which a number on one side only is a change of a number, not of a phrase."""
SWAPPED = 0.7
"""From here on, equal numbers in another order are numbers of other things."""
COMPARING, CALCULATING = frozenset("<>≤≥=≠"), frozenset("+-*/^")


def number_findings(frame: Frame, elsewhere: tuple[frozenset[str], frozenset[str]]) -> Iterator[UnitConflict]:
    """Numbers without an equal on the other side, numbers that changed places, and signs of relations that changed.

    `elsewhere` has the numbers of the other units of baseline and candidate: a number that moved there isn't lost.
    """
    if frame.likeness < MIN_SIMILARITY:
        return
    rows, columns = _unmatched(_numbers(frame.a), _numbers(frame.b), frame)
    lost = [i for i in rows if frame.a[i].stem not in elsewhere[1]]
    new = [j for j in columns if frame.b[j].stem not in elsewhere[0]]
    tight = frame.similarity >= TIGHT
    if rows and columns and (tight or lost or new):
        yield frame.finding("number", *frame.first_change(rows, columns))
    elif tight and (
        one_sided := [i for i in lost if _is_small(frame, i, 0)] or [j for j in new if _is_small(frame, j, 1)]
    ):
        yield frame.finding("number", one_sided[:1] if lost else [], one_sided[:1] if new else [])
    elif not rows and not columns and frame.similarity >= SWAPPED:
        yield from _swapped(frame)
    for i, j in frame.replaced:
        values = [_value_of_word().get(term.form.casefold()) for term in (frame.a[i], frame.b[j])]
        if None not in values and values[0] != values[1]:
            yield frame.finding("number", [i], [j])
        if _is_other_sign(frame, i, j):
            yield frame.finding("number", [i], [j])


def _is_other_sign(frame: Frame, i: int, j: int) -> bool:
    """Whether a comparison, or a calculation with numbers or single letters, has another sign."""
    a, b = frame.a[i], frame.b[j]
    if a.kind != "mark" or b.kind != "mark":
        return False
    operands = [*frame.a[max(0, i - 1) : i], *frame.a[i + 1 : i + 2]]
    calculates = len(operands) == 2 and all(term.kind == "number" or len(term.form) == 1 for term in operands)
    return {a.form, b.form} <= COMPARING or (calculates and {a.form, b.form} <= CALCULATING)


def number_forms(sentence: str, language: str | None) -> frozenset[str]:
    """The normal forms of a sentence's numbers."""
    return frozenset(q.normal for q in quantities(sentence, language) if q.kind != "url")


def _numbers(terms: Sequence[Term]) -> list[int]:
    return [i for i, term in enumerate(terms) if term.kind == "number"]


def _unmatched(rows: Sequence[int], columns: Sequence[int], frame: Frame) -> tuple[list[int], list[int]]:
    """Numbers that have no equal: first by all that counts, then by the value where one side gives no unit."""
    left, right = list(rows), list(columns)
    for equal in (_equal, _equal_but_for_a_unit):
        anywhere = equal is _equal or frame.similarity < TIGHT
        for i in list(left):
            fits = (j for j in right if equal(frame.a[i], frame.b[j]) and (anywhere or frame.together(i, j)))
            if (j := next(fits, None)) is not None:
                left.remove(i)
                right.remove(j)
    words = [{t.form.casefold() for t in side} for side in (frame.a, frame.b)]
    left = [i for i in left if not words[1] & _in_words(frame.a[i])]
    right = [j for j in right if not words[0] & _in_words(frame.b[j])]
    return left, right


def _equal(a: Term, b: Term) -> bool:
    return a.stem == b.stem


def _equal_but_for_a_unit(a: Term, b: Term) -> bool:
    one, other = a.quantity, b.quantity
    if one is None or other is None or one.value != other.value:
        return False
    relations = {one.relation, other.relation} - {""}
    return (not one.unit or not other.unit or one.unit == other.unit) and len(relations) < 2


def _is_small(frame: Frame, index: int, side: Literal[0, 1]) -> bool:
    """Whether the change that a term of one side is in has few terms."""
    return any(index in hunk[side] and max(map(len, hunk)) <= SMALL for hunk in frame.hunks)


def _swapped(frame: Frame) -> Iterator[UnitConflict]:
    """Numbers that are swapped, if nothing else is swapped with them."""
    pairs = [(i, j) for i, j in frame.replaced if frame.a[i].stem != frame.b[j].stem]
    stems = {(frame.a[i].stem, frame.b[j].stem) for i, j in pairs}
    swaps = {frozenset(pair) for pair in stems if pair[::-1] in stems}
    if len(swaps) == 1:
        places = [(i, j) for i, j in pairs if {frame.a[i].stem, frame.b[j].stem} in swaps]
        if all(frame.a[i].kind == "number" for i, _ in places):
            yield frame.finding("number", [i for i, _ in places], [j for _, j in places])


def _in_words(term: Term) -> frozenset[str]:
    return _spelled().get(term.quantity.value, frozenset()) if term.quantity else frozenset()


@cache
def _spelled() -> dict[str, frozenset[str]]:
    """Small numbers and their words in English, German, French, Spanish and Hindi."""
    lines = (
        "zero null zéro cero शून्य 零,one ein eine eins un une uno una एक 一 once first",
        "two zwei deux dos दो 二 两 twice second both",
        "three drei trois tres तीन 三 third,four vier quatre cuatro चार fourth,five fünf cinq cinco पाँच पांच fifth",
        "six sechs seis छह छः sixth,seven sieben sept siete सात seventh,eight acht huit ocho आठ eighth",
        "nine neun neuf nueve नौ ninth,ten zehn dix diez दस tenth",
        "eleven elf onze ग्यारह,twelve zwölf douze doce बारह dozen",
    )
    words = [frozenset(number.split()) for line in lines for number in line.split(",")]
    tens = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundred")
    return {str(n): w for n, w in enumerate(words)} | {
        **{str(10 * n): frozenset({w}) for n, w in enumerate(tens, start=2)},
        "50": frozenset({"fifty", "half", "hälfte", "moitié", "mitad"}),
        "1/2": frozenset({"half", "halb", "halbe", "demi", "medio"}),
    }


@cache
def _value_of_word() -> dict[str, str]:
    return {word: value for value, words in _spelled().items() for word in words}
