"""The result of a gate: a line for each limit, a verdict for each candidate, and an exit code."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from fidelity.gate.difference import Difference

Outcome = Literal["pass", "fail", "inconclusive"]
LineKind = Literal["conflict", "margin", "tail", "break", "drop", "failed", "precondition"]
SHARES: frozenset[LineKind] = frozenset({"conflict", "break", "drop", "failed"})
"""Kinds of lines that judge a share of prompts."""


@dataclass(frozen=True, slots=True)
class Line:
    """One judged line of a gate. A precondition ("control", "quantization") only appears if it isn't met."""

    kind: LineKind
    name: str
    """The column (`rougeL`), or the unmet precondition (`control`)."""
    outcome: Outcome
    reason: str
    """One sentence: the bound, the margin, and how many prompts would decide."""
    decides: bool = True
    """False if the gate has a `primary` and this line only warns."""
    value: float | None = None
    """Mean excess (margin), excess of the worst 5% (tail) or share of prompts (conflict, break, drop, failed)."""
    limit: float | None = None
    """The acceptable margin or share."""
    lower: float | None = None
    upper: float | None = None
    """One-sided bounds of the value, each at the gate's confidence."""
    detectable: float | None = None
    """The smallest excess beyond the margin that this study would probably have detected."""
    prompts_needed: int | None = None
    """The number of prompts that would decide at the measured mean and spread; None if no number would."""
    n: int = 0
    """The number of prompts that the line was judged on."""
    coverage: float | None = None
    """Their share of all prompts; None if the line judges no column."""
    n_worst: int = 0
    """The number of the candidate's answers that could not be scored and count as worst."""
    asymptotic: bool = False
    """True if the confidence of the bounds is only asymptotic: those of a bootstrap, and the runs' share."""
    from_prompts: float | None = None
    """The prompts' share of the distance from the value to the bound on the limit's side."""
    from_runs: float | None = None
    """The share of the runs' batches; the distance is the root of the sum of both squares. None if no run's noise is
    estimated: token columns, and shares."""

    @property
    def title(self) -> str:
        """The line's title: `rougeL`, "worst 5% of rougeL", "conflicting number", "newly broken json"."""
        titles = {
            "conflict": f"conflicting {self.name}" if self.name != "any" else "conflicting in any way",
            "tail": f"worst 5% of {self.name}",
            "break": f"newly broken {self.name}",
            "drop": "dropped answers",
            "failed": "failures",
        }
        return titles.get(self.kind, self.name)

    @property
    def is_share(self) -> bool:
        """Whether its value and its limit are shares of prompts."""
        return self.kind in SHARES


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on one candidate."""

    candidate: str
    outcome: Outcome
    reason: str
    lines: tuple[Line, ...]
    confidence: float
    """The joint confidence of all verdicts given together."""
    seed: int
    """The seed of the prompts' order in the bounds and of the bootstrap."""
    planned: int | None = None
    """The total number of prompts, if generating stops when the gate can decide."""
    candidates: int = 1
    """The number of candidates judged together. Each bound has the confidence that this number requires."""
    differences: tuple[Difference, ...] = ()
    """The differences in conditions between baseline and candidate. Undeclared ones turn a fail into inconclusive."""

    @property
    def basis(self) -> str:
        """The settings that reproduce the bounds: "confidence 0.95 over 3 candidates, seed 0"."""
        over = f" over {self.candidates} candidates" if self.candidates > 1 else ""
        return f"confidence {self.confidence:g}{over}, seed {self.seed}"


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Combine outcomes: fail if any fails, else inconclusive if any is. No outcomes at all pass."""
    distinct = set(outcomes)
    return "fail" if "fail" in distinct else "inconclusive" if "inconclusive" in distinct else "pass"


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """The exit code: 1 if any fails, else 2 if any is inconclusive, else 0."""
    return {"fail": 1, "inconclusive": 2, "pass": 0}[worst(outcomes)]
