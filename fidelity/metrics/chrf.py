"""chrF: F-score of character n-grams, for languages where words are a poor unit."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import count
from typing import ClassVar, Literal

import numpy as np

from fidelity.metrics.base import Metric
from fidelity.records import Column, Pair
from fidelity.text.ngrams import Ints, shared_ngrams

CHARACTER_ORDER = 6
WORD_ORDER = 2


class Chrf(Metric):
    """chrF (Popović 2015) and chrF++ (2017), sentence by sentence, as sacrebleu computes them, divided by 100.

    `chrf` is over n-grams of 1 to 6 characters without white space; `chrf++` adds words and word pairs. In [0, 1],
    1 = identical. Recall (of the baseline, its reference) counts twice as much as precision, so both are not
    symmetric. Case-sensitive. Two texts without a character give 1, one without gives 0.
    """

    kind: Literal["chrf"] = "chrf"

    packages: ClassVar[tuple[str, ...]] = ("sacrebleu",)

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        if not pairs:
            return [Column("chrf", ()), Column("chrf++", ())]
        self.require_packages()
        from sacrebleu.metrics.chrf import CHRF

        plain, plus = CHRF(), CHRF(word_order=WORD_ORDER)
        sides = [(pair.baseline.text, pair.candidate.text) for pair in pairs]
        characters = _statistics([(_code_points(a), _code_points(b)) for a, b in sides], CHARACTER_ORDER)
        split = plus._remove_punctuation
        words = _statistics([_numbered(split(a), split(b)) for a, b in sides], WORD_ORDER)
        empty = [not any(counts) for counts in characters]
        chrf = [1.0 if none else plain._compute_f_score(c) / 100 for none, c in zip(empty, characters, strict=True)]
        both = [one + other for one, other in zip(characters, words, strict=True)]
        chrf_plus = [1.0 if none else plus._compute_f_score(c) / 100 for none, c in zip(empty, both, strict=True)]
        return [Column("chrf", tuple(chrf)), Column("chrf++", tuple(chrf_plus))]


def _statistics(pairs: Sequence[tuple[Ints, Ints]], order: int) -> list[list[int]]:
    """Of each pair, as sacrebleu wants it: for each n the candidate's n-grams, the baseline's, and the shared ones."""
    shared = shared_ngrams(pairs, order=order)
    lengths = np.array([(len(candidate), len(baseline)) for baseline, candidate in pairs]).reshape(-1, 2, 1)
    ngrams = np.maximum(lengths - np.arange(order), 0)
    return np.stack([*ngrams.swapaxes(0, 1), shared], axis=2).reshape(len(pairs), 3 * order).tolist()


def _code_points(text: str) -> Ints:
    """The characters other than white space, as positive numbers."""
    return np.frombuffer("".join(text.split()).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64) + 1


def _numbered(baseline: Sequence[str], candidate: Sequence[str]) -> tuple[Ints, Ints]:
    """Both sides' words as positive numbers, equal for equal words."""
    numbers = defaultdict[str, int](count(1).__next__)
    own, other = (np.array([numbers[word] for word in words], np.int64) for words in (baseline, candidate))
    return own, other
