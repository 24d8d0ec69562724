"""Drafting a first gate.yaml: limits for a purpose, each with its reason, marked as provisional."""

import math
import textwrap
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from fidelity.config import explained
from fidelity.errors import ConfigError
from fidelity.gate.evidence import Evidence, Measured
from fidelity.gate.feasibility import out_of_reach
from fidelity.gate.floors import floor_level, half_way, why_no_plausible_floor
from fidelity.gate.lines import ENOUGH_CONTROLS
from fidelity.gate.proposals import CALM, PURPOSES, Proposal, Purpose, propose_margin, propose_share, propose_tail
from fidelity.gate.settings import (
    Gate,
    break_column,
    break_key,
    check_columns,
    conflict_column,
    conflict_key,
)
from fidelity.stats.bootstrap import FEWEST_IN_TAIL_STUDY

PROMPT_SETS = {"the starter set": 72, "Arena-Hard": 500}
LEADING_CONFLICTS = ("number", "negation", "any")
"""Kinds of conflict with active limits; limits of other kinds are written as comments."""
FREE_RUNNING = ("sts", "rougeL")
"""Columns of free-running text. Their margins are active with enough controls to estimate the noise of runs, or if no
calm column was scored; otherwise they are comments, as those of all other columns. Without any of these: the first two.
"""
WIDTH = 112


def draft(
    evidence: Evidence,
    *,
    purpose: Purpose = "balanced",
    margins: Mapping[str, float] | None = None,
    breaks: Mapping[str, float] | None = None,
    confidence: float = 0.95,
) -> str:
    """Return the text of a gate.yaml with limits from the floor, the number of prompts and a purpose.

    The candidate's drift is not used, and the gate is marked as provisional for this candidate.

    Args:
        evidence: The comparison with the gate's baseline, control and prompts.
        purpose: How much drift is acceptable.
        margins: Margins that the user sets, by column.
        breaks: Limits on hard breaks that the user sets, by check.
        confidence: The gate's confidence.

    Raises:
        ConfigError: There is no control or nothing to judge, or a limit that the user sets is on a column that can't
            be judged, or can't be passed with so few prompts.
    """
    margins, breaks = dict(margins or {}), dict(breaks or {})
    if not evidence.control_manifests:
        raise ConfigError(
            f"{evidence.candidate}: has no control, so there is no floor; run fidelity compare with a control first"
        )
    if margins or breaks:
        _check(margins, breaks, evidence, confidence)
    each = 1 - (1 - confidence) / evidence.candidates
    conflicting, broken = (
        {key(name): m for name, m in evidence.columns.items() if name == column(key(name))}
        for key, column in ((conflict_key, conflict_column), (break_key, break_column))
    )
    judged = {name: m for name, m in evidence.columns.items() if _has_margin(name, m)}
    if not (judged or broken or conflicting):
        raise ConfigError(
            f"{evidence.candidate}: no column that can be judged was scored; run fidelity compare with more metrics"
        )
    chosen = [*margins, *(name for name in _leading(judged) if name not in margins)] or [*judged][:2]
    return "\n".join(
        [
            *_head(evidence, purpose),
            f"confidence: {confidence:g}",
            *_conflicts(conflicting, purpose, each),
            *_margins(judged, chosen, margins, purpose, each),
            *_tail(judged, chosen, purpose, each),
            *_worst_floors(judged, chosen, margins, purpose, each),
            *_breaks(broken, breaks, purpose, each),
            "# Share of prompts that may have no answer. With more, the others may not be representative.",
            "max_failed: 0.02",
            "# With a primary column only its lines, conflicts, breaks and failures decide; the other lines warn.",
            f"# primary: {next(iter(chosen), 'COLUMN')}",
            "",
        ]
    )


def _check(margins: Mapping[str, float], breaks: Mapping[str, float], evidence: Evidence, confidence: float) -> None:
    try:
        gate = Gate(margins=dict(margins), breaks=dict(breaks), confidence=confidence)
    except ValidationError as error:
        raise explained(Path("gate init"), error) from error
    columns = {name: m.column for name, m in evidence.columns.items()}
    check_columns(gate, columns, unscored=evidence.unscored)
    if lacking := [n for n in (*margins, *map(break_column, breaks)) if n not in evidence.columns]:
        raise ConfigError(f"gate init: {lacking[0]} could not be scored: {evidence.unscored[lacking[0]]}")
    prompts, candidates = len(evidence.prompt_ids), evidence.candidates
    if sentences := out_of_reach(gate, columns, prompts=prompts, candidates=candidates):
        raise ConfigError("\n".join(sentences))


def _leading(judged: Mapping[str, Measured]) -> list[str]:
    """The columns that decide by default: calm ones, and free-running text if its runs' noise is known."""
    calm = [name for name in CALM if name in judged]
    free = [name for name in FREE_RUNNING if name in judged]
    return calm + [name for name in free if not calm or len(judged[name].controls) >= ENOUGH_CONTROLS]


def _has_margin(name: str, measured: Measured) -> bool:
    """Whether a margin can be proposed: not for descriptive columns, shares, profiles, or without exact bounds."""
    column = measured.column
    is_share = name in (break_column(break_key(name)), conflict_column(conflict_key(name)))
    own = column.better != "neither" and not is_share and "[" not in name
    has_floor = len(measured.floor().known) > 0
    return own and column.bounds is not None and column.weights is None and has_floor


