"""Facts: whether the numbers, dates, units and URLs of the baseline are still there. Embeddings are blind to them."""

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar, Literal

from fidelity.metrics.base import Metric
from fidelity.records import Column, Pair, Side
from fidelity.text.function_words import listed_languages
from fidelity.text.quantities import quantities
from fidelity.text.remembered import remembered
from fidelity.text.spelled import LEAST


class Facts(Metric):
    """`facts_kept`: share of the baseline's numbers, dates, times and URLs that are in the candidate, each as often.

    In [0, 1], 1 = all kept; what the candidate adds doesn't count, so it isn't symmetric. None where the baseline has
    none. Compared by value as `fidelity.text.quantities` reads them, which `conflict_number` uses too: `1,000` =
    `1000`, `3.0` = `3`, `٣` = `3`, `5 km` = `5km` = `5 kilometers`, `5 pm` = `17:00`, `March 5, 2024` = `5. März 2024`
    = `2024-03-05`, `25` = `twenty-five`. A number carries its sign, its relation (`at least 5`), its currency and its
    unit, so `5 miles` does not match `5 km`, nor `50 ng` match `50 mcg`. The baseline's numbers in words count from
    four on ("one of them" is no number). The numbers of list items (`1.` at the start of a line) and digits inside
    words (`w4a16`) aren't facts.
    """

    kind: Literal["facts"] = "facts"
    packages: ClassVar[tuple[str, ...]] = ("regex", "babel", "text2num")
    revision: ClassVar[int] = 4

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        return [Column.of("facts_kept", [_retention(p.baseline.text, p.candidate.text) for p in pairs])]


def facts(text: str, language: str | None = None, *, least_spelled: int = LEAST) -> list[str]:
    """The facts of a text in normal form, in their order: `-3`, `5 kilometer`, `2024-03-05`, `12:30`, a URL."""
    return [quantity.normal for quantity in quantities(text, language, least_spelled=least_spelled)]


def _retention(baseline: str, candidate: str) -> float | Side:
    language, other = listed_languages(baseline, candidate)
    expected = _counts(baseline, language)
    if not expected:
        return "pair"
    present = _counts(candidate, other) | _counts(candidate, other, least_spelled=0)
    return (expected & present).total() / expected.total()


@remembered
def _counts(text: str, language: str | None, *, least_spelled: int = LEAST) -> Counter[str]:
    return Counter(facts(text, language, least_spelled=least_spelled))
