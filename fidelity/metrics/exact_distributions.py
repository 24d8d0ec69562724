"""Numbers of whole distributions, in blocks of tokens: exact KL, expected acceptance and agreement."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fidelity.errors import FidelityError
from fidelity.metrics.logits import array_library, log_softmax, logits, numbers, on_gpu
from fidelity.metrics.token_divergence import Bools, exact_acceptance, exact_kl
from fidelity.records import Floats, HiddenStates, ModelDtype, TokenScores

BLOCK_ELEMENTS = (2**23, 2**26)
"""The number of probabilities to compute at once, on a CPU and on a GPU; each takes 4 bytes, several times."""
EPSILON: dict[ModelDtype, float] = {"bfloat16": 2.0**-7, "float16": 2.0**-10, "float32": 2.0**-13}
"""A unit in the last place, relative to a logit; more in float32, where the order of a sum counts more."""
ABSOLUTE = 1e-3
"""Nats by which log-probabilities may differ in any case."""
USUAL = 0.05
"""The mean error that is allowed, as a share of the largest rounding error.

On SmolLM2-135M, logits that are not rounded at all have 0.026 of it; with INT8 or FP8 activations, 0.08 or 0.1.
"""


@dataclass(frozen=True, slots=True)
class ExactValues:
    """Numbers of n tokens, from both models' whole distributions p and q; all arrays have the shape (n,)."""

    kl: Floats
    """KL(p || q) in nats."""
    acceptance: Floats
    """The sum of min(p, q); see `token_divergence.acceptance`."""
    agree: Bools
    """Whether p and q have a most likely token in common."""
    confidence: Floats
    """The probability of the most likely token of p."""


class UnprovenError(FidelityError):
    """Hidden states and head don't reproduce the engine's own log-probabilities."""


def exact_values(baseline: TokenScores, other: TokenScores, *, ignore_below: float | None = None) -> ExactValues:
    """The numbers of one answer, at the tokens that both models have scored.

    From hidden states: logits are rounded to the model's dtype as in the engine, log-probabilities have single
    precision, and sums over the vocabulary double precision. `ignore_below` is that of `token_divergence.exact_kl`.

    Raises:
        UnprovenError: The distributions are not the engine's, or not over the same vocabulary.
    """
    n = min(len(baseline.token_ids), len(other.token_ids))
    if baseline.hidden is None and other.hidden is None:
        return _of_log_probabilities(baseline, other, n, ignore_below)
    p, q = _Distributions(baseline), _Distributions(other)
    if p.vocabulary != q.vocabulary:
        raise UnprovenError(f"the vocabularies have different sizes: {p.vocabulary:,} and {q.vocabulary:,} tokens")
    size = max(1, BLOCK_ELEMENTS[on_gpu()] // p.vocabulary)
    blocks = [slice(first, min(first + size, n)) for first in range(0, n, size)]
    limit = -np.inf if ignore_below is None else ignore_below
    columns = [_compared(p.log_probabilities(rows), q.log_probabilities(rows), limit) for rows in blocks]
    for side in (p, q):
        side.prove()
    kl, acceptance, agree, confidence = (
        np.concatenate([*own, np.zeros(0)]) for own in (zip(*columns, strict=True) if columns else [[]] * 4)
    )
    return ExactValues(kl, acceptance, agree.astype(bool), confidence)


def _of_log_probabilities(baseline: TokenScores, other: TokenScores, n: int, ignore_below: float | None) -> ExactValues:
    """Of log-probabilities of the whole vocabulary, which older versions stored."""
    p, q = (scores.top_logprobs[:n] for scores in (baseline, other))
    top_p, top_q = (side.max(axis=1, keepdims=True, initial=-np.inf) for side in (p, q))
    return ExactValues(
        kl=exact_kl(baseline, other, ignore_below=ignore_below),
        acceptance=exact_acceptance(baseline, other),
        agree=((p == top_p) & (q == top_q)).any(axis=1),
        confidence=np.asarray(np.exp(top_p[:, 0])),
    )


def _compared(p: Any, q: Any, limit: float) -> tuple[Floats, ...]:
    """KL, acceptance, agreement and confidence, from log-probabilities (n, vocabulary)."""
    library = array_library()
    terms = library.where(p > limit, library.exp(p) * (p - q), library.zeros_like(p))
    smaller = library.exp(library.minimum(p, q)).sum(axis=1, dtype=library.float64)
    top_p, top_q = (library.amax(side, axis=1, keepdims=True) for side in (p, q))
    agree = ((p == top_p) & (q == top_q)).any(axis=1)
    kl = terms.sum(axis=1, dtype=library.float64)
    return tuple(map(numbers, (kl, smaller.clip(0, 1), agree, library.exp(top_p[:, 0]))))


class _Distributions:
    """A model's distributions at the tokens of an answer, computed in blocks and compared with the engine's."""

    def __init__(self, scores: TokenScores) -> None:
        if not isinstance(scores.hidden, HiddenStates):
            raise UnprovenError(scores.hidden or f"the answer to {scores.prompt_id!r} has no hidden states")
        self._scores, self._hidden = scores, scores.hidden
        head = self._hidden.head
        self.vocabulary = (self._hidden.values if head is None else head.matrix).shape[1]
        self._epsilon = EPSILON[head.dtype if head else self._hidden.dtype]
        self._errors: list[NDArray[Any]] = []
        self._allowed: list[NDArray[Any]] = []

    def log_probabilities(self, rows: slice) -> Any:
        """Log-probabilities (rows, vocabulary) in float32, as an array of `array_library`."""
        values = logits(self._hidden, rows)
        logprobs = log_softmax(values)
        own = np.asarray(self._scores.token_ids[rows], np.int64)
        places = np.arange(len(own)), own
        sizes = np.abs(numbers(values[places])) + np.abs(numbers(array_library().amax(values, axis=1)))
        self._allowed.append(self._epsilon * sizes + ABSOLUTE)
        self._errors.append(np.abs(numbers(logprobs[places]) - self._scores.logprobs[rows]))
        return logprobs

    def prove(self) -> None:
        """Check that the log-probabilities of the answer's tokens are the engine's, up to the dtype's rounding.

        Raises:
            UnprovenError: They are not.
        """
        if not self._errors:
            return
        errors, allowed = np.concatenate(self._errors), np.concatenate(self._allowed)
        if (errors <= allowed).all() and errors.mean() <= USUAL * allowed.mean():
            return
        raise UnprovenError(
            f"hidden states and head don't reproduce the engine's log-probabilities of the answer to "
            f"{self._scores.prompt_id!r}: they differ by {errors.mean():.2g} nats on average and {errors.max():.2g} at "
            f"most; rounding explains {USUAL * allowed.mean():.2g} and {allowed.max():.2g}"
        )
