"""A scored baseline with its controls and candidates, and its columns by prompt."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from fidelity.comparison.chance import chance_signature
from fidelity.comparison.pairing import PairedRuns, Pairing
from fidelity.config import Compares
from fidelity.floor import AmongRuns, ByPrompt, by_prompt, candidate_by_prompt, summarise
from fidelity.records import Column, PromptIds, PromptTokens, Sameness
from fidelity.store.comparisons import Comparison
from fidelity.store.manifests import ColumnSource
from fidelity.store.runs import Run
from fidelity.text.thinking import ReasoningFormat

Role = Literal["candidate", "control"]


@dataclass(frozen=True, slots=True)
class ScoredColumn:
    """A column with the signature of the metric that made it."""

    column: Column
    signature: str
    low: Column | None
    """The chance level: the same column with the candidate's outputs paired with other prompts' baselines.

    None for a column that is not a similarity.
    """

    @property
    def source(self) -> ColumnSource:
        """What the comparison's manifest lists of it."""
        chance = None if self.low is None else chance_signature(self.signature)
        return ColumnSource(signature=self.signature, column=self.column.name, chance=chance)


@dataclass(frozen=True)
class Scores:
    """All columns of one baseline and one other run; none before they are scored."""

    runs: PairedRuns
    comparison: Comparison
    """The comparison's directory in the store."""
    columns: Mapping[str, ScoredColumn] = field(default_factory=dict)
    unscored: Mapping[str, str] = field(default_factory=dict)
    """Why a whole column could not be scored, by column name."""
    inapplicable: Mapping[str, str] = field(default_factory=dict)
    """Why a column doesn't apply to these two runs, by column name (diversity, without repeats)."""
    own_controls: tuple["Scores", ...] = ()
    """The candidate's own controls, compared with the candidate. This floor is shown, not judged."""
    references: tuple["Scores", ...] = ()
    """A candidate compared with each of the baseline's controls; empty for comparisons of older versions."""
    is_reference: bool = False
    """Whether these are numbers between a control and another run, which only an excess is made of."""

    @property
    def baseline(self) -> Run:
        """The run that the other is compared with: the baseline, a control, or a candidate with its own control."""
        return self.runs.baseline

    @property
    def run(self) -> Run:
        """The other run: a candidate or a control."""
        return self.runs.other

    @property
    def pairing(self) -> Pairing:
        """The texts, read when first used."""
        return self.runs.pairing

    @property
    def prompt_ids(self) -> Sequence[str]:
        """The prompt of each pair, in the order of every column's values."""
        return self.comparison.prompt_ids

    @property
    def failures(self) -> dict[str, str]:
        """Why a prompt has no pair, by prompt id, whichever run failed."""
        return dict(self.comparison.manifest.failures)

    @property
    def failed_prompts(self) -> tuple[str, ...]:
        """The prompts that the other run didn't answer; `failures` includes those of the baseline."""
        return self.comparison.manifest.failed_prompts

    @property
    def same(self) -> Sameness:
        """Whether both runs gave the same answers."""
        return self.comparison.manifest.same

    @property
    def compares(self) -> tuple[Compares, ...]:
        """`compares:` of the other run's YAML; empty for comparisons of older versions."""
        return self.comparison.manifest.compares

    @property
    def prompt_tokens(self) -> PromptTokens | None:
        """How both models read the prompts; None for comparisons of older versions."""
        return self.comparison.manifest.prompt_tokens

    @property
    def extra_prompts(self) -> tuple[str, ...]:
        """Prompts that only the other run's file answers; they aren't compared."""
        return self.comparison.manifest.extra_prompts

    @property
    def spelling_only(self) -> int | None:
        """The number of answers that differ only in normalization; None for comparisons of older versions."""
        return self.comparison.manifest.spelling_only

    @cached_property
    def prompts(self) -> PromptIds:
        """The prompts of the pairs, each once."""
        return PromptIds(self.prompt_ids)

    @cached_property
    def by_prompt(self) -> dict[tuple[str, Role], ByPrompt]:
        """Cached results of `values_of` and `control_values_of`."""
        return {}

    @property
    def reasoning_formats(self) -> tuple[ReasoningFormat, ReasoningFormat]:
        """The reasoning formats of the baseline and the other run."""
        return self.comparison.manifest.reasoning_formats


@dataclass(frozen=True)
class ComparisonSet:
    """A scored baseline with its controls and candidates."""

    baseline: Run
    controls: tuple[Scores, ...]
    candidates: tuple[Scores, ...]
    not_compared: dict[str, str] = field(default_factory=dict)
    """The errors of candidates that could not be compared, by name."""
    between_controls: tuple[Scores, ...] = ()
    """The controls with each other, in the order of `itertools.combinations`; empty with fewer than two of them."""


def among_runs(result: ComparisonSet, candidate: Scores, name: str) -> AmongRuns:
    """A column of a candidate with its references, and of these with each other.

    Every run of the baseline is a reference where all of their pairs were scored on the column. A column with weights
    has the baseline alone, since its weights are of the baseline's answers. It has no floor without a control, and
    where a control lacks it.
    """
    own = values_of(candidate, name)
    if not result.controls or any(name not in control.columns for control in result.controls):
        return AmongRuns((own,))
    floor = floor_values_of(result, name)
    weighted = candidate.columns[name].column.weights is not None
    others = [] if weighted else [scores for scores in candidate.references if name in scores.columns]
    if len(others) < len(result.controls) or len(floor) < math.comb(len(result.controls) + 1, 2):
        return AmongRuns((own,), floor[: len(result.controls)])
    return AmongRuns((own, *(values_of(scores, name) for scores in others)), floor)


def floor_values_of(result: ComparisonSet, name: str) -> tuple[ByPrompt, ...]:
    """A column that every control has, over the pairs of the baseline's runs: of all of them where all were scored."""
    between = [scores for scores in result.between_controls if name in scores.columns]
    whole = len(between) == math.comb(len(result.controls), 2)
    return tuple(control_values_of(scores, name) for scores in (*result.controls, *(between if whole else ())))


def values_of(candidate: Scores, name: str) -> ByPrompt:
    """A candidate's column by prompt, repeats averaged. An unscored answer that is its own fault counts as worst."""
    key: tuple[str, Role] = name, "candidate"
    if key not in candidate.by_prompt:
        candidate.by_prompt[key] = candidate_by_prompt(candidate.prompts, candidate.columns[name].column)
    return candidate.by_prompt[key]


def control_values_of(control: Scores, name: str) -> ByPrompt:
    """A control's column by prompt, repeats averaged. A prompt that a control can't be scored on is excluded."""
    key: tuple[str, Role] = name, "control"
    if key not in control.by_prompt:
        control.by_prompt[key] = by_prompt(control.prompts, control.columns[name].column)
    return control.by_prompt[key]


def chance_level(scores: Scores, name: str) -> float | None:
    """A column's chance level: its mean between answers to different prompts. None if it is not a similarity."""
    low = scores.columns[name].low
    return None if low is None else summarise(AmongRuns((by_prompt(scores.prompts, low),)), low).value
