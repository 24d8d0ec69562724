"""Thinking: what a reasoning model thinks before it answers, compared apart from the answers."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal

from fidelity.metrics.base import Metric
from fidelity.metrics.length import Length
from fidelity.metrics.rouge import Rouge
from fidelity.records import Column, Generation, Pair, Side

NAMES = {
    "rougeL": "thinking.rougeL",
    "length_ratio_chars": "thinking.length_ratio",
    "length_similarity_chars": "thinking.length_similarity",
}


class Thinking(Metric):
    """The thinking of both sides, in words and in length, and whether it comes to an answer.

    - `thinking.rougeL`: as `rouge`, of the thinking.
    - `thinking.length_ratio`: characters of the candidate's thinking / of the baseline's, over all pairs together;
      above 1 the candidate thinks longer. `thinking.length_similarity`, shorter / longer, is its gateable form.
    - `break_unanswered`: 1 where the candidate thought and never came to an answer, and the baseline did; `breaks:
      {unanswered: 0.01}` gates it.

    Characters, since token ids are of thinking and answer together; `length_ratio` has both in tokens. Where only one
    side thought the similarities are 0, where neither did they are None. All other metrics of texts see the answers.
    """

    kind: Literal["thinking"] = "thinking"

    revision: ClassVar[int] = 2

    @property
    def packages(self) -> tuple[str, ...]:
        return Rouge().packages

    def inapplicable(self, pairs: Sequence[Pair]) -> str | None:
        return None if any(map(_thought, pairs)) else "nobody thought before the answer, as far as the texts show"

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        thought = [place for place, pair in enumerate(pairs) if _thought(pair)]
        apart = [replace(p, baseline=_thinking(p.baseline), candidate=_thinking(p.candidate)) for p in pairs]
        only = [apart[place] for place in thought]
        columns = [
            _spread(column, thought, len(pairs))
            for metric in (Rouge(lsum=False), Length(unit="characters"))
            for column in metric.score(only)
            if column.name in NAMES
        ]
        unanswered = tuple(float(_unanswered(pair)) for pair in pairs)
        return [*columns, Column("break_unanswered", unanswered, better="lower")]


def _thought(pair: Pair) -> bool:
    return bool(pair.baseline.reasoning or pair.candidate.reasoning)


def _thinking(generation: Generation) -> Generation:
    return replace(generation, text=generation.reasoning or "")


def _unanswered(pair: Pair) -> bool:
    return bool(pair.candidate.reasoning and not pair.candidate.text.strip() and pair.baseline.text.strip())


def _spread(column: Column, places: Sequence[int], count: int) -> Column:
    """The column over all pairs, with the values at their places and None at the others."""
    scores: list[float | Side] = ["pair"] * count
    weights: list[float | None] = [None] * count
    for number, place in enumerate(places):
        value, side = column.values[number], column.sides[number] if column.sides else None
        scores[place] = value if value is not None else side or "pair"
        weights[place] = column.weights[number] if column.weights else None
    weighted = tuple(weights) if column.weights is not None else None
    return Column.of(NAMES[column.name], scores, weights=weighted, better=column.better, bounds=column.bounds)
