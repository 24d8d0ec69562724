"""Identical: whether the candidate's text equals the baseline's."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from fidelity.metrics.base import Metric
from fidelity.records import Column, Pair


class Identical(Metric):
    """1.0 if both texts are equal, code point by code point, else 0.0; the mean is the share of equal pairs.

    Texts, not token ids: two tokenizations of one text are identical to a reader. Two empty texts give 1.
    """

    kind: Literal["identical"] = "identical"
    any_length: ClassVar[bool] = True

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        return [Column("identical", tuple(float(p.baseline.text == p.candidate.text) for p in pairs))]
