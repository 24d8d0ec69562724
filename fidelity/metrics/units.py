"""Metrics of sequences: of the engine's own tokens or, where there are none, of characters."""

from fidelity.metrics.base import Metric, Need
from fidelity.text.units import Unit


class UnitMetric(Metric):
    """A metric of sequences of units; where a side has no token ids, the characters are compared in their place."""

    unit: Unit = "tokens"
    """`tokens` are the engine's token ids, `characters` the code points of the text."""

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({"token_ids"} if self.unit == "tokens" else {"text"})

    def fallback(self) -> "UnitMetric | None":
        return self.model_copy(update={"unit": "characters"}) if self.unit == "tokens" else None

    def column_name(self, name: str) -> str:
        """The name of a column, which tells the unit where it isn't tokens: `length_ratio_chars`."""
        return name if self.unit == "tokens" else f"{name}_chars"
