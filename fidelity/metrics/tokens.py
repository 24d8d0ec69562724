"""Token by token: what the candidate makes of the baseline's own tokens (teacher forcing)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np
from pydantic import Field

from fidelity.metrics.base import Metric, Need
from fidelity.metrics.token_columns import Numbers, TokenNumber, profiles
from fidelity.metrics.token_divergence import TokenValues, token_values
from fidelity.records import Column, Pair, Side

PairValues = Sequence[TokenValues | None]


class Tokens(Metric):
    """Both models read the baseline's answer and say, at each token, what they find likely there.

    Nothing is generated, so one flipped token doesn't rewrite what follows, and texts that differ everywhere may differ
    in a few tokens. Logarithms are natural; p is the baseline, q the candidate. An empty answer gives None.

    `top1_agreement`: share of the tokens at which both find the same token most likely. `ear`: expected acceptance
    rate, the mean over tokens of the sum over the vocabulary of min(p, q) (arXiv 2605.02404, where 0.99 is called
    distribution-lossless), from below: the tokens that only one of the two has among its most likely count as 0, and
    `ear_upper`, with `detail`, is the value from above. `sure_flips`: share of those at
    which they don't, among the tokens where the baseline was sure; None where it never was. `kl_lower_bound`: of
    KL(p || q), in nats a token, weighted by tokens; `tail_mass` is the share of p that it sees as one lump, so where
    that is large the exact KL (`kind: kl`) may be much larger. With `detail`:

    `unsure_flips`, of the other tokens; `forced_divergence`, the position of the first flip, the answer's length where
    there is none; `logprob_drop`, mean log p - log q of the baseline's tokens (its exponential is the ratio of the
    perplexities); `rank`, the mean rank of these tokens in q; `delta_p`, the mean of q - p of these tokens, and
    `rms_delta_p`, its root mean square, both as llama.cpp's perplexity tool has them, within an answer.

    With `profile`, every mean also by tenths of the answer (`[decile=3]`) and by tenths of the probability that the
    baseline gave its first token (`[confidence=10]`: from 0.9 on).
    """

    kind: Literal["tokens"] = "tokens"
    sure: float = Field(default=1.0, gt=0)
    """Nats between the baseline's first and second token from which on it counts as sure; 1 is a factor of 2.7."""
    detail: bool = False
    """Whether the columns come that the table of a comparison has no room for."""
    profile: bool = False
    """Whether the columns by position and by confidence come."""

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({"forced"})

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        values = [token_values(*pair.forced) if pair.forced else None for pair in pairs]
        numbers = self._numbers(values)
        columns = [number.column() for number in numbers]
        if self.detail:
            columns += [_divergence(values), _rms(values)]
        if self.profile:
            columns += profiles(numbers, [v.confidence if v else None for v in values])
        return columns

    def _numbers(self, values: PairValues) -> list[TokenNumber]:
        def each(of: Callable[[TokenValues], Numbers]) -> list[Numbers | None]:
            return [None if one is None else of(one) for one in values]

        def flips(one: TokenValues, *, sure: bool) -> Numbers:
            return np.where((one.gap >= self.sure) == sure, ~one.agree, np.nan)

        numbers = [
            TokenNumber("top1_agreement", each(lambda v: v.agree)),
            TokenNumber("ear", each(lambda v: v.ear)),
            TokenNumber("sure_flips", each(partial(flips, sure=True)), "lower"),
            TokenNumber("kl_lower_bound", each(lambda v: v.kl_lower_bound), "lower", weighted=True, bounds=None),
            TokenNumber("tail_mass", each(lambda v: v.tail_mass), "neither", weighted=True),
        ]
        if self.detail:
            numbers += [
                TokenNumber("ear_upper", each(lambda v: v.ear_upper)),
                TokenNumber("unsure_flips", each(partial(flips, sure=False)), "lower"),
                TokenNumber("logprob_drop", each(lambda v: v.drop), "lower", weighted=True, bounds=None),
                TokenNumber("rank", each(lambda v: v.rank), "neither", weighted=True, bounds=None),
                TokenNumber("delta_p", each(lambda v: v.delta_p), "neither", weighted=True, bounds=(-1.0, 1.0)),
            ]
        return numbers


def _divergence(values: PairValues) -> Column:
    places: list[float | Side] = [
        "candidate" if v is None else _first(~v.agree) if len(v.agree) else "pair" for v in values
    ]
    return Column.of("forced_divergence", places, better="neither", summary="median", bounds=None)


def _first(flips: Numbers) -> float:
    return float(flips.argmax() if flips.any() else len(flips))


def _rms(values: PairValues) -> Column:
    squares = TokenNumber("rms_delta_p", [None if v is None else v.delta_p**2 for v in values], "lower").column()
    return replace(squares, values=tuple(None if square is None else math.sqrt(square) for square in squares.values))