def _head(evidence: Evidence, purpose: Purpose) -> list[str]:
    prompts, others = len(evidence.prompt_ids), [other for other in PURPOSES if other != purpose]
    together = f", {evidence.candidates} candidates" if evidence.candidates > 1 else ""
    text = (
        f"Provisional: proposed by `fidelity gate init --purpose {purpose}` (or {', '.join(others)}) from the floor "
        f"of {evidence.baseline_manifest.name} and its {prompts} prompts{together}. The candidate's drift was not "
        f"used. Read the reasons, change what you disagree with, then delete `provisional`. Until then this "
        f"candidate can't pass, and a pass of any other candidate is marked as provisional. Drift is displacement, "
        f"not quality."
    )
    return [*_comment(text), f"provisional: {evidence.candidate_manifest.id}"]


def _margins(
    columns: Mapping[str, Measured], chosen: list[str], wanted: Mapping[str, float], purpose: Purpose, confidence: float
) -> list[str]:
    if not columns:
        return []
    lines = ["# Mean excess over the floor, in the column's own unit; positive is worse.", "margins:"]
    for name in [*chosen, *(name for name in columns if name not in chosen)]:
        proposal = propose_margin(columns[name], purpose, confidence=confidence)
        implausible = why_no_plausible_floor(name, columns[name], Gate(margins={name: 0.5}))
        if name in wanted:
            lines += [*_comment(f"{proposal.why[0]} You set this margin.", indent=2), f"  {name}: {wanted[name]:g}"]
        elif implausible:
            lines += _comment(f"{name}: not proposed, since {implausible}.", indent=2)
        else:
            lines += _limit(name, proposal, active=name in chosen)
    return lines


def _tail(columns: Mapping[str, Measured], chosen: list[str], purpose: Purpose, confidence: float) -> list[str]:
    proposals = {name: propose_tail(columns[name], purpose, confidence=confidence) for name in chosen}
    n = min((len(columns[name].floor().known) for name in chosen), default=0)
    if n < FEWEST_IN_TAIL_STUDY:
        return [f"# No tail: 5% of {n} prompts are too few; it needs {FEWEST_IN_TAIL_STUDY} prompts."]
    lines = [line for name, proposal in proposals.items() for line in _limit(name, proposal, active=True)]
    return ["# Excess of the worst 5% of prompts.", "tail:", *lines]


def _worst_floors(
    columns: Mapping[str, Measured], chosen: list[str], wanted: Mapping[str, float], purpose: Purpose, confidence: float
) -> list[str]:
    """A floor that is lower by a margin could hide as much drift as the margin accepts, so it is accepted no lower."""
    lines, reasons = [], []
    for name, measured in ((name, columns[name]) for name in chosen if name in columns):
        level = floor_level(measured)
        if measured.column.better != "higher" or level is None:
            continue
        if why_no_plausible_floor(name, measured, Gate(margins={name: 0.5})):
            accepted = f"{name}: {_rounded_down(level):g} would accept a floor that any drift could hide in."
            reasons += _comment(accepted, indent=2)
        elif limit := wanted.get(name) or propose_margin(measured, purpose, confidence=confidence).limit:
            lines.append(f"  {name}: {_rounded_down(max(level - limit, half_way(measured))):g}")
    if not lines:
        return ["# worst_floor:", *reasons] if reasons else []
    why = "The lowest floor that is accepted: today's less the margin, since a lower one could hide as much drift."
    return [*_comment(why), "worst_floor:", *reasons, *lines]


def _rounded_down(value: float) -> float:
    return math.floor(100 * value + 1e-6) / 100  # 0.95 - 0.04 is 0.9099999999999999


def _conflicts(columns: Mapping[str, Measured], purpose: Purpose, confidence: float) -> list[str]:
    lines = []
    for name, measured in columns.items():
        proposal = propose_share(measured, purpose, confidence=confidence)
        lines += _limit(name, proposal, active=name.rpartition(".")[2] in LEADING_CONFLICTS)
    key = "conflicts:" if any(not line.lstrip().startswith("#") for line in lines) else "# conflicts:"
    return ["# Share of prompts whose answers may contradict the baseline's.", key, *lines] if lines else []


def _breaks(
    columns: Mapping[str, Measured], wanted: Mapping[str, float], purpose: Purpose, confidence: float
) -> list[str]:
    lines = []
    for name, measured in columns.items():
        proposal = propose_share(measured, purpose, confidence=confidence)
        if name in wanted:
            lines += [*_comment(f"{proposal.why[0]} You set this limit.", indent=2), f"  {name}: {wanted[name]:g}"]
        else:
            lines += _limit(name, proposal, active=True)
    return ["# Share of prompts that may be newly broken.", "breaks:", *lines] if lines else []


def _limit(name: str, proposal: Proposal, *, active: bool) -> list[str]:
    """A limit with its reasons above it; an inactive one is a comment."""
    if proposal.limit is None:
        return _comment(f"{name}: {' '.join(proposal.why)}", indent=2)
    why = " ".join(proposal.why)
    if proposal.needed:
        why += f" A candidate without drift needs about {proposal.needed} prompts to pass: {_sets(proposal.needed)}."
    return [*_comment(why, indent=2), f"  {'' if active else '# '}{name}: {proposal.limit:g}"]


def _comment(text: str, *, indent: int = 0) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=" " * indent + "# ", subsequent_indent=" " * indent + "# ")


def _sets(needed: int) -> str:
    return ", ".join(
        f"{name} ({size}) is {'enough' if needed <= size else 'too small'}" for name, size in PROMPT_SETS.items()
    )
