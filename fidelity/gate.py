"""Margins to verdicts to an exit code: as faithful as the gate demands, not so, or the data can't tell."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["pass", "fail", "inconclusive"]
LineKind = Literal["margin", "tail", "break", "failed", "precondition"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a gate, judged. A precondition ("no control", "never engaged") appears only where it isn't met."""

    kind: LineKind
    name: str
    """The column (`rougeL`), or what is not met (`control`)."""
    outcome: Outcome
    reason: str
    """One sentence: the bound, the margin, and what would decide."""
    decides: bool = True
    """False where the gate has a `primary` and this line only warns."""
    value: float | None = None
    """Mean excess (margin), excess of the worst 5 % (tail) or share of prompts (break, failed)."""
    limit: float | None = None
    """The margin or the largest share that is acceptable."""
    lower: float | None = None
    upper: float | None = None
    """One-sided bounds of the value, each at the gate's confidence."""
    detectable: float | None = None
    """The smallest excess beyond the margin that this study would probably have failed."""
    prompts_needed: int | None = None
    """How many prompts would decide at the measured mean and spread; None where none would."""
    n: int = 0
    """Prompts that the line was judged on."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A candidate, judged."""

    candidate: str
    outcome: Outcome
    reason: str
    lines: tuple[Line, ...]
    confidence: float
    seed: int
    """Of the order in which the bounds read the prompts, and of the bootstrap."""


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """Any fail is 1, else any inconclusive is 2, else 0."""
    found = set(outcomes)
    return 1 if "fail" in found else 2 if "inconclusive" in found else 0
