"""Floor and excess: what a column measures beyond what the baseline's runs show among themselves, by prompt."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import NamedTuple

from fidelity.records import Better, Column, SummaryKind


class PromptValue(NamedTuple):
    """A prompt's value in one column: the mean over its repeats, with the sum of their weights (1 without weights)."""

    value: float
    weight: float
    n_worst: int = 0
    """The number of its answers that could not be scored and count as the column's worst value."""


ByPrompt = Mapping[str, PromptValue | None]


@dataclass(frozen=True, slots=True)
class Summary:
    """A column in a few numbers, over the prompts that the candidate and the baseline's runs could be scored on."""

    name: str
    value: float | None
    """Mean (weighted if the column has weights) or median over prompts; None without prompts."""
    kind: SummaryKind
    better: Better
    n: int
    n_unscored: int
    """The number of prompts left out because an answer of the baseline or of a control can't be scored."""
    excess: float | None
    """Mean of the prompts' excess, positive is worse; None without a control and for descriptive columns."""
    n_worst: int = 0
    """The number of the candidate's answers that can't be scored and count as the column's worst value."""


def candidate_by_prompt(prompt_ids: Sequence[str], column: Column) -> dict[str, PromptValue | None]:
    """A candidate's values by prompt. An answer that only the candidate keeps from being scored counts as worst.

    If the column has no worst value, a prompt with such an answer has no value.
    """
    worst = [side == "candidate" for side in column.sides or ()]
    if column.better == "neither" or not any(worst):
        return by_prompt(prompt_ids, column)
    lost = Counter(prompt_id for prompt_id, lost in zip(prompt_ids, worst, strict=True) if lost)
    values = by_prompt(prompt_ids, replace(column, values=column.judged_values))
    if column.worst is None:
        return {prompt_id: None if prompt_id in lost else value for prompt_id, value in values.items()}
    return {prompt_id: value and value._replace(n_worst=lost[prompt_id]) for prompt_id, value in values.items()}


def by_prompt(prompt_ids: Sequence[str], column: Column) -> dict[str, PromptValue | None]:
    """A column's values with each prompt's repeats averaged; None if no repeat could be scored.

    Without weights every prompt counts equally, however many of its repeats could be scored.
    """
    if column.weights is None and len(set(prompt_ids)) == len(prompt_ids):  # a faster path for most columns
        pairs = zip(prompt_ids, column.values, strict=True)
        return {prompt_id: None if value is None else PromptValue(value, 1.0) for prompt_id, value in pairs}
    weights = column.weights or [1.0] * len(column.values)
    groups: dict[str, list[tuple[float, float]]] = {}
    for prompt_id, value, weight in zip(prompt_ids, column.values, weights, strict=True):
        group = groups.setdefault(prompt_id, [])
        if value is not None and weight is not None:
            group.append((value, weight))
    values = {prompt_id: _mean_of(group) for prompt_id, group in groups.items()}
    if column.weights is None:
        return {prompt_id: value and value._replace(weight=1.0) for prompt_id, value in values.items()}
    return values


class AmongRuns(NamedTuple):
    """One column between a baseline's runs (itself and its controls), and between each of them and a candidate.

    The baseline's runs are exchangeable, so each is a reference for the candidate. Where the candidate was scored
    against the baseline alone (token columns, stores of earlier versions), that is the only reference.
    """

    candidate: tuple[ByPrompt, ...]
    """Of the candidate with each reference; the baseline is the first."""
    floor: tuple[ByPrompt, ...] = ()
    """Of each two references, in the order of `itertools.combinations`; of the baseline with each control where the
    baseline is the only reference. Empty without a control."""

    @property
    def all_references(self) -> bool:
        """Whether every run of the baseline is a reference."""
        return len(self.candidate) > 1


def excess_by_prompt(values: AmongRuns, better: Better) -> dict[str, float | None]:
    """For each prompt: the mean similarity among the baseline's runs less that of the candidate to each of them.

    A two-sample statistic of the energy family, with the column as its kernel (docs/statistics.md): it is 0 on average
    where the candidate is one more run of the baseline. Turned round where lower is better, so positive is always
    worse. None where either side could not be scored, and everywhere without a control or for a column that is neither
    better nor worse.
    """
    floor = {} if better == "neither" else mean_by_prompt(values.floor)
    sign = 1.0 if better == "higher" else -1.0
    excess: dict[str, float | None] = {}
    for prompt_id, own in mean_by_prompt(values.candidate).items():
        baseline = floor.get(prompt_id)
        excess[prompt_id] = None if own is None or baseline is None else sign * (baseline.value - own.value)
    return excess


def mean_by_prompt(columns: Sequence[ByPrompt]) -> dict[str, PromptValue | None]:
    """Each prompt's mean over several pairs of runs; None where one of them could not be scored.

    The prompts, and the answers that count as the worst, are those of the first.
    """
    if len(columns) < 2:
        return dict(columns[0]) if columns else {}
    merged: dict[str, PromptValue | None] = {}
    for prompt_id, first in columns[0].items():
        scored = [value for column in columns if (value := column.get(prompt_id)) is not None]
        mean = _mean_of([(v.value, v.weight) for v in scored], plain=True) if len(scored) == len(columns) else None
        merged[prompt_id] = mean and mean._replace(n_worst=first.n_worst if first else 0)
    return merged


def summarise(values: AmongRuns, column: Column) -> Summary:
    """A column over the prompts that candidate and baseline's runs have in common, with its excess.

    Its value is with the baseline itself, whose answers are those that people read; the excess is over all references.
    A descriptive column ("neither") is summarized over all of its own prompts.
    """
    excess = excess_by_prompt(values, column.better)
    judged = bool(values.floor) and column.better != "neither"
    own = values.candidate[0]
    common = {p: v for p, v in own.items() if v is not None and (not judged or excess[p] is not None)}
    weighted = [(excess[p], v.weight) for p, v in common.items()] if judged else []
    return Summary(
        name=column.name,
        value=_summary(common.values(), column.summary),
        kind=column.summary,
        better=column.better,
        n=len(common),
        n_unscored=len(own) - len(common),
        excess=_weighted_mean([(e, w) for e, w in weighted if e is not None]),
        n_worst=sum(v.n_worst for v in common.values()),
    )


def pooled(values: Sequence[ByPrompt], column: Column) -> Summary:
    """The floor as it is shown: the `values` of one column over the pairs of every control with the baseline."""
    scored = [v for control in values for v in control.values() if v is not None]
    return Summary(
        name=column.name,
        value=_summary(scored, column.summary),
        kind=column.summary,
        better=column.better,
        n=len(scored),
        n_unscored=sum(map(len, values)) - len(scored),
        excess=None,
    )


def _summary(values: Iterable[PromptValue], kind: SummaryKind) -> float | None:
    scored = list(values)
    if not scored:
        return None
    return (
        median(v.value for v in scored) if kind == "median" else _weighted_mean([(v.value, v.weight) for v in scored])
    )


def _weighted_mean(values: Sequence[tuple[float, float]]) -> float | None:
    total = sum(weight for _, weight in values)
    return sum(value * weight for value, weight in values) / total if total else None


def _mean_of(values: Sequence[tuple[float, float]], *, plain: bool = False) -> PromptValue | None:
    if not values:
        return None
    total = sum(weight for _, weight in values)
    if plain or not total:
        return PromptValue(sum(value for value, _ in values) / len(values), total / len(values))
    return PromptValue(sum(value * weight for value, weight in values) / total, total)
