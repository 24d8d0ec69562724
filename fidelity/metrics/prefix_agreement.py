"""Prefix agreement: how far two generations stay the same, token by token."""

from collections.abc import Sequence
from typing import Literal

from fidelity.metrics.base import Metric, Need
from fidelity.metrics.units import Unit, first_difference, units
from fidelity.records import Column, Pair


class PrefixAgreement(Metric):
    """Share of the longer generation's tokens before the first differing one.

    In [0, 1], 1 = identical, symmetric. Uses the engine's token ids, so both runs must share a tokenizer; where that
    can't be had, `unit: characters` compares the texts, under the name `prefix_agreement_chars`. Two empty generations
    give 1; a pair without token ids gives None.
    """

    kind: Literal["prefix_agreement"] = "prefix_agreement"
    unit: Unit = "tokens"
    """`tokens` compares the engine's token ids, `characters` the code points of the text."""

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({"token_ids"} if self.unit == "tokens" else {"text"})

    def fallback(self) -> "PrefixAgreement | None":
        return self.model_copy(update={"unit": "characters"}) if self.unit == "tokens" else None

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        name = "prefix_agreement" if self.unit == "tokens" else "prefix_agreement_chars"
        return [Column(self.named(name), tuple(_agreement(pair, self.unit) for pair in pairs))]


def _agreement(pair: Pair, unit: Unit) -> float | None:
    sides = units(pair, unit)
    if sides is None:
        return None
    longer = max(map(len, sides))
    return 1.0 if longer == 0 else first_difference(*sides) / longer
