"""Checking that a floor is plausible, by comparison with the chance level and with the candidate."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from fidelity.floor import total_of
from fidelity.gate.evidence import SEED, Measured
from fidelity.gate.lines import VerdictPlan
from fidelity.gate.margins import excess_bound
from fidelity.gate.settings import Gate
from fidelity.stats import studentised_intervals

ANOMALOUS = 0.005
"""Significance level, over all columns, of the test for anomalous candidates. The bound only includes the sampling of
prompts; with the batches, at most a twentieth of equal runs is called anomalous (docs/comparability.md)."""

NO_DISTANCE = "length_inflation"
"""Columns with such names count what answers cost; fewer tokens than the control has are not closer to the baseline."""


def why_no_plausible_floor(name: str, measured: Measured, gate: Gate) -> str:
    """Why a similarity's floor is too low to judge a candidate; empty if it isn't, or if that is unknown.

    In the lower half between the chance level and 1, a control is closer to answers to different prompts than to the
    baseline's answers. `worst_floor` in the gate accepts such a floor.
    """
    level, bounds, accepted = floor_level(measured), measured.column.bounds, gate.worst_floor_of(name)
    if measured.column.better != "higher" or bounds is None or level is None:
        return ""
    if accepted is not None:
        return f"its floor is {level:.3f}, below the worst_floor of {accepted:g}" if level < accepted else ""
    if measured.chance is None or level >= half_way(measured):
        return ""
    return (
        f"its floor of {level:.3f} is in the lower half between the chance level ({measured.chance:.3f}) and "
        f"{bounds[1]:g}, where any drift could hide; check the control, or accept such a floor "
        f"(worst_floor: {{{name}: {level - 0.005:.2f}}})"
    )


def floor_level(measured: Measured) -> float | None:
    """The mean floor over the prompts that have one; None where none has."""
    floor = measured.floor().known
    return total_of(floor.array) / len(floor) if floor else None


def half_way(measured: Measured) -> float:
    """Half way from the chance level to equal answers; the column's lower bound where that level isn't known."""
    low, high = measured.column.bounds or (0.0, 1.0)
    return low if measured.chance is None else (measured.chance + high) / 2


def why_any_answer_passes(limit: float, measured: Measured) -> str:
    """Why a limit on the excess would accept a plainly bad copy; empty if it wouldn't.

    A similarity would if answers to different prompts pass. Other columns, and similarities whose chance level isn't
    known, would if a copy passes that is half way from the floor to the worst value.
    """
    level, bounds = floor_level(measured), measured.column.bounds
    if measured.column.better == "neither" or bounds is None or level is None:
        return ""
    worst = bounds[1] if measured.column.better == "lower" else bounds[0]
    if measured.column.better == "lower" or measured.chance is None:
        distance, accepted = abs(worst - level) / 2, f"a copy half way from the floor to the worst value ({worst:g})"
    else:
        distance, accepted = level - measured.chance, "answers to different prompts"
    if distance > limit:
        return ""
    repair = (
        "choose a smaller one" if distance >= 0.01 else "add a margin on a column that differs between prompts (rougeL)"
    )
    return f"a limit of {limit:g} would accept {accepted}, with an excess of {distance:.3f}; {repair}"


def why_anomalous(names: Collection[str], columns: Mapping[str, Measured], plan: VerdictPlan) -> str:
    """Why the candidate can't be judged: it is significantly closer to the baseline than the control is.

    Uses the bound over prompts, below zero excess, with the baseline as the only reference: a control that isn't one
    is no reference either. Empty if no column shows it.

    Args:
        names: The columns that the gate judges with a floor.
        columns: All columns.
        plan: The verdict's plan.
    """
    strict = replace(plan, confidence=1 - ANOMALOUS / max(1, len(names)))
    distances = [name for name in names if name in columns and not columns[name].column.name.startswith(NO_DISTANCE)]
    uppers = {name: _upper(replace(columns[name], among=None), strict) for name in distances}
    closer = [
        f"{name} (excess at most {upper:+.3f})" for name, upper in uppers.items() if upper is not None and upper < 0
    ]
    if not closer:
        return ""
    return (
        f"Anomalous: the candidate is closer to the baseline than the control is, in {', '.join(closer)}. A copy can't "
        f"be closer than the model itself: check the control, or generate more controls (control: {{repeats: 3}})."
    )


def _upper(measured: Measured, plan: VerdictPlan) -> float | None:
    """Upper bound of the mean excess; None without values."""
    if bound := excess_bound(measured, plan):
        return bound.upper
    excess = measured.excess().known
    if not excess or not plan.complete:
        return None
    (interval,) = studentised_intervals(excess.prompts.ids, [excess.array], confidence=plan.two_sided, seed=SEED)
    return interval.high
