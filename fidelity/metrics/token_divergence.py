"""Two models' scores of the same tokens, token by token: numbers in, numbers out.

p is the baseline's distribution at a position, q the other model's; both have read the same tokens before it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fidelity.records import Floats, TokenScores

Bools = NDArray[np.bool_]
SMALLEST_TAIL = 1e-5
"""Below it a tail mass, which is a difference of float32 numbers, is mostly rounding."""


@dataclass(frozen=True, slots=True)
class TokenValues:
    """What there is to say of each of n tokens of the baseline; all arrays have the shape (n,)."""

    agree: Bools
    """Whether the most likely token of p is that of q."""
    gap: Floats
    """Nats between the first and the second token of p: how sure the baseline was."""
    confidence: Floats
    """Probability of the first token of p."""
    drop: Floats
    """Nats: log p - log q of the baseline's own token; positive where the other model finds it less likely."""
    delta_p: Floats
    """q - p of that token."""
    rank: Floats
    """Of that token in q, from 1; NaN where the engine doesn't tell."""
    kl_lower_bound: Floats
    """Nats; see `kl_lower_bound`."""
    tail_mass: Floats
    """Mass of p on the tokens that the lower bound can't tell apart."""


def token_values(baseline: TokenScores, other: TokenScores) -> TokenValues:
    """Both models' scores of one answer; of the tokens that both have scored, from their most likely tokens."""
    n = min(len(baseline.token_ids), len(other.token_ids))
    ours, theirs = baseline.logprobs[:n].astype(np.float64), other.logprobs[:n].astype(np.float64)
    top = baseline.top_logprobs[:n].astype(np.float64)
    bound, tail = kl_lower_bound(baseline, other)
    ranks = other.ranks[:n].astype(np.float64)
    return TokenValues(
        agree=baseline.top_ids[:n, 0] == other.top_ids[:n, 0] if n else np.zeros(0, bool),
        gap=top[:, 0] - top[:, 1] if top.shape[1] > 1 else np.full(n, np.inf),
        confidence=np.exp(top[:, 0]) if n else np.zeros(0),
        drop=ours - theirs,
        delta_p=np.exp(theirs) - np.exp(ours),
        rank=np.where(ranks > 0, ranks, np.nan),
        kl_lower_bound=bound,
        tail_mass=tail,
    )


def kl_lower_bound(baseline: TokenScores, other: TokenScores) -> tuple[Floats, Floats]:
    """A lower bound of KL(p || q) in nats at each position, and the mass of p that it lumps together.

    Tokens whose probability both models tell (those among the most likely of both, and the answer's own) count one by
    one, all others as one bucket. Merging outcomes never raises a divergence (data processing inequality), so the exact
    KL is at least as large, and may be several times larger where p is flat. Where the bucket's mass is mere rounding
    it is left out, which lowers the bound further. Equal to what is exact up to the rounding of float32 (1e-6).
    """
    n = min(len(baseline.token_ids), len(other.token_ids))
    if not n:
        return np.zeros(0), np.zeros(0)
    ids, log_p = baseline.top_ids[:n], baseline.top_logprobs[:n].astype(np.float64)
    same = ids[:, :, None] == other.top_ids[:n, None, :]
    told = same.any(axis=2)
    log_q = np.take_along_axis(other.top_logprobs[:n].astype(np.float64), same.argmax(axis=2), axis=1)
    own_is_there = ((ids == baseline.token_ids[:n, None]) & told).any(axis=1)
    told = np.column_stack([told, ~own_is_there])
    log_p = np.column_stack([log_p, baseline.logprobs[:n].astype(np.float64)])
    log_q = np.column_stack([log_q, other.logprobs[:n].astype(np.float64)])
    p, q = (np.where(told, np.exp(logs), 0.0) for logs in (log_p, log_q))
    tail_p, tail_q = (np.clip(1.0 - mass.sum(axis=1), 0.0, 1.0) for mass in (p, q))
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.where(p > 0, p * (log_p - log_q), 0.0) - p + q
        tail = tail_p * np.log(tail_p / tail_q) - tail_p + tail_q
    seen = (tail_p > SMALLEST_TAIL) & (tail_q > SMALLEST_TAIL)
    return parts.sum(axis=1) + np.where(seen, tail, 0.0), tail_p


def exact_kl(baseline: TokenScores, other: TokenScores, *, ignore_below: float | None = None) -> Floats:
    """KL(p || q) in nats at each position, over the whole vocabulary: the sum of p (log p - log q).

    Args:
        baseline: p, over the whole vocabulary.
        other: q, the same.
        ignore_below: Leave out tokens whose log p is not above it, as llama.cpp's perplexity tool does with -16; all
            tokens count if not given.
    """
    n = min(len(baseline.token_ids), len(other.token_ids))
    found = np.zeros(n)
    for place in range(n):  # a position at a time: a vocabulary in double precision is a megabyte
        log_p = baseline.top_logprobs[place].astype(np.float64)
        log_q = other.top_logprobs[place].astype(np.float64)
        counted = log_p > (-np.inf if ignore_below is None else ignore_below)
        found[place] = np.sum(np.exp(log_p[counted]) * (log_p[counted] - log_q[counted]))
    return found


def gap_change(baseline: TokenScores, other: TokenScores) -> Floats:
    """|change in nats| of the gap between the baseline's first and second token, in the other model, at each position.

    NaN where the other model doesn't tell one of the two, or the baseline only one.
    """
    n = min(len(baseline.token_ids), len(other.token_ids))
    if not n or baseline.top_ids.shape[1] < 2:
        return np.full(n, np.nan)
    same = baseline.top_ids[:n, :2, None] == other.top_ids[:n, None, :]
    theirs = np.take_along_axis(other.top_logprobs[:n].astype(np.float64), same.argmax(axis=2), axis=1)
    theirs[~same.any(axis=2)] = np.nan
    ours = baseline.top_logprobs[:n, :2].astype(np.float64)
    return np.abs((theirs[:, 0] - theirs[:, 1]) - (ours[:, 0] - ours[:, 1]))


def log_probability(scores: TokenScores, position: int, token: int) -> float | None:
    """How likely a model finds a token at a position, in nats; None where it doesn't tell."""
    if scores.token_ids[position] == token:
        return float(scores.logprobs[position])
    (found,) = np.nonzero(scores.top_ids[position] == token)
    return float(scores.top_logprobs[position, found[0]]) if len(found) else None
