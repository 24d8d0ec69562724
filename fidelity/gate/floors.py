"""Whether a floor is plausible: how far the baseline is from itself, next to chance and next to the candidate."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from fidelity.gate.evidence import SEED, Measured
from fidelity.gate.lines import VerdictPlan
from fidelity.gate.margins import excess_bound
from fidelity.gate.settings import Gate
from fidelity.stats import studentised_intervals

ANOMALOUS = 0.005
"""How often the prompts alone may make a candidate look anomalous, over all columns. Which batches a run happened to
have isn't in the bound: with it, a twentieth of equal runs is called so at worst (docs/comparability.md)."""


def why_no_plausible_floor(name: str, measured: Measured, gate: Gate) -> str:
    """Why a similarity's floor is too low to hold a candidate against; empty where it isn't, or can't be known.

    In the lower half between the chance level and 1 a control has more in common with answers to other prompts than
    with the baseline's; a gate that knows better says so in `worst_floor`.
    """
    floor = [value for value in measured.floor().values() if value is not None]
    bounds = measured.column.bounds
    if measured.column.better != "higher" or bounds is None or not floor:
        return ""
    level, accepted = sum(floor) / len(floor), gate.worst_floor_of(name)
    if accepted is not None:
        return f"its floor is {level:.3f}, below the worst_floor of {accepted:g}" if level < accepted else ""
    if measured.chance is None or level >= (measured.chance + bounds[1]) / 2:
        return ""
    return (
        f"its floor of {level:.3f} is in the lower half between the chance level ({measured.chance:.3f}) and "
        f"{bounds[1]:g}, where any drift could hide; see that the control is one, or accept such a floor "
        f"(worst_floor: {{{name}: {level - 0.005:.2f}}})"
    )


def why_any_answer_passes(limit: float, measured: Measured) -> str:
    """Why a limit on the excess accepts anything, answers to other prompts too; empty where it doesn't.

    Where nobody knows how far those are, the worst value that there is stands for them.
    """
    floor, bounds = [value for value in measured.floor().values() if value is not None], measured.column.bounds
    if measured.column.better == "neither" or bounds is None or not floor:
        return ""
    level = sum(floor) / len(floor)
    if measured.column.better == "lower":
        distance, answers = bounds[1] - level, "any answer"
    elif measured.chance is None:
        distance, answers = level - bounds[0], "any answer"
    else:
        distance, answers = level - measured.chance, "answers to other prompts"
    if distance > limit:
        return ""
    repair = (
        "choose a smaller one" if distance >= 0.01 else "add a margin on a column that tells prompts apart (rougeL)"
    )
    return f"a limit of {limit:g} accepts {answers}, whose excess is {distance:.3f}; {repair}"


def why_anomalous(names: Collection[str], columns: Mapping[str, Measured], plan: VerdictPlan) -> str:
    """Why the candidate can't be judged: it is significantly closer to the baseline than the control is.

    The verdict's own bound, on the other side of no excess. Empty where no column shows it.

    Args:
        names: The columns that the gate judges by a floor.
        columns: All columns.
        plan: The verdict's.
    """
    strict = replace(plan, confidence=1 - ANOMALOUS / max(1, len(names)))
    uppers = {name: _upper(columns[name], strict) for name in names if name in columns}
    closer = [
        f"{name} (excess at most {upper:+.3f})" for name, upper in uppers.items() if upper is not None and upper < 0
    ]
    if not closer:
        return ""
    return (
        f"Anomalous: the candidate is closer to the baseline than the control is, in {', '.join(closer)}. A copy can't "
        f"be nearer than the model itself: see that the control is one, or generate more of them (control: "
        f"{{repeats: 3}})."
    )


def _upper(measured: Measured, plan: VerdictPlan) -> float | None:
    """Upper bound of the mean excess; None where there is nothing to bound."""
    if bound := excess_bound(measured, plan):
        return bound.upper
    excess = {prompt: value for prompt, value in measured.excess().items() if value is not None}
    if not excess or not plan.complete:
        return None
    (interval,) = studentised_intervals(list(excess), [list(excess.values())], confidence=plan.two_sided, seed=SEED)
    return interval.high
