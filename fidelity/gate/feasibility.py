"""Checking before generating whether a gate can be passed with so many prompts."""

from collections.abc import Mapping

from fidelity.gate.lines import percent, rounded_up
from fidelity.gate.settings import Gate, Limit
from fidelity.records import Column
from fidelity.stats import betting_bound, clopper_pearson, fewest_prompts, prompts_needed_for_share
from fidelity.stats.bootstrap import FEWEST_IN_TAIL_STUDY


def out_of_reach(
    gate: Gate, offered: Mapping[str, Column], *, prompts: int, candidates: int = 1, any_time: bool = False
) -> list[str]:
    """Return a sentence for each limit that even a candidate without drift can't pass with so many prompts.

    Lines that only warn are ignored.

    Args:
        gate: The gate. Its columns are among the `offered`.
        offered: All columns that are scored, by name.
        prompts: The number of prompts.
        candidates: The number of candidates judged together; more candidates need more prompts.
        any_time: Whether generating stops when the gate can decide, which also needs more prompts.
    """
    confidence = gate.confidence_of_each(candidates)
    at = f"at {percent(confidence)}" + (f", for {candidates} candidates" if candidates > 1 else "")
    sentences = []
    for limit in gate.limits:
        column = offered.get(limit.column)
        if column is None or not gate.decides(limit.kind, limit.name):
            continue
        needed = _fewest(limit, column, confidence, any_time=any_time)
        if needed > prompts:
            smallest = _smallest(limit, column, prompts, confidence, any_time=any_time)
            larger = f", or a limit of {smallest:.2g}" if smallest else ""
            sentences.append(
                f"{limit.place}: {limit.value:g} can't be passed with {prompts} prompts, even by a candidate without "
                f"drift; use at least {needed} prompts ({at}){larger}"
            )
    return sentences


def _fewest(limit: Limit, column: Column, confidence: float, *, any_time: bool) -> int:
    """The number of prompts that a candidate without drift needs; 0 if a bootstrap judges, which has no exact bound."""
    if limit.kind == "tail":
        return FEWEST_IN_TAIL_STUDY
    if limit.kind == "margin":
        if column.bounds is None or column.weights is not None:
            return 0
        width = _width(column)
        return fewest_prompts(limit.value, low=-width, high=width, confidence=confidence, any_time=any_time)
    if any_time:
        return fewest_prompts(limit.value, low=0, high=1, confidence=confidence, any_time=True)
    return prompts_needed_for_share(0, 1, limit.value, confidence=confidence) or 0


def smallest_margin(prompts: int, width: float, *, confidence: float, planned: int | None = None) -> float:
    """The bound of a mean excess that is 0 on every prompt; `width` is the column's range."""
    ids = [str(number) for number in range(prompts)]
    still = [0.0] * prompts
    return betting_bound(ids, still, low=-width, high=width, confidence=confidence, planned=planned).upper


def _smallest(limit: Limit, column: Column, prompts: int, confidence: float, *, any_time: bool) -> float | None:
    """The smallest limit that can be passed with so many prompts, rounded up; None if there is none."""
    planned = prompts if any_time else None
    match limit.kind:
        case "tail":
            return None
        case "margin":
            largest = _width(column)
            smallest = smallest_margin(prompts, largest, confidence=confidence, planned=planned)
        case _:
            largest = 1.0
            smallest = clopper_pearson(0, prompts, confidence=confidence, side="upper")[1]
            if any_time:
                ids, none = [str(number) for number in range(prompts)], [0.0] * prompts
                smallest = betting_bound(ids, none, low=0, high=1, confidence=confidence, planned=planned).upper
    rounded = rounded_up(smallest)
    return rounded if rounded < largest else None


def _width(column: Column) -> float:
    low, high = column.bounds or (0.0, 1.0)
    return high - low
