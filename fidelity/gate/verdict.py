"""What a gate comes to: a line for each limit, a verdict for each candidate, an exit code for them all."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from fidelity.gate.difference import Difference

Outcome = Literal["pass", "fail", "inconclusive"]
LineKind = Literal["conflict", "margin", "tail", "break", "failed", "precondition"]
SHARES: frozenset[LineKind] = frozenset({"conflict", "break", "failed"})
"""Lines on a share of prompts."""


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
    """Mean excess (margin), excess of the worst 5 % (tail) or share of prompts (conflict, break, failed)."""
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
    coverage: float | None = None
    """Their share of all prompts; None where no column is judged."""
    n_worst: int = 0
    """Answers of the candidate that could not be scored, and count as the column's worst value."""
    asymptotic: bool = False
    """True where the bounds promise their confidence only as n grows: those of a bootstrap, and the runs' share."""
    from_prompts: float | None = None
    """Of the distance from the value to the bound on the limit's side: what the prompts account for."""
    from_runs: float | None = None
    """The same of the runs' batches; the distance is the root of the sum of both squares. None where no run's noise
    is estimated: columns of forced tokens, and shares."""

    @property
    def title(self) -> str:
        """What the line is called: `rougeL`, "worst 5 % of rougeL", "conflicting number", "newly broken json"."""
        titles = {
            "conflict": f"conflicting {self.name}" if self.name != "any" else "conflicting in any way",
            "tail": f"worst 5 % of {self.name}",
            "break": f"newly broken {self.name}",
            "failed": "failures",
        }
        return titles.get(self.kind, self.name)

    @property
    def is_share(self) -> bool:
        """Whether its value and its limit are shares of prompts."""
        return self.kind in SHARES


@dataclass(frozen=True, slots=True)
class Verdict:
    """A candidate, judged."""

    candidate: str
    outcome: Outcome
    reason: str
    lines: tuple[Line, ...]
    confidence: float
    """Of all verdicts given together."""
    seed: int
    """Of the order in which the bounds read the prompts, and of the bootstrap."""
    planned: int | None = None
    """Where generating stops once the bounds decide: the number of prompts that there can be."""
    candidates: int = 1
    """How many were judged together; each of the bounds has the confidence that all of them take."""
    differences: tuple[Difference, ...] = ()
    """Where baseline and candidate were not generated alike; what isn't declared turns a fail into inconclusive."""

    @property
    def basis(self) -> str:
        """What it takes to get the same bounds again: "confidence 0.95 over 3 candidates, seed 0"."""
        over = f" over {self.candidates} candidates" if self.candidates > 1 else ""
        return f"confidence {self.confidence:g}{over}, seed {self.seed}"


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Any fail makes the whole fail, else any inconclusive makes it inconclusive; nothing at all passes."""
    distinct = set(outcomes)
    return "fail" if "fail" in distinct else "inconclusive" if "inconclusive" in distinct else "pass"


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """Any fail is 1, else any inconclusive is 2, else 0."""
    return {"fail": 1, "inconclusive": 2, "pass": 0}[worst(outcomes)]
