"""Floor and excess: what a column measures beyond what the baseline's runs show among themselves, by prompt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from fidelity.records import (
    Better,
    Column,
    ColumnNumbers,
    Floats,
    PromptIds,
    PromptNumbers,
    PromptValue,
    PromptValues,
    Sides,
    SummaryKind,
)
from fidelity.records.numbers import CODES

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


def candidate_by_prompt(prompts: PromptIds | Sequence[str], column: Column) -> PromptValues:
    """A candidate's values by prompt. An answer that only the candidate keeps from being scored counts as worst.

    If the column has no worst value, a prompt with such an answer has no value.

    Args:
        prompts: Those of the column's pairs.
        column: The column.
    """
    prompts = prompts if isinstance(prompts, PromptIds) else PromptIds(prompts)
    lost = Sides.of(column.sides or ()).array == CODES["candidate"]
    if column.better == "neither" or not lost.any():
        return by_prompt(prompts, column)
    values = _by_prompt(prompts, column, column.judged_values)
    n_worst = lost.astype(np.int64) if prompts.rows is None else np.bincount(prompts.rows[lost], minlength=len(values))
    if column.worst is None:
        return replace(values, array=np.where(n_worst > 0, np.nan, values.array))
    return replace(values, n_worst=n_worst)


def by_prompt(prompts: PromptIds | Sequence[str], column: Column) -> PromptValues:
    """A column's values with each prompt's repeats averaged; None if no repeat could be scored.

    Without weights every prompt counts equally, however many of its repeats could be scored.

    Args:
        prompts: Those of the column's pairs.
        column: The column.
    """
    return _by_prompt(prompts if isinstance(prompts, PromptIds) else PromptIds(prompts), column, column.values)


def _by_prompt(prompts: PromptIds, column: Column, of_pairs: Sequence[float | None]) -> PromptValues:
    n, values = len(prompts.ids), ColumnNumbers.of(of_pairs).array
    ones, none = np.broadcast_to(1.0, n), np.broadcast_to(np.int64(0), n)  # one number in memory
    if prompts.rows is None and column.weights is None:
        return PromptValues(prompts, values, ones, none)
    weights = np.ones(len(values)) if column.weights is None else ColumnNumbers.of(column.weights).array
    scored = ~(np.isnan(values) | np.isnan(weights))
    rows = (np.arange(n) if prompts.rows is None else prompts.rows)[scored]
    values, weights = values[scored], weights[scored]
    counts = np.bincount(rows, minlength=n)
    total = np.bincount(rows, weights, n).astype(np.float64, copy=False)
    weighted = np.bincount(rows, np.where(total[rows] > 0, weights, 1.0) * values, n)
    with np.errstate(invalid="ignore"):  # a prompt without a value: 0 / 0
        mean = weighted / np.where(total > 0, total, counts)
    return PromptValues(prompts, mean, ones if column.weights is None else total, none)


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


def excess_by_prompt(values: AmongRuns, better: Better) -> PromptNumbers:
    """For each prompt: the mean similarity among the baseline's runs less that of the candidate to each of them.

    A two-sample statistic of the energy family, with the column as its kernel (docs/statistics.md): it is 0 on average
    where the candidate is one more run of the baseline. Turned round where lower is better, so positive is always
    worse. None where either side could not be scored, and everywhere without a control or for a column that is neither
    better nor worse.
    """
    own = mean_by_prompt(values.candidate)
    if better == "neither" or not values.floor:
        return PromptNumbers(own.prompts, np.full(len(own), np.nan))
    sign = 1.0 if better == "higher" else -1.0
    return PromptNumbers(own.prompts, sign * (mean_by_prompt(values.floor).at(own.prompts).array - own.array))


def mean_by_prompt(columns: Sequence[ByPrompt]) -> PromptValues:
    """Each prompt's mean over several pairs of runs; None where one of them could not be scored.

    The prompts, and the answers that count as the worst, are those of the first.
    """
    first, *others = [PromptValues.of(column) for column in columns] or [PromptValues.of({})]
    if not others:
        return first
    array, weights = first.array, first.weights
    for other in (column.at(first.prompts) for column in others):
        array, weights = array + other.array, weights + other.weights
    n_worst = np.where(first.scored, first.n_worst, 0)
    return PromptValues(first.prompts, array / len(columns), weights / len(columns), n_worst)


def summarise(values: AmongRuns, column: Column) -> Summary:
    """A column over the prompts that candidate and baseline's runs have in common, with its excess.

    Its value is with the baseline itself, whose answers are those that people read; the excess is over all references.
    A descriptive column ("neither") is summarized over all of its own prompts.
    """
    own = PromptValues.of(values.candidate[0])
    judged = bool(values.floor) and column.better != "neither"
    excess = excess_by_prompt(values, column.better).array
    common = own.scored & ~np.isnan(excess) if judged else own.scored
    weights = own.weights[common]
    return Summary(
        name=column.name,
        value=_summary(own.array[common], weights, column.summary),
        kind=column.summary,
        better=column.better,
        n=int(common.sum()),
        n_unscored=int((~common).sum()),
        excess=_weighted_mean(excess[common], weights) if judged else None,
        n_worst=int(own.n_worst[common].sum()),
    )


def pooled(values: Sequence[ByPrompt], column: Column) -> Summary:
    """The floor as it is shown: the `values` of one column over the pairs of every control with the baseline."""
    controls = [PromptValues.of(control) for control in values]
    scored = [(control.array[control.scored], control.weights[control.scored]) for control in controls]
    array, weights = (np.concatenate([np.zeros(0), *numbers]) for numbers in zip(*scored, strict=True))
    return Summary(
        name=column.name,
        value=_summary(array, weights, column.summary),
        kind=column.summary,
        better=column.better,
        n=len(array),
        n_unscored=sum(map(len, controls)) - len(array),
        excess=None,
    )


def _summary(values: Floats, weights: Floats, kind: SummaryKind) -> float | None:
    if not len(values):
        return None
    return float(np.median(values)) if kind == "median" else _weighted_mean(values, weights)


def _weighted_mean(values: Floats, weights: Floats) -> float | None:
    total = total_of(weights)
    return total_of(values * weights) / total if total else None


def total_of(values: Floats) -> float:
    """The sum of numbers, one after another: that of `np.sum` depends on how many there are."""
    return float(0.0 + np.cumsum(values)[-1]) if len(values) else 0.0  # zeros with a minus sign add up to 0.0
