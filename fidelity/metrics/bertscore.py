"""BERTScore: how well the tokens of two texts match, by the cosine of their contextual vectors."""

import random
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from fidelity.encoders.base import TokenVectors
from fidelity.errors import FidelityError
from fidelity.metrics.base import EncoderMetric
from fidelity.metrics.vectors import UNREADABLE, best_matches, harmonic_mean, within_unit
from fidelity.records import Column, Pair, Side

WINDOW = 120_000
"""Characters to hold in memory as token vectors: 30,000 tokens of English, 120 MiB with roberta-large."""

LAYERS = {
    "roberta-large": 17,
    "roberta-base": 10,
    "roberta-large-mnli": 19,
    "distilroberta-base": 5,
    "bert-base-uncased": 9,
    "bert-large-uncased": 18,
    "bert-base-multilingual-cased": 9,
    "bert-base-chinese": 8,
    "distilbert-base-uncased": 5,
    "distilbert-base-multilingual-cased": 5,
    "albert-base-v2": 9,
    "albert-xxlarge-v2": 8,
    "xlm-roberta-base": 9,
    "xlm-roberta-large": 17,
    "bart-large": 10,
    "bart-large-mnli": 11,
    "deberta-base": 9,
    "deberta-large": 16,
    "deberta-large-mnli": 18,
    "deberta-xlarge": 18,
    "deberta-xlarge-mnli": 40,
    "deberta-v3-base": 9,
    "deberta-v3-large": 12,
    "mdeberta-v3-base": 10,
    "mpnet-base": 8,
    "longformer-base-4096": 7,
    "longformer-large-4096": 14,
}
"""The layer that the bert-score package uses, tuned on WMT16 judgments, by model name without the owner."""


class BertScores(NamedTuple):
    precision: float
    recall: float
    f1: float


IDENTICAL = BertScores(1.0, 1.0, 1.0)
NOTHING_SHARED = BertScores(0.0, 0.0, 0.0)

Constant = Annotated[float, Field(ge=-1, lt=1)]


