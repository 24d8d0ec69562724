"""Numbers: whether two aligned sentences give the same ones for the same things."""

from collections.abc import Iterator, Sequence
from string import ascii_letters
from typing import Literal

from fidelity.text.frames import Frame, UnitConflict
from fidelity.text.measures import is_same_measure
from fidelity.text.number_words import measure_word, number_words, roman_numeral, superscript, value_of_word
from fidelity.text.quantities import quantities
from fidelity.text.remembered import remembered
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
        values = [value_of_word(term.form.casefold(), frame.language) for term in (frame.a[i], frame.b[j])]
        if None not in values and values[0] != values[1]:
            yield frame.finding("number", [i], [j])
        if _is_other_sign(frame, i, j):
            yield frame.finding("number", [i], [j])
    yield from _other_measures(frame)


def _other_measures(frame: Frame) -> Iterator[UnitConflict]:
    """Words for shares, multiples or frequencies with another one in their place, such as daily and weekly."""
    sides = [list(_measure_words(terms, frame.language)) for terms in (frame.a, frame.b)]
    for i, (kind, value) in sides[0]:
        for j, (other_kind, other) in sides[1]:
            alone = frame.a[i].stem in frame.only_baseline and frame.b[j].stem in frame.only_candidate
            if kind == other_kind and value != other and alone and frame.together(i, j):
                yield frame.finding("number", [i], [j])


def _measure_words(terms: Sequence[Term], language: str | None) -> Iterator[tuple[int, tuple[str, int]]]:
    """Where they are, with their kind and value; "three times" is one of those of "twice"."""
    forms = [term.form.casefold() for term in terms]
    for i, form in enumerate(forms):
        if measure := measure_word(form, language):
            yield i, measure
        elif forms[i + 1 : i + 2] == ["times"] and (value := value_of_word(form, language)) and value.isdigit():
            yield i, ("times", int(value) - 1)


def _is_other_sign(frame: Frame, i: int, j: int) -> bool:
    """Whether a comparison, or a calculation with numbers or single letters, has another sign."""
    a, b = frame.a[i], frame.b[j]
    if a.kind != "mark" or b.kind != "mark":
        return False
    operands = [*frame.a[max(0, i - 1) : i], *frame.a[i + 1 : i + 2]]
    calculates = len(operands) == 2 and all(term.kind == "number" or len(term.form) == 1 for term in operands)
    return {a.form, b.form} <= COMPARING or (calculates and {a.form, b.form} <= CALCULATING)


@remembered
def number_forms(sentence: str, language: str | None) -> frozenset[str]:
    """The normal forms of a sentence's numbers."""
    return frozenset(q.normal for q in quantities(sentence, language) if q.kind != "url")


def _numbers(terms: Sequence[Term]) -> list[int]:
    return [i for i, term in enumerate(terms) if term.kind == "number"]


def _unmatched(rows: Sequence[int], columns: Sequence[int], frame: Frame) -> tuple[list[int], list[int]]:
    """Numbers that have no equal: first by all that counts, then by the value where one side gives no unit."""
    left, right = list(rows), list(columns)
    for equal in (_equal, _converted, _equal_but_for_a_unit):
        anywhere = equal is not _equal_but_for_a_unit or frame.similarity < TIGHT
        for i in list(left):
            fits = (j for j in right if equal(frame.a[i], frame.b[j]) and (anywhere or frame.together(i, j)))
            if (j := next(fits, None)) is not None:
                left.remove(i)
                right.remove(j)
    words = [
        {form for t in side for form in (t.form, t.form.casefold(), t.form.lstrip(ascii_letters))}
        for side in (frame.a, frame.b)
    ]
    left = [i for i in left if not words[1] & _in_words(frame.a[i], frame.language)]
    right = [j for j in right if not words[0] & _in_words(frame.b[j], frame.language)]
    return left, right


def _equal(a: Term, b: Term) -> bool:
    return a.stem == b.stem


def _converted(a: Term, b: Term) -> bool:
    """Whether both are the same measure in another unit: 2 kg and 2000 g, an hour and 60 minutes; 9 and 9:00."""
    one, other = a.quantity, b.quantity
    if one is None or other is None or one.relation != other.relation:
        return False
    if {one.kind, other.kind} == {"number", "time"} and not one.unit and not other.unit:
        return one.value.removesuffix(":00") == other.value.removesuffix(":00")
    return is_same_measure((one.value, one.unit), (other.value, other.unit))


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


def _in_words(term: Term, language: str | None) -> frozenset[str]:
    """How else the number is written: in words (case-folded), as a Roman numeral, and as an exponent."""
    if not term.quantity or term.kind != "number":
        return frozenset()
    value = term.quantity.value
    return number_words(value, language) | {other for other in (roman_numeral(value), superscript(value)) if other}
