"""What a verdict rests on: columns, failures and manifests of one candidate and of the baseline's controls."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fidelity.config import Compares
from fidelity.floor import AmongRuns, ByPrompt, excess_by_prompt, mean_by_prompt
from fidelity.records import Column, PromptTokens, Sameness, SharedAnswers
from fidelity.stats import RunNoise, run_noise
from fidelity.store.manifests import RunManifest

SEED = 0
"""Of the order in which the bounds read the prompts and of the bootstrap; fixed, so that nobody can look for one."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One column, prompt by prompt: of the candidate with the baseline's runs, and of these with each other."""

    column: Column
    """Its direction, bounds and weights; the values themselves are those below."""
    candidate: ByPrompt
    """With the baseline itself."""
    controls: tuple[ByPrompt, ...] = ()
    """Each with the baseline; empty without a control, or where one of them could not be scored."""
    among: AmongRuns | None = None
    """With every run of the baseline as a reference; None where only the baseline is one."""
    only_reference: str = ""
    """Why the baseline alone is a reference, if a better comparison would have more; empty where it is right so."""
    chance: float | None = None
    """The mean between answers to different prompts; None for what is no similarity, and where it wasn't scored."""

    def excess(self) -> dict[str, float | None]:
        """By prompt, positive is worse; None where either side could not be scored."""
        return excess_by_prompt(self.among_runs, self.column.better)

    def run_noise(self, prompts: Sequence[str]) -> RunNoise | None:
        """What the mean excess over these prompts, all with an excess, keeps of its runs' batches.

        None where the baseline alone is a reference: nothing is estimated then.
        """
        if self.among is None or not prompts:
            return None
        candidate, floor = (
            np.array([[value.value if (value := pair[p]) else np.nan for p in prompts] for pair in pairs])
            for pairs in self.among
        )
        weights = [value.weight if (value := self.candidate[p]) else 0.0 for p in prompts]
        return run_noise(candidate, floor, weights=None if self.column.weights is None else np.array(weights))

    @property
    def among_runs(self) -> AmongRuns:
        """With all references that there are."""
        return self.among or AmongRuns((self.candidate,), self.controls)

    def unscorable(self) -> int:
        """Prompts that every control can be scored on, where the candidate can't and no worst value stands for it."""
        floor = {} if self.column.worst is not None else self.floor()
        return sum(value is None and floor.get(prompt) is not None for prompt, value in self.candidate.items())

    def n_worst(self, prompts: Iterable[str]) -> int:
        """Of these prompts, the candidate's answers that count as the worst since they could not be scored."""
        return sum(value.n_worst for prompt in prompts if (value := self.candidate.get(prompt)))

    def floor(self) -> dict[str, float | None]:
        """By prompt: the mean among the baseline's runs."""
        return {prompt: v.value if v else None for prompt, v in mean_by_prompt(self.among_runs.floor).items()}


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
    compares: tuple[Compares, ...] = ()
    """What the candidate's YAML says that it is compared for."""
    planned: int | None = None
    """Where generating stops once the bounds decide: the number of prompts that there can be."""

    @property
    def complete(self) -> bool:
        """Whether all prompts that were planned have been asked."""
        return self.planned is None or len(self.prompt_ids) >= self.planned
