"""KL divergence over the whole vocabulary, at each token of the baseline's answers."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from fidelity.metrics.base import Metric, Need
from fidelity.metrics.token_columns import Numbers, TokenNumber, profiles
from fidelity.metrics.token_divergence import exact_acceptance, exact_kl
from fidelity.records import Column, Pair

QUANTILES = (0.5, 0.9, 0.99, 0.999)


class Kl(Metric):
    """KL(baseline || candidate) in nats at the tokens of the baseline's answers, which both models have read.

    Exact: over the whole vocabulary, so it takes runs of a baseline whose YAML says `kl: {exact: true}`, and has values
    for the first prompts alone. `kl` is the mean over tokens, weighted by tokens; `kl[q=0.5]` to `kl[q=0.999]` are its
    quantiles within an answer (linear between neighbours). `ear_exact` is the expected acceptance rate without the gap
    that `ear` has (see `tokens`). 0 where both distributions are the same; there is no upper
    limit, and None where a token is possible to the baseline and impossible to the candidate.
    """

    kind: Literal["kl"] = "kl"
    ignore_below: float | None = None
    """Tokens whose log-probability in the baseline is not above it are left out; llama.cpp has -16."""
    profile: bool = False
    """Whether `kl` comes by tenths of the answer and of the baseline's confidence too, as in `tokens`."""

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({"whole_vocabulary"})

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        found = [exact_kl(*pair.forced, ignore_below=self.ignore_below) if pair.forced else None for pair in pairs]
        number = TokenNumber("kl", found, "lower", weighted=True, bounds=None)
        rates = [exact_acceptance(*pair.forced) if pair.forced else None for pair in pairs]
        columns = [number.column(), TokenNumber("ear_exact", rates).column()]
        for q in QUANTILES:
            at = tuple(
                None if mean is None or kl is None else float(np.quantile(kl, q))
                for mean, kl in zip(columns[0].values, found, strict=True)
            )
            columns.append(Column(f"kl[q={q}]", at, better="lower", bounds=None, sides=columns[0].sides))
        if self.profile:
            columns += profiles([number], [_confidence(pair) for pair in pairs])
        return columns


def _confidence(pair: Pair) -> Numbers | None:
    if pair.forced is None:
        return None
    ours, theirs = pair.forced
    return np.asarray(np.exp(ours.top_logprobs[: len(theirs.token_ids)].max(axis=1, initial=-np.inf)))
