"""Length inflation: how many more tokens the candidate generates than the baseline, which is what an answer costs."""

from collections.abc import Sequence
from typing import Literal

from fidelity.metrics.units import UnitMetric
from fidelity.records import Column, Generation, Pair, Side
from fidelity.text.units import units


class Inflation(UnitMetric):
    """`length_inflation`: mean tokens of the candidate / mean tokens of the baseline; 1.1 is 10% more to pay for.

    Each value is weighted with the baseline's tokens, so the mean is all tokens over all tokens. Lower is better; a
    margin of 0.05 accepts 5% more tokens than the control has. The baseline's own run is the only reference, since
    the mean of ratios to several runs would favor the candidate. `of: answer` and `of: thinking` are the two parts of a
    reasoning model's tokens, as `length_inflation_answer` and `length_inflation_thinking`; token ids aren't split, so
    each part gets its share of the characters. None where the baseline's part is empty. Without token ids characters
    are counted (`length_inflation_chars`).
    """

    kind: Literal["inflation"] = "inflation"
    of: Literal["all", "answer", "thinking"] = "all"
    """Which tokens are counted: all, those of the answer, or those of the thinking."""

    def inapplicable(self, pairs: Sequence[Pair]) -> str | None:
        if self.of == "all" or any(pair.baseline.reasoning for pair in pairs):
            return None
        return "no thinking was found in the baseline's texts"

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        counts = [self._counts(pair) for pair in pairs]
        ratios: list[float | Side] = []
        weights: list[float | None] = []
        for count in counts:
            scored = not isinstance(count, str) and count[0] > 0
            ratios.append(count if isinstance(count, str) else count[1] / count[0] if scored else "baseline")
            weights.append(count[0] if scored and not isinstance(count, str) else None)
        name = self.column_name("length_inflation" if self.of == "all" else f"length_inflation_{self.of}")
        return [Column.of(name, ratios, weights=tuple(weights), better="lower", bounds=None)]

    def _counts(self, pair: Pair) -> tuple[float, float] | Side:
        """The counted units of baseline and candidate, or the side that has none to count."""
        if self.unit == "characters":
            return self._characters(pair.baseline), self._characters(pair.candidate)
        sides = units(pair, self.unit)
        if isinstance(sides, str):
            return sides
        return (
            len(sides.baseline) * self._share(pair.baseline),
            len(sides.candidate) * self._share(pair.candidate),
        )

    def _characters(self, generation: Generation) -> float:
        return (len(generation.reasoning or "") + len(generation.text)) * self._share(generation)

    def _share(self, generation: Generation) -> float:
        """The share of the characters that is counted."""
        thinking, answer = len(generation.reasoning or ""), len(generation.text)
        match self.of:
            case "all":
                return 1.0
            case "answer":
                return answer / (answer + thinking) if thinking else 1.0
            case "thinking":
                return thinking / (answer + thinking) if thinking else 0.0
