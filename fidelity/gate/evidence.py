"""The evidence of a verdict: columns, failures and manifests of one candidate and the baseline's controls."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fidelity.config import Compares
from fidelity.floor import ByPrompt, excess_by_prompt, mean_over_controls
from fidelity.records import Column, PromptTokens, Sameness, SharedAnswers
from fidelity.store.manifests import RunManifest

SEED = 0
"""Seed of the prompts' order in the bounds and of the bootstrap. It is fixed, so that nobody can search for one."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One column by prompt: the candidate and each control, compared with the baseline."""

    column: Column
    """The column's direction, bounds and weights; the values are in the fields below."""
    candidate: ByPrompt
    controls: tuple[ByPrompt, ...] = ()
    """Empty without a control, or if one of them could not be scored."""
    chance: float | None = None
    """The chance level; None for a column that is not a similarity, or if it wasn't scored."""

    def excess(self) -> dict[str, float | None]:
        """The excess by prompt, positive is worse; None if either side could not be scored."""
        return excess_by_prompt(self.candidate, self.controls, self.column.better)

    def unscorable(self) -> int:
        """The number of prompts that every control is scored on, but not the candidate, without a worst value."""
        floor = {} if self.column.worst is not None else self.floor()
        return sum(value is None and floor.get(prompt) is not None for prompt, value in self.candidate.items())

    def n_worst(self, prompts: Iterable[str]) -> int:
        """The number of the candidate's unscored answers on these prompts, which count as worst."""
        return sum(value.n_worst for prompt in prompts if (value := self.candidate.get(prompt)))

    def floor(self) -> dict[str, float | None]:
        """The floor by prompt: the mean over the controls."""
        return {prompt: v.value if v else None for prompt, v in mean_over_controls(self.controls).items()}


@dataclass(frozen=True)
class Evidence:
    """Everything that the gate uses to judge one candidate. Manifests are those of the runs."""

    candidate: str
    prompt_ids: tuple[str, ...]
    """The number of prompts that the candidate was asked."""
    columns: Mapping[str, Measured]
    baseline_manifest: RunManifest
    candidate_manifest: RunManifest
    control_manifests: tuple[RunManifest, ...] = ()
    unscored: Mapping[str, str] = field(default_factory=dict)
    """Why a whole column could not be scored, by column name."""
    failed: frozenset[str] = frozenset()
    """The prompts for which the candidate lacks an answer in at least one repeat."""
    controls_failed: frozenset[str] = frozenset()
    """The same for each control."""
    repeats: int = 1
    """The planned number of answers per prompt."""
    same: Sameness = field(default_factory=lambda: Sameness(texts=False))
    """Whether candidate and baseline are equal."""
    shared_answers: tuple[SharedAnswers, ...] = ()
    """For candidate, baseline and each control; empty if it wasn't recorded."""
    candidates: int = 1
    """The number of candidates compared together, whose verdicts hold simultaneously."""
    prompt_tokens: PromptTokens | None = None
    """How baseline and candidate read the prompts; None if it wasn't recorded."""
    compares: tuple[Compares, ...] = ()
    """`compares:` of the candidate's YAML."""
    planned: int | None = None
    """The total number of prompts, if generating stops when the gate can decide."""

    @property
    def complete(self) -> bool:
        """Whether all planned prompts have been asked."""
        return self.planned is None or len(self.prompt_ids) >= self.planned
