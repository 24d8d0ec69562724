"""Token by token: what the candidate makes of the baseline's own tokens (teacher forcing)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fidelity.metrics.base import Metric, Need
from fidelity.metrics.profile import DECILES, decile_bounds
from fidelity.records import Better, Column, Pair
from fidelity.tokenwise import TokenValues, token_values

Numbers = NDArray[Any]
Tenths = Callable[[TokenValues], NDArray[np.int_]]


class Tokens(Metric):
    """Both models read the baseline's answer and say, at each token, what they find likely there.

    Nothing is generated, so one flipped token doesn't rewrite what follows, and texts that differ everywhere may differ
    in a few tokens. Logarithms are natural; p is the baseline, q the candidate. An empty answer gives None.

    `top1_agreement`: share of the tokens at which both find the same token most likely. `sure_flips`: share of those at
    which they don't, among the tokens where the baseline was sure; None where it never was. `kl_lower_bound`: of
    KL(p || q), in nats a token, weighted by tokens; `tail_mass` is the share of p that it sees as one lump, so where
    that is large the exact KL (`kind: kl`) may be much larger. With `detail`:

    `unsure_flips`, of the other tokens; `forced_divergence`, the position of the first flip, the answer's length where
    there is none; `logprob_drop`, mean log p - log q of the baseline's tokens (its exponential is the ratio of the
    perplexities); `rank`, the mean rank of these tokens in q; `delta_p`, the mean of q - p of these tokens, and
    `rms_delta_p`, its root mean square, both as llama.cpp's perplexity tool has them, within an answer.

    With `profile`, agreement, drop and bound also by tenths of the answer (`[decile=3]`) and by tenths of the
    probability that the baseline gave its first token (`[confidence=10]`: above 0.9).
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
        columns = [
            token_column("top1_agreement", values, _agree),
            token_column("sure_flips", values, _flip, among=lambda v: v.gap >= self.sure, better="lower"),
            token_column("kl_lower_bound", values, _bound, better="lower", weighted=True, bounds=None),
            token_column("tail_mass", values, lambda v: v.tail_mass, better="neither", weighted=True),
        ]
        if self.detail:
            columns += [
                token_column("unsure_flips", values, _flip, among=lambda v: v.gap < self.sure, better="lower"),
                _divergence(values),
                token_column("logprob_drop", values, lambda v: v.drop, better="lower", weighted=True, bounds=None),
                token_column("rank", values, lambda v: v.rank, better="neither", weighted=True, bounds=None),
                token_column(
                    "delta_p", values, lambda v: v.delta_p, better="neither", weighted=True, bounds=(-1.0, 1.0)
                ),
                _rms(token_column("rms_delta_p", values, lambda v: v.delta_p**2, better="lower")),
            ]
        return columns + (_profiles(values) if self.profile else [])


def token_column(
    name: str,
    values: Sequence[TokenValues | None],
    of: Callable[[TokenValues], Numbers],
    *,
    among: Callable[[TokenValues], NDArray[np.bool_]] | None = None,
    better: Better = "higher",
    weighted: bool = False,
    bounds: tuple[float, float] | None = (0.0, 1.0),
) -> Column:
    """The mean of a number over each answer's tokens, or `among` some of them.

    Over answers every prompt counts the same, which a gate's bounds need; with `weighted` every token does. None where
    an answer has no such token, and where a number isn't known or infinite.
    """
    means: list[float | None] = []
    weights: list[float | None] = []
    for one in values:
        numbers = np.zeros(0) if one is None else of(one)[among(one)] if among else of(one)
        known = len(numbers) > 0 and bool(np.isfinite(numbers).all())
        means.append(float(np.mean(numbers)) if known else None)
        weights.append(float(len(numbers)) if known else None)
    return Column(name, tuple(means), tuple(weights) if weighted else None, better=better, bounds=bounds)


def _agree(values: TokenValues) -> Numbers:
    return values.agree


def _flip(values: TokenValues) -> Numbers:
    return ~values.agree


def _bound(values: TokenValues) -> Numbers:
    return values.kl_lower_bound


def _drop(values: TokenValues) -> Numbers:
    return values.drop


def _rms(squares: Column) -> Column:
    return replace(squares, values=tuple(None if square is None else math.sqrt(square) for square in squares.values))


def _divergence(values: Sequence[TokenValues | None]) -> Column:
    places = [None if v is None or not len(v.agree) else _first(~v.agree) for v in values]
    return Column("forced_divergence", tuple(places), better="neither", summary="median", bounds=None)


def _first(flips: NDArray[np.bool_]) -> float:
    return float(flips.argmax() if flips.any() else len(flips))


def _profiles(values: Sequence[TokenValues | None]) -> list[Column]:
    columns = []
    for by, tenth_of in (("decile", _tenth_of_answer), ("confidence", _tenth_of_confidence)):
        for tenth in range(DECILES):

            def inside(one: TokenValues, tenth: int = tenth, tenth_of: Tenths = tenth_of) -> NDArray[np.bool_]:
                return np.equal(tenth_of(one), tenth)

            place = f"[{by}={tenth + 1}]"
            columns += [
                token_column(f"top1_agreement{place}", values, _agree, among=inside),
                token_column(
                    f"kl_lower_bound{place}", values, _bound, among=inside, better="lower", weighted=True, bounds=None
                ),
                token_column(
                    f"logprob_drop{place}", values, _drop, among=inside, better="lower", weighted=True, bounds=None
                ),
            ]
    return columns


def _tenth_of_answer(values: TokenValues) -> NDArray[np.int_]:
    """Of each token, the decile of the answer that it lies in, from 0."""
    n = len(values.agree)
    return np.searchsorted(decile_bounds(n), np.arange(n), side="right") - 1


def _tenth_of_confidence(values: TokenValues) -> NDArray[np.int_]:
    return np.minimum(values.confidence * DECILES, DECILES - 1).astype(int)
