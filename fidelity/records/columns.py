"""Columns: a metric's numbers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Better = Literal["higher", "lower", "neither"]
SummaryKind = Literal["mean", "median"]
Side = Literal["baseline", "candidate", "pair"]
"""The side that keeps a pair from being scored; "pair" if the column doesn't apply to it (no code, no JSON)."""
Floats: TypeAlias = NDArray[np.float64]
"""An array of double-precision numbers, of any shape."""


@dataclass(frozen=True, slots=True)
class Column:
    """A metric's numbers, one per pair, in the pairs' order; None means "this pair can't be scored", never 0 or NaN.

    With `weights` (same length; None where the value is None) the mean is the sum of weight x value over the sum of
    weights. `bounds` is the known range of a value, or None where there is none (a ratio, a change of log-probability).
    A similarity is in [0, 1] with 1 = identical. A "neither" column is described, never judged.
    """

    name: str
    values: Sequence[float | None]
    weights: Sequence[float | None] | None = None
    better: Better = "higher"
    summary: SummaryKind = "mean"
    bounds: tuple[float, float] | None = (0.0, 1.0)
    sides: Sequence[Side | None] | None = None
    """For each pair whose answer keeps it from being scored, None where it is scored. None as a whole where every pair
    is scored; where pairs are unscored, it is not known, as in stores of earlier versions."""

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
        """What a candidate's answer that can't be scored counts as.

        None where there is no such number: the column isn't judged, its range is unknown, or its mean is weighted by
        what the answer doesn't have. A gate line on such a column can't pass while an answer is unscored.
        """
        if self.better == "neither" or self.bounds is None or self.weights is not None:
            return None
        return self.bounds[0] if self.better == "higher" else self.bounds[1]

    @property
    def judged_values(self) -> Sequence[float | None]:
        """The values as a candidate is judged by them: the worst one where its answer alone can't be scored."""
        if self.sides is None or self.worst is None:
            return self.values
        pairs = zip(self.values, self.sides, strict=True)
        return tuple(self.worst if side == "candidate" else value for value, side in pairs)
