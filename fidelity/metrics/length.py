"""Length: whether the candidate talks more, or less, than the baseline."""

from collections.abc import Sequence
from typing import Literal

from fidelity.metrics.units import UnitMetric
from fidelity.records import Column, Pair, Side
from fidelity.text.units import Units, units


class Length(UnitMetric):
    """Two columns: `length_ratio`, candidate tokens / baseline tokens, and `length_similarity`, shorter / longer.

    The ratio is weighted with the baseline's tokens, so that its mean is all candidate tokens over all baseline tokens;
    above 1 the candidate talks more. It describes; the similarity, in [0, 1] and symmetric, can be gated. An empty
    baseline has no ratio (None); two empty generations have the similarity 1. Tokens are the engine's own; `unit:
    characters` counts code points of the text, under `length_ratio_chars` and `length_similarity_chars`.
    """

    kind: Literal["length"] = "length"

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        sides = [units(pair, self.unit) for pair in pairs]
        ratios = [_ratio(s) if isinstance(s, Units) else s for s in sides]
        weights = [float(len(s.baseline)) if isinstance(s, Units) and s.baseline else None for s in sides]
        similarities = [_similarity(s) if isinstance(s, Units) else s for s in sides]
        return [
            Column.of(self.column_name("length_ratio"), ratios, weights=tuple(weights), better="neither", bounds=None),
            Column.of(self.column_name("length_similarity"), similarities),
        ]


def _ratio(sides: Units) -> float | Side:
    return len(sides.candidate) / len(sides.baseline) if sides.baseline else "baseline"


def _similarity(sides: Units) -> float:
    shorter, longer = sorted(map(len, sides))
    return 1.0 if longer == 0 else shorter / longer
