"""KL divergence over the whole vocabulary, at each token of the baseline's answers."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from fidelity.metrics.base import Metric, Need
from fidelity.metrics.exact_distributions import exact_values
from fidelity.metrics.token_columns import TokenNumber, profiles
from fidelity.records import Column, Pair

QUANTILES = (0.5, 0.9, 0.99, 0.999)


class Kl(Metric):
    """KL(baseline || candidate) in nats at the tokens of the baseline's answers, which both models have scored.

    Exact: over the whole vocabulary. It needs runs of a baseline with `kl: {exact: true}` in its YAML. `kl` is the mean
    over tokens, weighted by tokens; `kl[q=0.5]` to `kl[q=0.999]` are its quantiles within an answer (linear
    interpolation). `ear_exact` is the exact expected acceptance rate, of which `ear` is a lower bound (see `tokens`).
    0 if both distributions are equal; there is no upper limit, and None if a token is possible in the baseline and
    impossible in the candidate.
    """

    kind: Literal["kl"] = "kl"
    ignore_below: float | None = None
    """Ignore tokens with a log-probability in the baseline of at most this; llama.cpp uses -16."""
    profile: bool = False
    """Whether to add `kl` by tenths of the answer and of the baseline's confidence, as in `tokens`."""

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({"whole_vocabulary"})

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        values = [
            exact_values(*pair.token_scores, ignore_below=self.ignore_below) if pair.token_scores else None
            for pair in pairs
        ]
        divergences = [None if one is None else one.kl for one in values]
        number = TokenNumber("kl", divergences, "lower", weighted=True, bounds=None)
        rates = [None if one is None else one.acceptance for one in values]
        columns = [number.column(), TokenNumber("ear_exact", rates).column()]
        for q in QUANTILES:
            at = tuple(
                None if mean is None or kl is None else float(np.quantile(kl, q))
                for mean, kl in zip(columns[0].values, divergences, strict=True)
            )
            columns.append(Column(f"kl[q={q}]", at, better="lower", bounds=None, sides=columns[0].sides))
        if self.profile:
            columns += profiles([number], [None if one is None else one.confidence for one in values])
        return columns
