"""What a verdict rests on: columns, failures and manifests of one candidate and of the baseline's controls."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fidelity.config import Compares
from fidelity.floor import ByPrompt, excess_by_prompt, mean_over_controls
from fidelity.records import Column, PromptTokens, Sameness, SharedAnswers
from fidelity.store.manifests import RunManifest

SEED = 0
"""Of the order in which the bounds read the prompts and of the bootstrap; fixed, so that nobody can look for one."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One column, prompt by prompt: of the candidate against the baseline, and of each control against it."""

    column: Column
    """Its direction, bounds and weights; the values themselves are those below."""
    candidate: ByPrompt
    controls: tuple[ByPrompt, ...] = ()
    """Empty without a control, or where one of them could not be scored."""
    chance: float | None = None
    """The mean between answers to different prompts; None for what is no similarity, and where it wasn't scored."""

    def excess(self) -> dict[str, float | None]:
        """By prompt, positive is worse; None where either side could not be scored."""
        return excess_by_prompt(self.candidate, self.controls, self.column.better)

    def unscorable(self) -> int:
        """Prompts that every control can be scored on, where the candidate can't and no worst value stands for it."""
        floor = {} if self.column.worst is not None else self.floor()
        return sum(value is None and floor.get(prompt) is not None for prompt, value in self.candidate.items())

    def n_worst(self, prompts: Iterable[str]) -> int:
        """Of these prompts, the candidate's answers that count as the worst since they could not be scored."""
        return sum(value.n_worst for prompt in prompts if (value := self.candidate.get(prompt)))

    def floor(self) -> dict[str, float | None]:
        """By prompt: the mean over the controls."""
        return {prompt: v.value if v else None for prompt, v in mean_over_controls(self.controls).items()}


@dataclass(frozen=True)
class Evidence:
    """All that is known of one candidate. Manifests are those of the runs."""

    candidate: str
    prompt_ids: tuple[str, ...]
    """The prompts that the candidate was asked."""
    columns: Mapping[str, Measured]
    baseline_manifest: RunManifest
    candidate_manifest: RunManifest
    control_manifests: tuple[RunManifest, ...] = ()
    unscored: Mapping[str, str] = field(default_factory=dict)
    """Column to the reason why the whole column could not be scored."""
    failed: frozenset[str] = frozenset()
    """Prompts that the candidate gave no answer to, in one of its repeats at least."""
    controls_failed: frozenset[str] = frozenset()
    """The same of the controls."""
    repeats: int = 1
    """How many answers each prompt was to have."""
    same: Sameness = field(default_factory=lambda: Sameness(texts=False))
    """Candidate and baseline."""
    shared_answers: tuple[SharedAnswers, ...] = ()
    """Of candidate, baseline and each control; empty where it wasn't recorded."""
    candidates: int = 1
    """How many were compared together, whose verdicts are to hold together."""
    prompt_tokens: PromptTokens | None = None
    """How baseline and candidate read the prompts; None where it wasn't recorded."""
    extra_prompts: tuple[str, ...] = ()
    """Prompts that the candidate's file has answers to, and the baseline's has not."""
    one_sided_thinking: int = 0
    """Pairs in which one side has thinking before its answer, and the other has not."""
    contradictions: int = 0
    """Pairs whose token ids are equal and whose texts aren't."""
    compares: tuple[Compares, ...] = ()
    """What the candidate's YAML says that it is compared for."""
    planned: int | None = None
    """Where generating stops once the bounds decide: the number of prompts that there can be."""

    @property
    def complete(self) -> bool:
        """Whether all prompts that were planned have been asked."""
        return self.planned is None or len(self.prompt_ids) >= self.planned
