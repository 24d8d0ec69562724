"""An encoder without a model: words are its tokens, and a text's vector is the sum of its words' random directions."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fidelity.encoders.base import Inference, TokenVectors


class FakeEncoder:
    """Reads `max_tokens` words and cuts off the rest. Words of Thai letters are outside its vocabulary."""

    name = "fake"
    revision = "0"

    def __init__(self, max_tokens: int = 8) -> None:
        self.max_tokens = max_tokens
        self.embedded: list[str] = []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.embedded += texts
        rows = [sum((direction(word) for word in text.split()[: self.max_tokens]), np.zeros(16)) for text in texts]
        return np.array([row / (np.linalg.norm(row) or 1.0) for row in rows], np.float32).reshape(-1, 16)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def token_vectors(self, texts: Sequence[str], *, layer: int, overlap: int) -> list[TokenVectors]:
        self.embedded += texts
        return [
            TokenVectors(
                np.array([direction(token) for token in ["[CLS]", *text.split(), "[SEP]"]], np.float32),
                np.array([False, *(True for _ in text.split()), False]),
                unknown,
            )
            for text, unknown in zip(texts, self.unknown_share(texts), strict=True)
        ]

    def infer(self, sentences: Sequence[tuple[str, str]]) -> list[Inference]:
        """Surely a contradiction where one of the two has a "not" more; neutral where the second has a "maybe"."""
        self.embedded += [hypothesis for _, hypothesis in sentences]
        return [
            Inference(float(premise.split().count("not") != other.split().count("not")), float("maybe" in other))
            for premise, other in sentences
        ]

    def unknown_share(self, texts: Sequence[str]) -> list[float]:
        return [
            sum("\u0e00" <= c <= "\u0e7f" for c in text) / max(1, sum(not c.isspace() for c in text)) for text in texts
        ]


def direction(word: str) -> NDArray[np.float64]:
    seed = int.from_bytes(hashlib.sha256(word.encode("utf-8", "surrogatepass")).digest()[:4], "big")
    row = np.random.default_rng(seed).standard_normal(16)
    return np.asarray(row / np.linalg.norm(row))
