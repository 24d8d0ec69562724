"""Columns from numbers per token: a mean for each answer, and profiles by position and confidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fidelity.metrics.profile import DECILES, decile_bounds
from fidelity.records import Better, Column, Side

Numbers = NDArray[Any]


@dataclass(frozen=True, slots=True)
class TokenNumber:
    """One number per token, by answer: NaN if a token doesn't count, None for an answer without tokens."""

    name: str
    answers: Sequence[Numbers | None]
    better: Better = "higher"
    weighted: bool = False
    """Whether every token counts equally over answers; otherwise every prompt does, which a gate's bounds need."""
    bounds: tuple[float, float] | None = (0.0, 1.0)

    def column(self, *, place: str = "", among: Sequence[Numbers] | None = None) -> Column:
        """The mean over each answer's tokens, or over those in `among`, a mask for each answer.

        Unscored if no token counts, and, with the side "candidate", if a number is infinite.
        """
        means: list[float | Side] = []
        weights: list[float | None] = []
        for number, answer in enumerate(self.answers):
            chosen = np.zeros(0) if answer is None else answer[among[number]] if among else answer
            counted = chosen[~np.isnan(chosen)]
            known = len(counted) > 0 and bool(np.isfinite(counted).all())
            side: Side = "candidate" if answer is None or len(counted) else "pair"
            means.append(float(np.mean(counted)) if known else side)
            weights.append(float(len(counted)) if known else None)
        shown = tuple(weights) if self.weighted else None
        return Column.of(self.name + place, means, weights=shown, better=self.better, bounds=self.bounds)


def profiles(numbers: Sequence[TokenNumber], confidences: Sequence[Numbers | None]) -> list[Column]:
    """Each number by tenths of the answer (`[decile=1]`) and of the baseline's confidence (`[confidence=10]`).

    Args:
        numbers: The numbers of the same answers.
        confidences: The probability of the baseline's first token, at each token of each answer.
    """
    known = [np.zeros(0) if confidence is None else confidence for confidence in confidences]
    tenths = {
        "decile": [np.searchsorted(decile_bounds(len(c)), np.arange(len(c)), side="right") - 1 for c in known],
        "confidence": [np.minimum(c * DECILES, DECILES - 1).astype(int) for c in known],
    }
    return [
        number.column(place=f"[{by}={tenth + 1}]", among=[of_answer == tenth for of_answer in of_answers])
        for by, of_answers in tenths.items()
        for tenth in range(DECILES)
        for number in numbers
    ]
