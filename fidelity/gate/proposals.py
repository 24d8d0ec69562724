"""Proposing limits for a gate from the floor, the number of prompts and a purpose.

The candidate's numbers are not used: a limit fitted to a candidate would always accept it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from fidelity.floor import total_of
from fidelity.gate.evidence import SEED, Measured
from fidelity.gate.feasibility import smallest_margin
from fidelity.gate.lines import percent, rounded_up
from fidelity.gate.shares import broken_in_any
from fidelity.records import Floats, PromptValues
from fidelity.stats import Bound, RunNoise, clopper_pearson, prompts_needed, prompts_needed_for_share, run_noise

Purpose = Literal["strict", "balanced", "lenient"]
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)
ROOM: Mapping[Purpose, float] = {"strict": 0.05, "balanced": 0.10, "lenient": 0.20}
"""The margin as a share of the distance from the floor to the chance level."""
CALM = ("ear", "top1_agreement")
"""Token columns, which batches hardly affect. They lead the gate, with a fifth of the usual share."""
CALM_ROOM: Mapping[Purpose, float] = {"strict": 0.01, "balanced": 0.02, "lenient": 0.05}
POWER = 0.8
"""The minimum probability that a candidate without drift passes a proposed margin."""
LIKELY = 0.95
"""The probability that a candidate without drift has no more conflicts or breaks than a proposed limit allows."""
NO_ROOM = 1e-9
"""Below this distance a floor equals the chance level up to rounding."""
WORST_PROMPTS = 2.0
"""The limit on the worst 5% of prompts, as a multiple of the margin."""
SHARES: Mapping[Purpose, float] = {"strict": 0.01, "balanced": 0.02, "lenient": 0.05}
"""The acceptable share of newly broken prompts, in addition to those that break between two baseline runs."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A limit and its reasons."""

    limit: float | None
    """None if no limit makes sense."""
    why: tuple[str, ...]
    """One sentence each."""
    needed: int | None = None
    """The approximate number of prompts that a candidate without drift needs to pass; None if unknown."""


def propose_margin(measured: Measured, purpose: Purpose, *, confidence: float) -> Proposal:
    """Propose a margin on the mean excess of a column with a known range."""
    floor, (low, high) = _floor(measured), measured.column.bounds or (0.0, 1.0)
    level = total_of(floor) / len(floor)
    itself, end, beyond = (high - level, measured.chance, "answers to different prompts")
    if measured.column.better == "lower":
        itself, end, beyond = level - low, high, "the worst possible value"
    elif end is None:
        end, beyond = low, "the worst possible value"
    room = abs(end - level)
    model = f"Two runs of the model: {level:.3f} ({itself:.3f} from identical); {beyond}: {end:.3f}."
    if (end > level) is (measured.column.better == "higher") or room < NO_ROOM:
        return Proposal(None, (model, "Two runs of the model are no closer than that, so no margin is meaningful."))
    share = (CALM_ROOM if measured.column.name in CALM else ROOM)[purpose]
    wanted, smallest = share * room, smallest_margin(len(floor), high - low, confidence=confidence)
    why = [model, f"{purpose.capitalize()}: {share:.0%} of the distance between them, {wanted:.2g}."]
    limit = float(f"{wanted:.2g}")
    if limit < smallest:
        limit = rounded_up(smallest)
        why.append(
            f"{len(floor)} prompts can't resolve less than {smallest:.2g} (at {percent(confidence)}): {limit:g}."
        )
    if limit >= high - low:
        return Proposal(None, (model, f"{len(floor)} prompts are too few for any margin."))
    width, spread, noise = high - low, _spread(measured), _noise(measured)
    if spread is None:
        return Proposal(limit, tuple(why))
    still = Bound(0.0, 0.0, 0.0, spread, len(floor), confidence, None, SEED, (-width, width))
    needed, wanted = prompts_needed(still, limit, runs=noise), limit
    while limit < width and (needed is None or needed > len(floor)):
        limit = rounded_up(limit)
        needed = prompts_needed(still, limit, runs=noise)
    if limit >= width:
        return Proposal(wanted, tuple(why), prompts_needed(still, wanted, runs=noise))
    if limit > wanted:
        why.append(f"A candidate without drift passes less than {limit:g} in under {POWER:.0%} of studies like this.")
    return Proposal(limit, tuple(why), needed)


def propose_tail(measured: Measured, purpose: Purpose, *, confidence: float) -> Proposal:
    """Propose a limit on the excess of the worst 5% of prompts."""
    margin = propose_margin(measured, purpose, confidence=confidence)
    width = np.ptp(measured.column.bounds or (0.0, 1.0))
    limit = None if margin.limit is None else float(f"{WORST_PROMPTS * margin.limit:.2g}")
    if limit is None or limit >= width:
        return Proposal(None, margin.why)
    return Proposal(
        limit, (f"{WORST_PROMPTS:g} times the margin, since the worst prompts may lose more than the mean.",)
    )


def propose_share(measured: Measured, purpose: Purpose, *, confidence: float) -> Proposal:
    """Propose a limit on the share of prompts with a conflict or a new break."""
    hits = broken_in_any(measured.controls)
    k, n = (int(hits.array.sum()), len(hits)) if hits else (0, 0)
    if not n:
        return Proposal(None, ("The control could not be scored on it.",))
    likely = _likely_hits(k, n)
    wanted, smallest = k / n + SHARES[purpose], clopper_pearson(likely, n, confidence=confidence, side="upper")[1]
    why = [f"Between two runs of the model: {k} of {n} prompts. {purpose.capitalize()}: {SHARES[purpose]:.0%} more."]
    limit = float(f"{wanted:.2g}")
    if limit < smallest:
        limit = math.ceil(100 * smallest) / 100
        again = f"Another run may have up to {likely}; then " if likely > k else ""
        why.append(f"{again}{n} prompts can't resolve less than {smallest:.2g} (at {percent(confidence)}): {limit:g}.")
    if limit >= 1:
        return Proposal(None, (f"{n} prompts are too few for any limit.",))
    return Proposal(limit, tuple(why), prompts_needed_for_share(k, n, limit, confidence=confidence))


def _likely_hits(hits: int, prompts: int) -> int:
    """The number that 95% of other runs of the model don't exceed (beta-binomial); 0 if there were none."""
    from scipy.stats import betabinom

    return int(betabinom.ppf(LIKELY, prompts, hits, prompts - hits + 1)) if hits else 0


def _noise(measured: Measured) -> RunNoise | None:
    """The noise of the baseline's runs; None for token columns, and with one control, which isn't enough."""
    if measured.among is None or len(measured.controls) < 2:
        return None
    prompts = measured.floor().known.prompts
    floor = np.array([PromptValues.of(pair).at(prompts).array for pair in measured.among.floor])
    return run_noise(np.zeros((len(measured.controls) + 1, len(prompts.ids))), floor)


def _floor(measured: Measured) -> Floats:
    return measured.floor().known.array


def _spread(measured: Measured) -> float | None:
    """Standard deviation of the excess of a candidate without drift, from two controls, or from one times sqrt(2).

    The latter is too large if prompts differ in their floor. None with fewer than two prompts.
    """
    if len(measured.controls) > 1:
        first, second = map(PromptValues.of, measured.controls[:2])
        values = first.array - second.at(first.prompts).array
        values, scale = values[~np.isnan(values)], 1.0
    else:
        values, scale = _floor(measured), math.sqrt(2)
    return scale * float(np.std(values, ddof=1)) if len(values) > 1 else None
