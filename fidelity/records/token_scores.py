"""Token scores: how likely a model finds the tokens of an answer."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

ModelDtype = Literal["bfloat16", "float16", "float32"]
STORED_AS: dict[ModelDtype, str] = {"bfloat16": "<u2", "float16": "<f2", "float32": "<f4"}
"""Numpy's types for a model's numbers; those of bfloat16, which numpy lacks, are stored as their bits."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A model's head: hidden states times its matrix, rounded to its dtype, soft-capped and scaled, are logits."""

    name: str
    """Hash of its content."""
    matrix: NDArray[Any]
    """(width, vocabulary), as in `STORED_AS`."""
    dtype: ModelDtype
    soft_cap: float | None = None
    """Logits become soft_cap * tanh(logits / soft_cap)."""
    scale: float = 1.0
    """A factor of the logits, applied last."""


@dataclass(frozen=True, slots=True, eq=False)
class HiddenStates:
    """What a model's head reads at n tokens. With the head, it is the whole distribution of each token."""

    values: NDArray[Any]
    """(n, width), as in `STORED_AS`."""
    dtype: ModelDtype
    head: Head | None = None
    """None if the values are logits."""


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
    hidden: HiddenStates | str | None = None
    """The hidden states at these tokens; why the engine has none; None if they were not requested."""


def every_id(n: int, vocabulary: int) -> NDArray[np.int32]:
    """The `top_ids` of n tokens over the whole vocabulary, in the order of the ids; one row, seen n times."""
    return np.broadcast_to(np.arange(vocabulary, dtype=np.int32), (n, vocabulary))
