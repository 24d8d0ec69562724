"""Prefix agreement: how far two generations stay the same, token by token."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from fidelity.metrics.profile import DECILES, decile_bounds, decile_columns
from fidelity.metrics.units import UnitMetric
from fidelity.records import Column, Pair, Side
from fidelity.text.units import Units, first_difference, units


class PrefixAgreement(UnitMetric):
    """Share of the longer generation's tokens before the first differing one.

    In [0, 1], 1 = identical, symmetric. Uses the engine's token ids, so both runs must share a tokenizer; where that
    can't be had, `unit: characters` compares the texts, under the name `prefix_agreement_chars`. Two empty generations
    give 1; a pair without token ids gives None.

    With `profile`, the columns `prefix_agreement[decile=1]` to `[decile=10]` say how much of each tenth of the baseline
    lies before the first differing token: over pairs, the share of answers that have not parted by then.
    """

    kind: Literal["prefix_agreement"] = "prefix_agreement"
    profile: bool = False
    """Whether the ten columns along the output come too."""

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        name = self.column_name("prefix_agreement")
        sides = [units(pair, self.unit) for pair in pairs]
        columns = [Column.of(name, [_agreement(s) if isinstance(s, Units) else s for s in sides])]
        if self.profile:
            columns += decile_columns(name, [_profile(s) if isinstance(s, Units) else [s] * DECILES for s in sides])
        return columns


def _agreement(sides: Units) -> float:
    longer = max(map(len, sides))
    return 1.0 if longer == 0 else first_difference(*sides) / longer


def _profile(sides: Units) -> list[float | Side]:
    shared, bounds = first_difference(*sides), decile_bounds(len(sides.baseline))
    return [
        min(max(shared - start, 0), end - start) / (end - start) if start < end else "pair"
        for start, end in pairwise(bounds)
    ]
