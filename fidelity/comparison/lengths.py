"""Scoring within stated limits: metrics that align texts take time that grows with the square of their length."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from fidelity.metrics import Metric
from fidelity.records import Column, Pair, Side

LONGEST_TEXT = 500_000
"""The maximum number of characters of a text that is scored, about 120,000 tokens of English."""
T = TypeVar("T")


def score_within_limits(metric: Metric, pairs: Sequence[Pair]) -> list[Column]:
    """A metric's columns. A pair with a longer text is unscored, with the side that the text is on.

    A candidate that is too long gets the worst value, like any that can't be scored.
    """
    sides = [None if metric.any_length else too_long(pair) for pair in pairs]
    if not any(sides):
        return metric.score(pairs)
    scored = metric.score([pair for pair, side in zip(pairs, sides, strict=True) if side is None])
    return [_spread(column, sides) for column in scored]


def too_long(pair: Pair) -> Side | None:
    """The side with a text that is too long; None if there is none."""
    longer = [len(generation.text) > LONGEST_TEXT for generation in (pair.baseline, pair.candidate)]
    return "pair" if all(longer) else "baseline" if longer[0] else "candidate" if longer[1] else None


def _spread(column: Column, sides: Sequence[Side | None]) -> Column:
    """The column with an unscored place for each pair that has a side."""

    def spread(values: Sequence[T]) -> Iterator[T | None]:
        rest = iter(values)
        return (next(rest) if side is None else None for side in sides)

    own = spread(column.sides or [None] * len(column.values))
    return replace(
        column,
        values=tuple(spread(column.values)),
        weights=None if column.weights is None else tuple(spread(column.weights)),
        sides=tuple(side or before for side, before in zip(sides, own, strict=True)),
    )
