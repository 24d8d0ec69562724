"""What a text encoder offers to the metrics that need one."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class TokenVectors(NamedTuple):
    """A text's tokens as an encoder sees them in context."""

    vectors: NDArray[np.float32]
    """One row of unit length per token, special tokens included."""
    counted: NDArray[np.bool_]
    """False for special tokens: others may match them, they don't count themselves."""
    unknown: float
    """See `Encoder.unknown_share`."""


class Inference(NamedTuple):
    """What a natural language inference model makes of a sentence, given another one."""

    contradiction: float
    """The probability that it contradicts the other."""
    neutral: float
    """The probability that it neither contradicts nor follows from the other; 0 for a model without that label."""


class Encoder(Protocol):
    """A text encoder that the pipeline opens, caches and hands to the metrics that need one."""

    @property
    def name(self) -> str: ...

    @property
    def revision(self) -> str:
        """Content hash or commit of the encoder: with the name, what its numbers depend on."""
        ...

    @property
    def max_tokens(self) -> int:
        """Tokens that `embed` reads of one text, special tokens not counted; what is longer is cut off."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Sentence embeddings, one row per text, of unit length. Each distinct text is encoded once."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has, special tokens not counted, nothing cut off."""
        ...

    def unknown_share(self, texts: Sequence[str]) -> list[float]:
        """Share of each text's characters that the vocabulary lacks: where it is high, all texts look alike."""
        ...

    def token_vectors(self, texts: Sequence[str], *, layer: int, overlap: int) -> list[TokenVectors]:
        """Contextual vectors of each whole text; longer ones are read in windows that share `overlap` tokens."""
        ...

    def infer(self, sentences: Sequence[tuple[str, str]]) -> list[Inference]:
        """For each (premise, hypothesis) whether the second contradicts the first, or has nothing to do with it."""
        ...
