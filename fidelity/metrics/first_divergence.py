"""First divergence: the first position at which two generations differ."""

from collections.abc import Sequence
from typing import Literal

from fidelity.metrics.units import UnitMetric
from fidelity.records import Column, Pair
from fidelity.text.units import Units, first_difference, units


class FirstDivergence(UnitMetric):
    """Position, from 0, of the first differing token; over pairs, the median.

    A pair that never diverges counts with its whole length. Without these pairs the median would be over the worst
    pairs only, and would fall as more pairs agree. A generation that is a prefix of the other diverges at its end. None
    if a side has no token ids; `unit: characters` compares the texts instead, under the name `first_divergence_chars`.
    It grows with the length of the outputs, so it is descriptive; use `prefix_agreement` in a gate.
    """

    kind: Literal["first_divergence"] = "first_divergence"

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        sides = [units(pair, self.unit) for pair in pairs]
        places = [float(first_difference(*s)) if isinstance(s, Units) else s for s in sides]
        name = self.column_name("first_divergence")
        return [Column.of(name, places, better="neither", summary="median", bounds=None)]
