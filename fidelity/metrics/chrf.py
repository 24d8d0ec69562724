"""chrF: F-score of the characters' n-grams, the field's measure for languages where words are a poor unit."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from fidelity.metrics.base import Metric
from fidelity.records import Column, Pair

CHARACTER_ORDER = 6
WORD_ORDER = 2


class Chrf(Metric):
    """chrF (Popović 2015) and chrF++ (2017), sentence by sentence, as sacrebleu computes them, divided by 100.

    `chrf` is over n-grams of 1 to 6 characters without white space; `chrf++` adds words and word pairs. In [0, 1],
    1 = identical. Recall (of the baseline, its reference) counts twice as much as precision, so that both are not
    symmetric. Case-sensitive. Two texts without a character give 1, one without gives 0.
    """

    kind: Literal["chrf"] = "chrf"

    packages: ClassVar[tuple[str, ...]] = ("sacrebleu",)

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        self.require_packages()
        from sacrebleu.metrics.chrf import CHRF

        plain, plus = CHRF(), CHRF(word_order=WORD_ORDER)

        def both(pair: Pair) -> tuple[float, float]:
            baseline, candidate = pair.baseline.text, pair.candidate.text
            if not baseline.strip() and not candidate.strip():
                return 1.0, 1.0
            # sacrebleu's two steps of sentence_score, so that the n-grams of characters are counted once for both.
            (counts,) = plus._extract_corpus_statistics([candidate], [[baseline]])
            without_words = counts[: 3 * CHARACTER_ORDER]
            return (
                plain._compute_score_from_stats(without_words).score / 100,
                plus._compute_score_from_stats(counts).score / 100,
            )

        scored = [both(pair) for pair in pairs]
        return [
            Column("chrf", tuple(chrf for chrf, _ in scored)),
            Column("chrf++", tuple(plus for _, plus in scored)),
        ]
