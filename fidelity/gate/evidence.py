"""The evidence of a verdict: columns, failures and manifests of one candidate and the baseline's controls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fidelity.config import Compares
from fidelity.floor import AmongRuns, ByPrompt, excess_by_prompt, mean_by_prompt
from fidelity.records import (
    Column,
    Floats,
    PromptNumbers,
    PromptTokens,
    PromptValues,
    Sameness,
    SharedAnswers,
)
from fidelity.stats import READING_SEED, RunNoise, run_noise
from fidelity.store.manifests import RunManifest

SEED = READING_SEED
"""Seed of the prompts' order in the bounds and of the bootstrap. It is fixed, so nobody can search for one."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One column, prompt by prompt: of the candidate with the baseline's runs, and of these with each other."""

    column: Column
    """The column's direction, bounds and weights; the values are in the fields below."""
    candidate: ByPrompt
    """With the baseline itself."""
    controls: tuple[ByPrompt, ...] = ()
    """Each with the baseline; empty without a control, or where one of them could not be scored."""
    chance: float | None = None
    """The chance level; None for a column that is not a similarity, or if it wasn't scored."""
    among: AmongRuns | None = None
    """With every run of the baseline as a reference; None where only the baseline is one."""
    only_reference: str = ""
    """Why the baseline alone is a reference, if a better comparison would have more; empty where it is right so."""

    def excess(self) -> PromptNumbers:
        """The excess by prompt, positive is worse; None if either side could not be scored."""
        return excess_by_prompt(self.among_runs, self.column.better)

    def run_noise(self) -> RunNoise | None:
        """What the mean excess, over the prompts that have one, keeps of its runs' batches.

        None where the baseline alone is a reference: nothing is estimated then.
        """
        if self.among is None or not (known := self.excess().known):
            return None
        weights = None if self.column.weights is None else PromptValues.of(self.candidate).at(known.prompts).weights
        return run_noise(*self.arrays(), weights=weights)

    def arrays(self) -> tuple[Floats, Floats]:
        """The values of the candidate's pairs and of the floor's: pairs x prompts with an excess."""
        prompts = self.excess().known.prompts
        candidate, floor = (
            np.array([PromptValues.of(pair).at(prompts).array for pair in pairs]) for pairs in self.among_runs
        )
        return candidate, floor

    @property
    def among_runs(self) -> AmongRuns:
        """With all references that there are."""
        return self.among or AmongRuns((self.candidate,), self.controls)

    def unscorable(self) -> int:
        """The number of prompts that every control is scored on, but not the candidate, without a worst value."""
        if self.column.worst is not None:
            return 0
        candidate = PromptValues.of(self.candidate)
        return int((mean_by_prompt(self.among_runs.floor).at(candidate.prompts).scored & ~candidate.scored).sum())

    def floor(self) -> PromptNumbers:
        """By prompt: the mean among the baseline's runs."""
        floor = mean_by_prompt(self.among_runs.floor)
        return PromptNumbers(floor.prompts, floor.array)


@dataclass(frozen=True)
class Evidence:
    """Everything that the gate uses to judge one candidate. Manifests are those of the runs."""

    candidate: str
    prompt_ids: Sequence[str]
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
    """The number of candidates compared together. Their verdicts hold simultaneously."""
    prompt_tokens: PromptTokens | None = None
    """How baseline and candidate read the prompts; None if it wasn't recorded."""
    extra_prompts: tuple[str, ...] = ()
    """Prompts that only the candidate's file has answers to."""
    one_sided_thinking: int = 0
    """Pairs in which only one side has thinking before its answer."""
    contradictions: int = 0
    """Pairs with equal token ids and different texts."""
    compares: tuple[Compares, ...] = ()
    """`compares:` of the candidate's YAML."""
    planned: int | None = None
    """The total number of prompts, if generating stops when the gate can decide."""

    @property
    def complete(self) -> bool:
        """Whether all planned prompts have been asked."""
        return self.planned is None or len(self.prompt_ids) >= self.planned
