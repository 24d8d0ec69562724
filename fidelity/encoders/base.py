"""The protocol of text encoders for metrics."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class TokenVectors(NamedTuple):
    """The contextual vectors of a text's tokens."""

    vectors: NDArray[np.float32]
    """One row of unit length per token, special tokens included."""
    counted: NDArray[np.bool_]
    """False for special tokens, which others can match but which don't count themselves."""
    unknown: float
    """See `Encoder.unknown_share`."""


class Inference(NamedTuple):
    """The result of a natural language inference model for a sentence, given another one."""

    contradiction: float
    """The probability that it contradicts the other."""
    neutral: float
    """The probability that it neither contradicts nor follows from the other; 0 for a model without that label."""


class Encoder(Protocol):
    """A text encoder, which the pipeline opens, caches and binds to metrics."""

    @property
    def name(self) -> str: ...

    @property
    def revision(self) -> str:
        """Content hash or commit of the encoder. Its numbers depend on name and revision."""
        ...

    @property
    def max_tokens(self) -> int:
        """The maximum number of tokens that `embed` reads, without special tokens. Longer texts are cut off."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Sentence embeddings, one row per text, of unit length. Each distinct text is encoded once."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """The number of tokens of each whole text, without special tokens."""
        ...

    def unknown_share(self, texts: Sequence[str]) -> list[float]:
        """Share of each text's characters outside the vocabulary. If it is high, all texts look alike."""
        ...

    def token_vectors(self, texts: Sequence[str], *, layer: int, overlap: int) -> list[TokenVectors]:
        """Contextual vectors of each whole text. Longer texts are read in windows that share `overlap` tokens."""
        ...

    def infer(self, sentences: Sequence[tuple[str, str]]) -> list[Inference]:
        """For each (premise, hypothesis): the probabilities of contradiction and neutrality."""
        ...
