"""NLI: a model's second opinion on what changed: whether sentences contradict their counterparts."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from fidelity.encoders.base import Inference
from fidelity.metrics.base import EncoderMetric
from fidelity.records import Column, Pair, Side
from fidelity.text.alignment import align
from fidelity.text.segments import segments

SentencePair = tuple[str, str]
SURE = Inference(0.0, 0.0)
"""Of a sentence that is its own counterpart."""


class Nli(EncoderMetric):
    """Probability that the candidate's sentences contradict their counterparts (`contradiction`), or add to them.

    Sentences are aligned as for `conflicts`; a natural language inference model, the `encoder`, judges each of the
    candidate's that is aligned and differs, given its counterpart. `contradiction` and `neutral` (it neither follows
    from it nor contradicts it) are means over the candidate's aligned sentences, weighted by characters, in [0, 1],
    lower is better; 0 for identical texts, whatever the model. What has no counterpart doesn't count (`conflicts` has
    it as `omitted` and `added`). Unscored where nothing is aligned, by the candidate's doing if it is empty. A sentence
    pair beyond what the model reads is cut off. Off unless asked for: one model call per changed sentence.
    """

    kind: Literal["nli"] = "nli"
    encoder: str
    """A sequence classification model with a label "contradiction"."""

    packages: ClassVar[tuple[str, ...]] = (*EncoderMetric.packages, "rapidfuzz", "markdown-it-py")

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        aligned = [_aligned(pair.baseline.text, pair.candidate.text) for pair in pairs]
        changed = list(
            dict.fromkeys(p for sentences in aligned if isinstance(sentences, list) for p in sentences if p[0] != p[1])
        )
        inferred = dict(zip(changed, self.bound.infer(changed) if changed else [], strict=True))
        return [
            Column.of(name, [_mean(sentences, inferred, place) for sentences in aligned], better="lower")
            for place, name in enumerate(Inference._fields)
        ]


def _aligned(baseline: str, candidate: str) -> list[SentencePair] | Side:
    """Each aligned sentence of the candidate after its counterpart; whose doing it is that there is none."""
    if baseline == candidate:
        return []
    left, right = ([sentence.text for sentence in segments(text).sentences] for text in (baseline, candidate))
    matches = align(left, right)
    if not matches:
        return [] if not (left or right) else "candidate" if left and not right else "baseline"
    return [(" ".join(left[i] for i in m.baseline), " ".join(right[j] for j in m.candidate)) for m in matches]


def _mean(sentences: list[SentencePair] | Side, inferred: dict[SentencePair, Inference], place: int) -> float | Side:
    if isinstance(sentences, str):
        return sentences
    written = sum(len(sentence) for _, sentence in sentences)
    return sum(len(pair[1]) * inferred.get(pair, SURE)[place] for pair in sentences) / written if written else 0.0
