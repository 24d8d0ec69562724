"""NLI: whether the candidate says the opposite of what the baseline says, which embeddings hardly see."""

from collections.abc import Sequence
from typing import Literal

from rapidfuzz import fuzz, process

from fidelity.metrics.base import EncoderMetric
from fidelity.records import Column, Pair, Side
from fidelity.text.chunks import split_sentences

NEIGHBOURS = 100
"""Baseline sentences, around the same relative position, among which a candidate sentence finds its counterpart."""


class Nli(EncoderMetric):
    """Probability that the candidate contradicts the baseline, sentence by sentence (column `contradiction`).

    Each sentence of the candidate is held against the baseline's sentence that is most like it in words (rapidfuzz's
    token_sort_ratio, the nearer position where that is equal); a natural language inference model, the `encoder`, gives
    the probability that it contradicts that sentence. The value is the mean over the candidate's sentences, weighted by
    characters, in [0, 1], lower is better; 0 for identical texts, whatever the model. None where one text is empty. A
    sentence pair beyond what the model reads is cut off. Off unless asked for: one model call per changed sentence.
    """

    kind: Literal["nli"] = "nli"
    encoder: str
    """A sequence classification model with a label "contradiction"."""

    @property
    def packages(self) -> tuple[str, ...]:
        return (*super().packages, "rapidfuzz")

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        both = [(_sentences(p.baseline.text), _sentences(p.candidate.text)) for p in pairs]
        counterparts = [list(zip(_counterparts(*sides), sides[1], strict=True)) for sides in both]
        asked = list(dict.fromkeys(pair for pairs in counterparts for pair in pairs if pair[0] != pair[1]))
        probability = dict(zip(asked, self.bound.contradictions(asked) if asked else [], strict=True))
        values: list[float | Side] = [
            _mean(found, probability) if bool(baseline) == bool(candidate) else "candidate" if baseline else "baseline"
            for (baseline, candidate), found in zip(both, counterparts, strict=True)
        ]
        return [Column.of("contradiction", values, better="lower")]


def _sentences(text: str) -> list[str]:
    return [sentence for piece in split_sentences(text) if (sentence := piece.strip())]


def _counterparts(baseline: Sequence[str], candidate: Sequence[str]) -> list[str]:
    """For each candidate sentence the baseline's that is most like it; itself where the baseline has it too."""
    if not baseline:
        return list(candidate)
    there = set(baseline)
    return [s if s in there else _most_alike(s, i / len(candidate), baseline) for i, s in enumerate(candidate)]


def _most_alike(sentence: str, position: float, baseline: Sequence[str]) -> str:
    middle = round(position * len(baseline))
    start = max(0, min(middle - NEIGHBOURS // 2, len(baseline) - NEIGHBOURS))
    near = sorted(range(start, min(start + NEIGHBOURS, len(baseline))), key=lambda i: (abs(i - middle), i))
    choices = [baseline[i] for i in near]
    return process.extractOne(sentence, choices, scorer=fuzz.token_sort_ratio)[0]


def _mean(found: Sequence[tuple[str, str]], probability: dict[tuple[str, str], float]) -> float:
    written = sum(len(sentence) for _, sentence in found)
    return sum(len(pair[1]) * probability.get(pair, 0.0) for pair in found) / written if written else 0.0
