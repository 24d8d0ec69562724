"""First divergence: the position at which two generations part."""

from collections.abc import Sequence
from typing import Literal

from fidelity.metrics.units import UnitMetric
from fidelity.records import Column, Pair
from fidelity.text.units import Units, first_difference, units


class FirstDivergence(UnitMetric):
    """Position, from 0, of the first token that differs; over pairs, the median.

    A pair that never parts counts with its whole length, at which it was last seen together: left out, the median would
    be taken over the worst pairs only and would fall as more pairs agree. A generation that is the start of the other
    parts at its end. None where a side has no token ids; `unit: characters` compares the texts instead, under the name
    `first_divergence_chars`. It grows with the length of the outputs, so it describes and doesn't judge:
    `prefix_agreement` is its gateable form.
    """

    kind: Literal["first_divergence"] = "first_divergence"

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        sides = [units(pair, self.unit) for pair in pairs]
        places = [float(first_difference(*s)) if isinstance(s, Units) else s for s in sides]
        name = self.column_name("first_divergence")
        return [Column.of(name, places, better="neither", summary="median", bounds=None)]
