"""Divergence of two models' distributions at the same tokens: numbers in, numbers out.

p is the baseline's distribution at a position, q the other model's; both have read the same tokens before it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fidelity.records import Floats, TokenScores

Bools = NDArray[np.bool_]
SMALLEST_TAIL = 1e-5
"""A smaller tail mass, which is a difference of float32 numbers, is mostly rounding error."""


@dataclass(frozen=True, slots=True)
class TokenValues:
    """Statistics of each of n tokens of the baseline; all arrays have the shape (n,)."""

    agree: Bools
    """Whether the most likely token of p is that of q. At an exact tie, which token is listed first is arbitrary."""
    agreement: Floats
    """The same with ties; see `agreement_with_ties`."""
    tie: Bools
    """Whether the first and second token of p are exactly equally likely."""
    gap: Floats
    """The gap between the first and second token of p, in nats."""
    confidence: Floats
    """Probability of the first token of p."""
    drop: Floats
    """log p - log q of the baseline's token, in nats; positive if the other model finds it less likely."""
    delta_p: Floats
    """q - p of that token."""
    rank: Floats
    """The rank of that token in q, from 1; NaN if unknown."""
    kl_lower_bound: Floats
    """In nats; see `kl_lower_bound`."""
    tail_mass: Floats
    """Mass of p on the tokens that the lower bound treats as a single event."""
    acceptance: Floats
    """The lower bound; see `acceptance`."""
    acceptance_upper: Floats


def token_values(baseline: TokenScores, other: TokenScores) -> TokenValues:
    """The statistics of one answer, at the tokens that both models have scored."""
    n = min(len(baseline.token_ids), len(other.token_ids))
    log_p, log_q = baseline.logprobs[:n].astype(np.float64), other.logprobs[:n].astype(np.float64)
    top = baseline.top_logprobs[:n].astype(np.float64)
    bound, tail = kl_lower_bound(baseline, other)
    lower, upper = acceptance(baseline, other)
    ranks = other.ranks[:n].astype(np.float64)
    return TokenValues(
        agree=baseline.top_ids[:n, 0] == other.top_ids[:n, 0] if n else np.zeros(0, bool),
        agreement=agreement_with_ties(baseline, other),
        tie=top[:, 0] == top[:, 1] if top.shape[1] > 1 else np.zeros(n, bool),
        gap=top[:, 0] - top[:, 1] if top.shape[1] > 1 else np.full(n, np.inf),
        confidence=np.exp(top[:, 0]) if n else np.zeros(0),
        drop=log_p - log_q,
        delta_p=np.exp(log_q) - np.exp(log_p),
        rank=np.where(ranks > 0, ranks, np.nan),
        kl_lower_bound=bound,
        tail_mass=tail,
        acceptance=lower,
        acceptance_upper=upper,
    )


def agreement_with_ties(baseline: TokenScores, other: TokenScores) -> Floats:
    """The overlap of both models' most likely tokens at each position, in [0, 1], with shape (n,).

    It is 1 where both have the same single most likely token, 0 where they differ. Where tokens are exactly equally
    likely, it is the share of tokens that both models have among their most likely ones, of those that one of them has
    (Jaccard): a tie of two against one of these counts 1/2, the same tie in both models counts 1.
    """
    n = min(len(baseline.token_ids), len(other.token_ids))
    if not n:
        return np.zeros(0)
    overlap: Floats = (baseline.top_ids[:n, 0] == other.top_ids[:n, 0]).astype(np.float64)
    first, second = (scores.top_logprobs[:n] == scores.top_logprobs[:n, :1] for scores in (baseline, other))
    (tied,) = np.nonzero((first.sum(axis=1) > 1) | (second.sum(axis=1) > 1))
    same = baseline.top_ids[tied, :, None] == other.top_ids[tied, None, :]
    shared = (same & first[tied, :, None] & second[tied, None, :]).sum(axis=(1, 2))
    overlap[tied] = shared / (first[tied].sum(axis=1) + second[tied].sum(axis=1) - shared)
    return overlap


@dataclass(frozen=True, slots=True)
class _Shared:
    """The tokens with a known probability in both models, at each of n positions, and the mass of all others."""

    log_p: Floats
    """(n, k + 1): the baseline's most likely tokens, and the answer's own unless it is among them."""
    log_q: Floats
    known: Bools
    """Which of these tokens both models have scored."""
    tail_p: Floats
    """(n,): mass of p on all other tokens."""
    tail_q: Floats


def _shared(baseline: TokenScores, other: TokenScores) -> _Shared:
    n = min(len(baseline.token_ids), len(other.token_ids))
    if not n:
        empty = np.zeros((0, 1))
        return _Shared(empty, empty, np.zeros((0, 1), bool), np.zeros(0), np.zeros(0))
    ids, log_p = baseline.top_ids[:n], baseline.top_logprobs[:n].astype(np.float64)
    same = ids[:, :, None] == other.top_ids[:n, None, :]
    known = same.any(axis=2)
    log_q = np.take_along_axis(other.top_logprobs[:n].astype(np.float64), same.argmax(axis=2), axis=1)
    has_own = ((ids == baseline.token_ids[:n, None]) & known).any(axis=1)
    known = np.column_stack([known, ~has_own])
    log_p = np.column_stack([log_p, baseline.logprobs[:n].astype(np.float64)])
    log_q = np.column_stack([log_q, other.logprobs[:n].astype(np.float64)])
    masses = (np.where(known, np.exp(logs), 0.0).sum(axis=1) for logs in (log_p, log_q))
    tail_p, tail_q = (np.clip(1.0 - mass, 0.0, 1.0) for mass in masses)
    return _Shared(log_p, log_q, known, tail_p, tail_q)


