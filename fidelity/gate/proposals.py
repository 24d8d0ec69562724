"""Limits for a gate that nobody has written yet: from the floor, the number of prompts and a purpose.

The candidate's own numbers are not looked at: a limit that is fitted to a candidate accepts it whatever it does.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from fidelity.gate.evidence import SEED, Measured
from fidelity.gate.feasibility import smallest_margin
from fidelity.gate.lines import percent, rounded_up
from fidelity.gate.shares import broken_in_any
from fidelity.stats import Bound, clopper_pearson, prompts_needed, prompts_needed_for_share

Purpose = Literal["strict", "balanced", "lenient"]
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)
ROOM: Mapping[Purpose, float] = {"strict": 0.05, "balanced": 0.10, "lenient": 0.20}
"""Share of the way from the floor to answers that have nothing to do with the prompt, as a mean over prompts."""
NO_ROOM = 1e-9
"""Below this a floor is where other prompts' answers are, but for rounding."""
WORST_PROMPTS = 2.0
"""How many times as much the worst 5 % of prompts may lose."""
SHARES: Mapping[Purpose, float] = {"strict": 0.01, "balanced": 0.02, "lenient": 0.05}
"""Share of prompts that may be newly broken beyond those that break between two runs of the baseline."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A limit and where it comes from."""

    limit: float | None
    """None where none makes sense."""
    why: tuple[str, ...]
    """A sentence each."""
    needed: int | None = None
    """About how many prompts a candidate without drift takes to pass it; None where that isn't known."""


def propose_margin(measured: Measured, purpose: Purpose, *, confidence: float) -> Proposal:
    """A margin on the mean excess of a column whose range is known."""
    floor, (low, high) = _floor(measured), measured.column.bounds or (0.0, 1.0)
    level = sum(floor) / len(floor)
    itself, end, beyond = (high - level, measured.chance, "answers to other prompts")
    if measured.column.better == "lower":
        itself, end, beyond = level - low, high, "the worst there is"
    elif end is None:
        end, beyond = low, "the worst there is"
    room = abs(end - level)
    model = f"The model itself: {level:.3f} between two of its runs, {itself:.3f} from equal; {beyond}: {end:.3f}."
    if (end > level) is (measured.column.better == "higher") or room < NO_ROOM:
        return Proposal(None, (model, "Two runs of the model are no closer than that, so no margin means anything."))
    wanted, smallest = ROOM[purpose] * room, smallest_margin(len(floor), high - low, confidence=confidence)
    why = [model, f"{purpose.capitalize()}: {ROOM[purpose]:.0%} of the way from there, {wanted:.2g}."]
    limit = float(f"{wanted:.2g}")
    if limit < smallest:
        limit = rounded_up(smallest)
        why.append(
            f"{len(floor)} prompts can't show less than {smallest:.2g} ({percent(confidence)}), so it is {limit:g}."
        )
    if limit >= high - low:
        return Proposal(None, (model, f"{len(floor)} prompts can show no margin at all."))
    width, spread = high - low, _spread(measured)
    still = Bound(0.0, 0.0, 0.0, spread, len(floor), confidence, None, SEED, (-width, width))
    return Proposal(limit, tuple(why), prompts_needed(still, limit) if spread is not None else None)


def propose_tail(measured: Measured, purpose: Purpose, *, confidence: float) -> Proposal:
    """A limit on the excess of the worst 5 % of prompts."""
    margin = propose_margin(measured, purpose, confidence=confidence)
    width = np.ptp(measured.column.bounds or (0.0, 1.0))
    limit = None if margin.limit is None else float(f"{WORST_PROMPTS * margin.limit:.2g}")
    if limit is None or limit >= width:
        return Proposal(None, margin.why)
    return Proposal(limit, (f"{WORST_PROMPTS:g} times the margin: the worst prompts may lose so much more.",))


def propose_share(measured: Measured, purpose: Purpose, *, confidence: float) -> Proposal:
    """A limit on the share of prompts of which something is newly wrong."""
    hits = broken_in_any(measured.controls) or {}
    k, n = sum(hits.values()), len(hits)
    if not n:
        return Proposal(None, ("Nothing of it could be scored in the control.",))
    wanted, smallest = k / n + SHARES[purpose], clopper_pearson(k, n, confidence=confidence, side="upper")[1]
    why = [f"Between two runs of the model: {k} of {n} prompts. {purpose.capitalize()}: {SHARES[purpose]:.0%} more."]
    limit = float(f"{wanted:.2g}")
    if limit < smallest:
        limit = rounded_up(smallest)
        why.append(f"{n} prompts can't show less than {smallest:.2g} ({percent(confidence)}), so it is {limit:g}.")
    if limit >= 1:
        return Proposal(None, (f"{n} prompts can show no share at all.",))
    return Proposal(limit, tuple(why), prompts_needed_for_share(k, n, limit, confidence=confidence))


def _floor(measured: Measured) -> list[float]:
    return [value for value in measured.floor().values() if value is not None]


def _spread(measured: Measured) -> float | None:
    """Of the excess of a candidate without drift: that between two controls, or with one its own times the root of 2.

    The second is too large where prompts differ in how far the model is from itself. None below two prompts.
    """
    if len(measured.controls) > 1:
        first, second = measured.controls[:2]
        values = [a.value - b.value for prompt, a in first.items() if a and (b := second.get(prompt))]
        scale = 1.0
    else:
        values, scale = _floor(measured), math.sqrt(2)
    return scale * float(np.std(values, ddof=1)) if len(values) > 1 else None
