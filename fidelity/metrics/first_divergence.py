"""First divergence: the position at which two generations part."""

from collections.abc import Sequence
from typing import Literal

from fidelity.metrics.base import Metric, Need
from fidelity.records import Column, Pair
from fidelity.text.units import Unit, Units, first_difference, units


class FirstDivergence(Metric):
    """Position, from 0, of the first token that differs; over pairs, the median.

    A pair that never parts counts with its whole length, at which it was last seen together: left out, the median would
    be taken over the worst pairs only and would fall as more pairs agree. A generation that is the start of the other
    parts at its end. None where a side has no token ids; `unit: characters` compares the texts instead, under the name
    `first_divergence_chars`. It grows with the length of the outputs, so it describes and doesn't judge:
    `prefix_agreement` is its gateable form.
    """

    kind: Literal["first_divergence"] = "first_divergence"
    unit: Unit = "tokens"
    """`tokens` compares the engine's token ids, `characters` the code points of the text."""

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({"token_ids"} if self.unit == "tokens" else {"text"})

    def fallback(self) -> "FirstDivergence | None":
        return self.model_copy(update={"unit": "characters"}) if self.unit == "tokens" else None

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        sides = [units(pair, self.unit) for pair in pairs]
        places = [float(first_difference(*s)) if isinstance(s, Units) else s for s in sides]
        name = "first_divergence" if self.unit == "tokens" else "first_divergence_chars"
        return [Column.of(name, places, better="neither", summary="median", bounds=None)]
