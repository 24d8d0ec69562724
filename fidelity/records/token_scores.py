"""Token scores: how likely a model finds the tokens of an answer."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class TokenScores:
    """A model's log-probabilities of a given continuation (teacher forcing), one row per token.

    Log-probabilities are natural (nats), of the model's full distribution at temperature 1. n is the length of the
    continuation, or less if the model's context ends first. For the whole vocabulary, k is its size and the columns
    are in the order of the token ids.
    """

    prompt_id: str
    token_ids: NDArray[np.int32]
    """(n,), the continuation's tokens."""
    logprobs: NDArray[np.float32]
    """(n,), log-probabilities of these tokens."""
    ranks: NDArray[np.int32]
    """(n,), ranks of these tokens; 1 is the most likely."""
    top_ids: NDArray[np.int32]
    """(n, k), most likely first."""
    top_logprobs: NDArray[np.float32]
    """(n, k), log-probabilities of `top_ids`."""
    repeat: int = 0
    """The number of the baseline's repeat."""


def every_id(n: int, vocabulary: int) -> NDArray[np.int32]:
    """The `top_ids` of n tokens over the whole vocabulary, in the order of the ids; one row, seen n times."""
    return np.broadcast_to(np.arange(vocabulary, dtype=np.int32), (n, vocabulary))
