"""What the positional metrics count along a generation: the engine's token ids, or the characters of the text."""

from collections.abc import Sequence
from itertools import compress, count
from operator import ne
from typing import Literal, NamedTuple

from fidelity.records import Generation, Pair, Side

Unit = Literal["tokens", "characters"]


class Units(NamedTuple):
    """The two sides of a pair, cut into the same unit."""

    baseline: Sequence[object]
    candidate: Sequence[object]


def units(pair: Pair, unit: Unit) -> Units | Side:
    """The pair's two sequences, or the side that has no token ids."""
    baseline, candidate = _sequence(pair.baseline, unit), _sequence(pair.candidate, unit)
    if baseline is None or candidate is None:
        return "baseline" if baseline is None else "candidate"
    return Units(baseline, candidate)


def first_difference(a: Sequence[object], b: Sequence[object]) -> int:
    """How many leading elements are the same; the shorter one's length where it is the start of the other."""
    return next(compress(count(), map(ne, a, b)), min(len(a), len(b)))


def _sequence(generation: Generation, unit: Unit) -> Sequence[object] | None:
    return generation.text if unit == "characters" else generation.token_ids