class BertScore(EncoderMetric):
    """BERTScore (Zhang et al. 2020) without idf: precision over the candidate's tokens, recall over the baseline's, F1.

    Each token counts with its highest cosine among the other text's tokens. In [0, 1], 1 = identical; identical texts
    give exactly 1, two empty ones too, one empty gives 0. Negative numbers, which rescaling can give and the bert-score
    package reports, are 0 here. On texts within the encoder's limit it equals that package's number. A longer text is
    read as a whole, in overlapping windows. None if the encoder can't read a text: more than half of its characters are
    outside its vocabulary. Without rescaling most values are between 0.85 and 0.95 with roberta-large.
    """

    kind: Literal["bertscore"] = "bertscore"
    encoder: str = "FacebookAI/roberta-large"
    layer: int = Field(default=17, ge=0)
    """The number of encoder layers to use. Default: as the bert-score package does for that encoder."""
    overlap: int = Field(default=128, ge=0)
    """Tokens that adjacent windows of a long text share; each is read in the window with more context around it."""
    rescale: tuple[Constant, Constant, Constant] | Literal["fit"] | None = None
    """What unrelated texts score in precision, recall and F1: a score s becomes (s - constant) / (1 - constant), which
    is 0 for them. "fit" measures the three on shuffled baselines first."""

    @model_validator(mode="before")
    @classmethod
    def _layer_of_the_encoder(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "layer" in data or "encoder" not in data:
            return data
        name = str(data["encoder"]).rpartition("/")[2]
        if name not in LAYERS:
            message = f"set 'layer', the layer of {name} to use; two thirds of its depth is common"
            raise PydanticCustomError("layer", "{message}", {"message": message})
        return {**data, "layer": LAYERS[name]}

    def fit(self, pairs: Iterable[Pair]) -> Self:
        """With `rescale: fit`, a copy with the constants: the mean scores of up to 200 shuffled baselines.

        Each baseline is scored against the next in a fixed shuffled order, so the constants depend on the baseline's
        run alone. They are rounded to six digits, since they enter the signature.
        """
        if self.rescale != "fit":
            return self
        texts = sorted({pair.baseline.text for pair in pairs if pair.baseline.text.strip()})
        random.Random(0).shuffle(texts)
        texts = texts[:200]
        raw = self.model_copy(update={"rescale": None})
        scored = raw._scores(list(zip(texts, texts[1:] + texts[:1], strict=True)))
        scores = [score for score in scored if isinstance(score, BertScores) and score.f1 < 1]
        if not scores:
            raise FidelityError("bertscore: rescale: fit needs two different baseline texts; set the constants instead")
        constants = tuple(round(float(np.mean(values)), 6) for values in zip(*scores, strict=True))
        return self.model_copy(update={"rescale": constants})

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        """See `Metric.score`. Give all candidates' pairs in one call: each distinct text is then encoded once."""
        if self.rescale == "fit" and pairs:
            raise FidelityError("bertscore: rescale: fit must be fitted before scoring")
        scores = self._scores([(p.baseline.text, p.candidate.text) for p in pairs]) if pairs else []
        rescaled = [self._rescaled(score) for score in scores]
        return [
            Column.of("bertscore", [s.f1 if isinstance(s, BertScores) else s for s in rescaled]),
            Column.of("bertscore_precision", [s.precision if isinstance(s, BertScores) else s for s in rescaled]),
            Column.of("bertscore_recall", [s.recall if isinstance(s, BertScores) else s for s in rescaled]),
        ]

    def _rescaled(self, score: BertScores | Side) -> BertScores | Side:
        if not isinstance(self.rescale, tuple) or not isinstance(score, BertScores):
            return score
        return BertScores(*(max(0.0, (s - c) / (1 - c)) for s, c in zip(score, self.rescale, strict=True)))

    def _scores(self, both: Sequence[tuple[str, str]]) -> list[BertScores | Side]:
        scores: dict[tuple[str, str], BertScores | Side] = {(a, b): IDENTICAL for a, b in both if a == b}
        for portion in _portions({(a, b) for a, b in both if a != b}):
            texts = sorted(set(chain.from_iterable(portion)))
            vectors = self.bound.token_vectors(texts, layer=self.layer, overlap=self.overlap)
            tokens = dict(zip(texts, vectors, strict=True))
            scores |= {(a, b): _score(tokens[a], tokens[b]) for a, b in portion}
        return [scores[pair] for pair in both]


def _portions(both: set[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """The pairs in batches that fit in memory."""
    portion: list[tuple[str, str]] = []
    texts: set[str] = set()
    size = 0
    for pair in _neighbours_first(both):
        size += sum(len(text) for text in {*pair} - texts)
        texts |= {*pair}
        portion.append(pair)
        if size >= WINDOW:
            yield portion
            portion, texts, size = [], set(), 0
    if portion:
        yield portion


def _neighbours_first(both: set[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Order the pairs so that pairs with a common text are close together and vectors are reused.

    A baseline is in pairs with the candidates, and for the chance level each candidate with another prompt's baseline.
    """
    pairs_of: dict[str, list[tuple[str, str]]] = {}
    for pair in sorted(both):
        for text in pair:
            pairs_of.setdefault(text, []).append(pair)
    done: set[tuple[str, str]] = set()
    for start, _ in sorted(both):
        waiting = deque([start])
        while waiting:
            new = [pair for pair in pairs_of.pop(waiting.popleft(), ()) if pair not in done]
            yield from new
            done.update(new)
            waiting.extend(chain.from_iterable(new))


def _score(baseline: TokenVectors, candidate: TokenVectors) -> BertScores | Side:
    if max(baseline.unknown, candidate.unknown) > UNREADABLE:
        return "baseline" if baseline.unknown > UNREADABLE else "candidate"
    if not (baseline.counted.any() and candidate.counted.any()):
        return NOTHING_SHARED if baseline.counted.any() or candidate.counted.any() else IDENTICAL
    best_of_baseline, best_of_candidate = best_matches(baseline.vectors, candidate.vectors)
    recall = within_unit(best_of_baseline[baseline.counted].mean(dtype=np.float64))
    precision = within_unit(best_of_candidate[candidate.counted].mean(dtype=np.float64))
    return BertScores(precision, recall, harmonic_mean(precision, recall))
