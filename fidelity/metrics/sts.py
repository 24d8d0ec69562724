"""STS: the semantic similarity of two generations, as the cosine of their sentence embeddings."""

from collections.abc import Mapping, Sequence
from itertools import accumulate, chain, pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fidelity.encoders.base import Encoder
from fidelity.metrics.base import EncoderMetric
from fidelity.metrics.profile import DECILES, decile_bounds, decile_columns
from fidelity.metrics.vectors import UNREADABLE, Vectors, best_matches, harmonic_mean, within_unit
from fidelity.records import Column, Pair, Side
from fidelity.text.chunks import Chunk, chunk_texts

Both = tuple[str, str]


class Sts(EncoderMetric):
    """Cosine of the two texts' embeddings (Reimers and Gurevych 2019), negative cosines clipped to 0. 1 = identical.

    Identical texts give exactly 1, two empty ones too, one empty gives 0; empty means without a single word piece. None
    where the encoder can't read a text: more than half of its characters are outside its vocabulary (all-MiniLM-L6-v2
    on Thai or most Chinese), where any two texts would look alike. Blind to negation and to numbers.

    `sts_match`: each chunk's highest cosine with a chunk of the other text, as the mean over the baseline's chunks
    (recall) and over the candidate's (precision), weighted by word pieces; F1 of the two. It detects a missing section
    that hardly changes the mean embedding. Texts within the encoder's limit are one chunk.
    `sts_coverage`: the share of both texts' word pieces that was read.

    With `profile`, `sts[decile=1]` to `sts[decile=10]` show how much of each tenth of the baseline's word pieces is
    anywhere in the candidate: the highest cosines of the baseline's sentences in it, weighted by word pieces. All texts
    are encoded once more, sentence by sentence. None in a tenth without a word piece.
    """

    kind: Literal["sts"] = "sts"
    encoder: str = "sentence-transformers/all-MiniLM-L6-v2"
    chunk: bool = True
    """Read the whole text, in chunks of sentences that the encoder can hold; its embedding is the chunks' mean,
    weighted by word pieces, at unit length again. False cuts each text off at the encoder's limit, as papers do."""
    profile: bool = False
    """Whether to add the ten columns along the output."""

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        both = [(p.baseline.text, p.candidate.text) for p in pairs]
        rows = _rows(both, self.bound, whole=self.chunk) if pairs else []
        columns = [Column.of("sts", [row.cosine for row in rows])]
        if self.chunk:
            columns.append(Column.of("sts_match", [row.match for row in rows]))
        columns.append(Column("sts_coverage", [row.coverage for row in rows], better="neither"))
        if self.profile:
            columns += decile_columns("sts", _profiles(both, self.bound) if pairs else [])
        return columns


class StsScores(NamedTuple):
    cosine: float | Side
    match: float | Side
    coverage: float


def _rows(both: Sequence[Both], encoder: Encoder, *, whole: bool) -> list[StsScores]:
    texts = list(dict.fromkeys(chain.from_iterable(both)))
    if whole:
        chunks = chunk_texts(texts, encoder)
    else:
        chunks = {t: [Chunk(t, n)] if n else [] for t, n in zip(texts, encoder.count_tokens(texts), strict=True)}
    vectors = _embed(_readable(both, encoder), chunks, encoder)
    return [_row(a, b, chunks, vectors, encoder.max_tokens) for a, b in both]


def _row(
    a: str, b: str, chunks: Mapping[str, list[Chunk]], vectors: Mapping[str, Vectors], max_tokens: int
) -> StsScores:
    coverage = _coverage([*chunks[a], *chunks[b]], max_tokens)
    if a == b or not (chunks[a] or chunks[b]):
        return StsScores(1.0, 1.0, coverage)
    if a not in vectors or b not in vectors:
        side: Side = "candidate" if a in vectors else "baseline"
        return StsScores(side, side, coverage)
    if not (chunks[a] and chunks[b]):
        return StsScores(0.0, 0.0, coverage)
    weights = [np.array([c.tokens for c in chunks[text]], np.float64) for text in (a, b)]
    means = [_unit(w @ vectors[text]) for w, text in zip(weights, (a, b), strict=True)]
    best = best_matches(vectors[a], vectors[b])
    recall, precision = (within_unit(np.average(x, weights=w)) for x, w in zip(best, weights, strict=True))
    return StsScores(within_unit(np.vdot(*means)), harmonic_mean(precision, recall), coverage)


def _profiles(both: Sequence[Both], encoder: Encoder) -> list[list[float | Side]]:
    """For each pair and tenth of the baseline's word pieces, the similarity of its sentences to the candidate's."""
    sentences = chunk_texts(list(dict.fromkeys(chain.from_iterable(both))), encoder, pack=False)
    vectors = _embed(_readable(both, encoder), sentences, encoder)
    return [_profile(a, b, sentences, vectors) for a, b in both]


def _profile(
    a: str, b: str, sentences: Mapping[str, list[Chunk]], vectors: Mapping[str, Vectors]
) -> list[float | Side]:
    sentences_b = {sentence.text.strip() for sentence in sentences[b]}
    if a != b and not (a in vectors and b in vectors):
        return ["candidate" if a in vectors else "baseline"] * DECILES
    nearest = best_matches(vectors[a], vectors[b])[0] if a != b else np.ones(len(sentences[a]))
    values = [
        1.0 if s.text.strip() in sentences_b else within_unit(x) for s, x in zip(sentences[a], nearest, strict=True)
    ]
    ends = list(accumulate(s.tokens for s in sentences[a]))
    row: list[float | Side] = []
    for begin, end in pairwise(decile_bounds(ends[-1] if ends else 0)):
        inside = [min(end, e) - max(begin, e - s.tokens) for e, s in zip(ends, sentences[a], strict=True)]
        weighed = [(w, v) for w, v in zip(inside, values, strict=True) if w > 0]
        row.append(sum(w * v for w, v in weighed) / sum(w for w, _ in weighed) if weighed else "pair")
    return row


def _readable(both: Sequence[Both], encoder: Encoder) -> list[str]:
    """The texts to encode: those of differing pairs that are in the encoder's vocabulary."""
    texts = list(dict.fromkeys(chain.from_iterable((a, b) for a, b in both if a != b)))
    return [text for text, share in zip(texts, encoder.unknown_share(texts), strict=True) if share <= UNREADABLE]


def _embed(texts: Sequence[str], chunks: Mapping[str, list[Chunk]], encoder: Encoder) -> dict[str, Vectors]:
    """One unit vector per chunk, by text; all texts are encoded in one call."""
    vectors = encoder.embed([chunk.text for text in texts for chunk in chunks[text]])
    ends = list(accumulate(len(chunks[text]) for text in texts))
    return {text: vectors[end - len(chunks[text]) : end] for text, end in zip(texts, ends, strict=True)}


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector


def _coverage(chunks: Sequence[Chunk], max_tokens: int) -> float:
    written = sum(c.tokens for c in chunks)
    return sum(min(c.tokens, max_tokens) for c in chunks) / written if written else 1.0
