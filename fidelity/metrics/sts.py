"""STS: how near two generations are in meaning, as the cosine of their sentence embeddings."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fidelity.metrics.base import Encoder, EncoderMetric
from fidelity.metrics.chunks import Chunk, chunk_texts
from fidelity.records import Column, Pair

UNREADABLE = 0.5
"""A text with more than this share of its characters outside the encoder's vocabulary can't be scored by it."""


class Sts(EncoderMetric):
    """Cosine of the two texts' embeddings (Reimers and Gurevych 2019), negative cosines clipped to 0. 1 = identical.

    Identical texts give exactly 1, two empty ones too, one empty gives 0; empty means without a single word piece. None
    where the encoder can't read a text: more than half of its characters are outside its vocabulary (all-MiniLM-L6-v2
    on Thai or most Chinese), where any two texts would look alike. Blind to negation and to numbers.
    `sts_coverage` is the share of both texts' word pieces that was read.
    """

    kind: Literal["sts"] = "sts"
    encoder: str = "sentence-transformers/all-MiniLM-L6-v2"
    chunk: bool = True
    """Read the whole text, in chunks of sentences that the encoder can hold; its embedding is the chunks' mean,
    weighted by word pieces, at unit length again. False cuts each text off at the encoder's limit, as papers do."""

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        similarities, coverages = self._score(pairs, self.bound) if pairs else ([], [])
        return [
            Column(self.named("sts"), similarities),
            Column(self.named("sts_coverage"), coverages, better="neither"),
        ]

    def _score(self, pairs: Sequence[Pair], encoder: Encoder) -> tuple[list[float | None], list[float]]:
        both = [(p.baseline.text, p.candidate.text) for p in pairs]
        texts = list(dict.fromkeys(chain.from_iterable(both)))
        chunks = chunk_texts(texts, encoder) if self.chunk else _whole(texts, encoder)
        differing = list(dict.fromkeys(chain.from_iterable((a, b) for a, b in both if a != b)))
        unknown = encoder.unknown_share(differing)
        readable = [text for text, share in zip(differing, unknown, strict=True) if share <= UNREADABLE]
        vectors = _embeddings({text: chunks[text] for text in readable}, encoder)
        similarities = [_similarity(a, b, chunks, vectors) for a, b in both]
        return similarities, [_coverage([*chunks[a], *chunks[b]], encoder.max_tokens) for a, b in both]


def _whole(texts: Sequence[str], encoder: Encoder) -> dict[str, list[Chunk]]:
    return {t: [Chunk(t, n)] if n else [] for t, n in zip(texts, encoder.count_tokens(texts), strict=True)}


def _embeddings(chunks: dict[str, list[Chunk]], encoder: Encoder) -> dict[str, NDArray[np.float64]]:
    """One unit vector per text that has a chunk; all chunks of all texts are encoded in one call."""
    rows: Iterator[NDArray[np.float32]] = iter(encoder.embed([c.text for parts in chunks.values() for c in parts]))
    vectors = {}
    for text, parts in chunks.items():
        total = sum((c.tokens * next(rows).astype(np.float64) for c in parts), np.zeros(()))
        length = float(np.linalg.norm(total))
        vectors[text] = total / length if length else total
    return vectors


def _similarity(
    a: str, b: str, chunks: dict[str, list[Chunk]], vectors: dict[str, NDArray[np.float64]]
) -> float | None:
    if a == b or not (chunks[a] or chunks[b]):
        return 1.0
    if a not in vectors or b not in vectors:
        return None
    if not (chunks[a] and chunks[b]):
        return 0.0
    return min(1.0, max(0.0, float(vectors[a] @ vectors[b])))


def _coverage(chunks: list[Chunk], max_tokens: int) -> float:
    written = sum(c.tokens for c in chunks)
    return sum(min(c.tokens, max_tokens) for c in chunks) / written if written else 1.0