def kl_lower_bound(baseline: TokenScores, other: TokenScores) -> tuple[Floats, Floats]:
    """A lower bound of KL(p || q) in nats at each position, and the mass of p that it merges.

    Tokens with a known probability in both models (the most likely ones of both, and the answer's token) count
    separately, all others as one bucket. Merging outcomes never increases a divergence (data processing inequality),
    so the exact KL is at least as large, and can be several times larger if p is flat. A bucket with a mass of only
    rounding error is ignored, which lowers the bound further. Exact up to the rounding of float32 (1e-6).
    """
    shared = _shared(baseline, other)
    p, q = (np.where(shared.known, np.exp(logs), 0.0) for logs in (shared.log_p, shared.log_q))
    tail_p, tail_q = shared.tail_p, shared.tail_q
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * (shared.log_p - shared.log_q), 0.0) - p + q
        tail = tail_p * np.log(tail_p / tail_q) - tail_p + tail_q
    counted = (tail_p > SMALLEST_TAIL) & (tail_q > SMALLEST_TAIL)
    return terms.sum(axis=1) + np.where(counted, tail, 0.0), tail_p


def acceptance(baseline: TokenScores, other: TokenScores) -> tuple[Floats, Floats]:
    """Bounds of EAR at each position, the sum over the vocabulary of min(p, q); in [0, 1].

    It is 1 minus the total variation, and the highest probability with which two samplers can be made to draw the same
    token (expected acceptance rate; arXiv 2605.02404 calls 0.99 and above distribution-lossless).
    The lower bound counts the tokens with a known probability in both models; the upper bound adds the smaller of the
    two remaining masses.
    """
    shared = _shared(baseline, other)
    smaller = np.where(shared.known, np.exp(np.minimum(shared.log_p, shared.log_q)), 0.0)
    lower = np.clip(smaller.sum(axis=1), 0.0, 1.0)
    return lower, np.minimum(lower + np.minimum(shared.tail_p, shared.tail_q), 1.0)


def exact_kl(baseline: TokenScores, other: TokenScores, *, ignore_below: float | None = None) -> Floats:
    """KL(p || q) in nats at each position, over the whole vocabulary: the sum of p (log p - log q).

    Args:
        baseline: p, over the whole vocabulary.
        other: q, the same.
        ignore_below: Ignore tokens with a log p of at most this, as llama.cpp's perplexity tool does with -16.
            Default: all tokens count.
    """
    n = min(len(baseline.token_ids), len(other.token_ids))
    kl = np.zeros(n)
    for place in range(n):  # one position at a time: a vocabulary in double precision takes a megabyte
        log_p = baseline.top_logprobs[place].astype(np.float64)
        log_q = other.top_logprobs[place].astype(np.float64)
        counted = log_p > (-np.inf if ignore_below is None else ignore_below)
        kl[place] = np.sum(np.exp(log_p[counted]) * (log_p[counted] - log_q[counted]))
    return kl


def exact_acceptance(baseline: TokenScores, other: TokenScores) -> Floats:
    """EAR at each position over the whole vocabulary; see `acceptance`. Both in the order of the ids."""
    n = min(len(baseline.token_ids), len(other.token_ids))
    smaller = np.zeros(n)
    for place in range(n):  # one position at a time, as in `exact_kl`
        both = np.minimum(baseline.top_logprobs[place], other.top_logprobs[place]).astype(np.float64)
        smaller[place] = np.exp(both).sum()
    return np.clip(smaller, 0.0, 1.0)


def gap_change(baseline: TokenScores, other: TokenScores) -> Floats:
    """|change in nats| of the gap between the baseline's first and second token, in the other model, at each position.

    NaN if the other model hasn't scored one of the two, or the baseline only one.
    """
    n = min(len(baseline.token_ids), len(other.token_ids))
    if not n or baseline.top_ids.shape[1] < 2:
        return np.full(n, np.nan)
    same = baseline.top_ids[:n, :2, None] == other.top_ids[:n, None, :]
    other_pair = np.take_along_axis(other.top_logprobs[:n].astype(np.float64), same.argmax(axis=2), axis=1)
    other_pair[~same.any(axis=2)] = np.nan
    own_pair = baseline.top_logprobs[:n, :2].astype(np.float64)
    return np.abs((other_pair[:, 0] - other_pair[:, 1]) - (own_pair[:, 0] - own_pair[:, 1]))


def log_probability(scores: TokenScores, position: int, token: int) -> float | None:
    """A model's log-probability of a token at a position, in nats; None if unknown."""
    if scores.token_ids[position] == token:
        return float(scores.logprobs[position])
    (columns,) = np.nonzero(scores.top_ids[position] == token)
    return float(scores.top_logprobs[position, columns[0]]) if len(columns) else None
