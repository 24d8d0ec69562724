"""Token metrics: both models' distributions at the baseline's tokens (teacher forcing)."""

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
    """Agreement and divergence of both models' distributions at each token of the baseline's answer.

    Nothing is generated, so one flipped token doesn't change everything after it. Logarithms are natural; p is the
    baseline, q the candidate. An empty answer gives None.

    `top1_agreement`: share of the tokens at which both models have the same most likely token; at an exact tie, the
    overlap of their most likely tokens (a tie of two against one of them counts 1/2). `ear`: lower bound of
    the expected acceptance rate, the mean over tokens of the sum over the vocabulary of min(p, q) (arXiv 2605.02404,
    where 0.99 is called distribution-lossless); tokens that only one model has among its most likely ones count as 0.
    `ear_upper`, with `detail`, is the upper bound. `sure_flips`: among the tokens where the baseline was sure, the
    share where the most likely tokens differ; None without such tokens. `kl_lower_bound`: lower bound of KL(p || q) in
    nats per token, weighted by tokens; `tail_mass` is the share of p that the bound treats as a single event, so if it
    is large the exact KL (`kind: kl`) can be much larger. With `detail`:

    `unsure_flips`, the same for the other tokens; `forced_divergence`, the position of the first flip, or the answer's
    length without one; `logprob_drop`, mean log p - log q of the baseline's tokens (its exponential is the ratio of the
    perplexities); `rank`, the mean rank of these tokens in q; `delta_p`, the mean of q - p of these tokens, and
    `rms_delta_p`, its root mean square, both as in llama.cpp's perplexity tool, within an answer.

    With `profile`, every mean also by tenths of the answer (`[decile=3]`) and by tenths of the baseline's probability
    of its first token (`[confidence=10]`: from 0.9).
    """

    kind: Literal["tokens"] = "tokens"
    sure: float = Field(default=1.0, gt=0)
    """The baseline counts as sure if the gap between its first and second token is at least this, in nats (1 is a
factor of 2.7)."""
    detail: bool = False
    """Whether to add the detailed columns."""
    profile: bool = False
    """Whether to add the columns by position and by confidence."""

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({"token_scores"})

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        values = [token_values(*pair.token_scores) if pair.token_scores else None for pair in pairs]
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
            TokenNumber("top1_agreement", each(lambda v: v.agreement)),
            TokenNumber("ear", each(lambda v: v.acceptance)),
            TokenNumber("sure_flips", each(partial(flips, sure=True)), "lower"),
            TokenNumber("kl_lower_bound", each(lambda v: v.kl_lower_bound), "lower", weighted=True, bounds=None),
            TokenNumber("tail_mass", each(lambda v: v.tail_mass), "neither", weighted=True),
        ]
        if self.detail:
            numbers += [
                TokenNumber("ear_upper", each(lambda v: v.acceptance_upper)),
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
