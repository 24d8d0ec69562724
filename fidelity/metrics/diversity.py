"""Diversity: how different a run's answers to one prompt are, in candidate and baseline."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations
from statistics import fmean
from typing import ClassVar, Literal

from fidelity.metrics.base import Metric
from fidelity.metrics.edit import numbered, similarity
from fidelity.records import Column, Generation, Pair, Side

Texts = tuple[str, ...]


class Diversity(Metric):
    """The mean distance between two of a run's answers to one prompt: 1 - edit similarity of their words (`edit`).

    Needs several repeats (a temperature above 0). In [0, 1]; 0 if all answers of a run are equal.

    - `diversity`: the candidate's diversity; descriptive.
    - `diversity_similarity`: 1 - |baseline's - candidate's|: symmetric, 1 if both are equally diverse.
    - `diversity_loss`: baseline's - candidate's, in [-1, 1], lower is better: positive where the candidate is less
      diverse. What chance does to a prompt cancels out in its mean, so a margin on it takes far fewer prompts.

    These are numbers of a prompt, equal for all of its pairs: each pair includes the answers of both runs in the
    prompt's other pairs, so its value doesn't depend on which pairs are scored together. None with fewer than two.
    """

    kind: Literal["diversity"] = "diversity"

    packages: ClassVar[tuple[str, ...]] = ("rapidfuzz", "regex")
    revision: ClassVar[int] = 2

    def inapplicable(self, pairs: Sequence[Pair]) -> str | None:
        several = any(len(pair.candidates) > 1 for pair in pairs)
        return None if several else "there is only one answer to each prompt (see sampling: repeats)"

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        distance = lru_cache(maxsize=64)(_mean_distance)  # all pairs of a prompt need the same number
        sides = [(distance(_texts(pair.baselines)), distance(_texts(pair.candidates))) for pair in pairs]
        differences = [_difference(*own) for own in sides]
        return [
            Column.of("diversity", ["candidate" if own is None else own for _, own in sides], better="neither"),
            Column.of("diversity_similarity", [d if isinstance(d, str) else 1 - abs(d) for d in differences]),
            Column.of(
                "diversity_loss",
                differences,
                better="lower",
                bounds=(-1.0, 1.0),
            ),
        ]


def _difference(baseline: float | None, candidate: float | None) -> float | Side:
    if baseline is None:
        return "baseline" if candidate is not None else "pair"
    return "candidate" if candidate is None else baseline - candidate


def _texts(generations: Sequence[Generation]) -> Texts:
    return tuple(sorted(generation.text for generation in generations))


def _mean_distance(texts: Texts) -> float | None:
    if len(texts) < 2:
        return None
    alike = [similarity(*numbered(one, other)) if one != other else 1.0 for one, other in combinations(texts, 2)]
    scored = [value for value in alike if not isinstance(value, str)]
    return fmean(1 - value for value in scored) if len(scored) == len(alike) else None
