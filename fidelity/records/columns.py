"""Columns: a metric's numbers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fidelity.records.numbers import CODES, ColumnNumbers, Side, Sides

Better = Literal["higher", "lower", "neither"]
SummaryKind = Literal["mean", "median"]


@dataclass(frozen=True, slots=True)
class Column:
    """A metric's numbers, one per pair, in the pairs' order. A pair that can't be scored is None, never 0 or NaN.

    With `weights` (same length; None if the value is None) the mean is the sum of weight x value over the sum of
    weights. `bounds` is the known range of a value, or None (a ratio, a change of log-probability). A similarity is in
    [0, 1] with 1 = identical. A "neither" column is descriptive, never judged.
    """

    name: str
    values: Sequence[float | None]
    weights: Sequence[float | None] | None = None
    better: Better = "higher"
    summary: SummaryKind = "mean"
    bounds: tuple[float, float] | None = (0.0, 1.0)
    sides: Sequence[Side | None] | None = None
    """The side that keeps each pair from being scored, None for scored pairs. None as a whole if every pair is scored,
    or if it is unknown, as in stores of earlier versions."""

    @classmethod
    def of(
        cls,
        name: str,
        scores: Iterable[float | Side],
        *,
        weights: Sequence[float | None] | None = None,
        better: Better = "higher",
        summary: SummaryKind = "mean",
        bounds: tuple[float, float] | None = (0.0, 1.0),
    ) -> "Column":
        """A column from one number per pair, or the side that prevents it."""
        given = list(scores)
        values = tuple(None if isinstance(score, str) else score for score in given)
        sides = tuple(score if isinstance(score, str) else None for score in given)
        return cls(name, values, weights, better, summary, bounds, sides if any(sides) else None)

    @property
    def worst(self) -> float | None:
        """The value of a candidate's answer that can't be scored.

        None if there is no such number: the column isn't judged, its range is unknown, or its mean has weights that the
        answer lacks. A gate line on such a column can't pass while an answer is unscored.
        """
        if self.better == "neither" or self.bounds is None or self.weights is not None:
            return None
        return self.bounds[0] if self.better == "higher" else self.bounds[1]

    @property
    def judged_values(self) -> Sequence[float | None]:
        """The values for judging a candidate: the worst value if only its answer can't be scored."""
        if self.sides is None or self.worst is None:
            return self.values
        lost = Sides.of(self.sides).array == CODES["candidate"]
        return ColumnNumbers(np.where(lost, self.worst, ColumnNumbers.of(self.values).array))
