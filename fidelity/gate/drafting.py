"""A gate.yaml to begin with, from one measured comparison: every limit with its reason, and what it takes."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from fidelity.config import explained
from fidelity.errors import ConfigError
from fidelity.gate.evidence import Evidence, Measured
from fidelity.gate.lines import VerdictPlan, rounded_up
from fidelity.gate.margins import excess_bound, judge_tail
from fidelity.gate.settings import (
    Gate,
    break_column,
    break_key,
    check_columns,
    conflict_column,
    conflict_key,
)
from fidelity.gate.shares import judge_share
from fidelity.gate.verdict import LineKind
from fidelity.stats import Bound, prompts_needed, prompts_needed_for_share, smallest_resolvable_share

PROMPT_SETS = {"the starter set": 72, "Arena-Hard": 500}
LEADING_CONFLICTS = ("number", "negation", "any")
PREFERRED = ("sts", "rougeL")
"""Columns whose margins are written as limits; those of the others are comments. Without these, the first two."""


def draft(
    evidence: Evidence,
    *,
    margins: Mapping[str, float] | None = None,
    breaks: Mapping[str, float] | None = None,
    confidence: float = 0.95,
) -> str:
    """The text of a gate.yaml that accepts what was measured, marked as provisional.

    Args:
        evidence: The measured comparison.
        margins: The margins that are wanted, by column; the others are taken from the data.
        breaks: The same for hard breaks, by check.
        confidence: The gate's.

    Raises:
        ConfigError: There is no control or nothing to judge; or a limit that is wanted is for no column that can be
            judged, or below what so few prompts can resolve.
    """
    margins, breaks = dict(margins or {}), dict(breaks or {})
    if not evidence.control_manifests:
        raise ConfigError(f"{evidence.candidate}: has no control, so there is no floor; compare with a control first")
    if margins or breaks:
        _check(margins, breaks, evidence)
    study = VerdictPlan(confidence, tests=1)
    conflicting, broken = (
        {key(name): m for name, m in evidence.columns.items() if name == column(key(name))}
        for key, column in ((conflict_key, conflict_column), (break_key, break_column))
    )
    bounds = {name: bound for name, m in evidence.columns.items() if (bound := _bound(name, m, study))}
    if not (bounds or broken or conflicting):
        raise ConfigError(f"{evidence.candidate}: nothing that can be judged was scored; compare with more metrics")
    chosen = [*margins, *(name for name in PREFERRED if name in bounds and name not in margins)] or [*bounds][:2]
    lines = [
        f"# Provisional: written by `fidelity gate init` from {evidence.candidate} against "
        f"{evidence.baseline_manifest.name}, {len(evidence.prompt_ids)} prompts.",
        "# A limit that was not given is what was measured, plus what so few prompts leave open, rounded up: it",
        "# accepts this candidate. Whether so much drift is acceptable is for you to say: change the limits, then",
        "# delete these lines. Drift is displacement, not quality.",
        f"confidence: {confidence:g}",
        *_shares("conflict", "conflicts", conflicting, {}, study),
        *_margins(bounds, chosen, margins, study),
        *_tail(evidence.columns, chosen, study),
        *_shares("break", "breaks", broken, breaks, study),
        "# Share of prompts without an answer, as counted; beyond it the rest may not stand for all.",
        "max_failed: 0.02",
        "# With a primary column only its lines, conflicts, hard breaks and failures decide, and the other lines warn.",
        f"# primary: {next(iter(chosen), 'COLUMN')}",
    ]
    return "\n".join(lines) + "\n"


def _check(margins: Mapping[str, float], breaks: Mapping[str, float], evidence: Evidence) -> None:
    try:
        gate = Gate(margins=dict(margins), breaks=dict(breaks))
    except ValidationError as error:
        raise explained(Path("gate init"), error) from error
    check_columns(gate, {name: m.column for name, m in evidence.columns.items()}, unscored=evidence.unscored)
    if lacking := [n for n in (*margins, *map(break_column, breaks)) if n not in evidence.columns]:
        raise ConfigError(f"gate init: {lacking[0]} could not be scored: {evidence.unscored[lacking[0]]}")


def _bound(name: str, measured: Measured, study: VerdictPlan) -> Bound | None:
    """None for what only describes, shares (which have limits of their own), profiles, and what has no such bound."""
    is_share = name in (break_column(break_key(name)), conflict_column(conflict_key(name)))
    if measured.column.better == "neither" or is_share or "[" in name:
        return None
    return excess_bound(measured, study)


def _margins(
    bounds: Mapping[str, Bound], chosen: list[str], wanted: Mapping[str, float], study: VerdictPlan
) -> list[str]:
    if not bounds:
        return []
    lines = ["# Mean excess over the floor, in the column's own unit; positive is worse.", "margins:"]
    for name in [*chosen, *(name for name in bounds if name not in chosen)]:
        bound = bounds[name]
        mean, width = bound.mean or 0.0, bound.range[1]
        margin = wanted.get(name) or rounded_up(max(mean, 0.0) + bound.upper - mean)
        _refuse_unresolvable(f"margins.{name}", margin, bound.n, width, study)
        if margin >= width:
            lines.append(f"  # {name}: no margin could be exceeded beyond the measured excess of {mean:+.3f}")
            continue
        needed = prompts_needed(bound, margin)
        without = _prompts(prompts_needed(replace(bound, mean=0.0), margin))
        lines += [
            f"  # Measured: {mean:+.3f}, at most {bound.upper:+.3f} {study.at}. At this mean and spread",
            f"  # a verdict takes {_prompts(needed)} (without any excess {without}):",
            f"  # {_sets(needed)}.",
            f"  {'' if name in chosen else '# '}{name}: {margin:g}",
        ]
    return lines


def _tail(columns: Mapping[str, Measured], chosen: list[str], study: VerdictPlan) -> list[str]:
    lines = []
    for name in chosen:
        line = judge_tail(name, 1.0, columns[name], study).line
        if line.value is None or line.upper is None:
            return [f"# No tail: {line.reason.removeprefix('Not judged: ')}"]
        limit = rounded_up(max(line.value, 0.0) + line.upper - line.value)
        lines += [f"  # Measured: {line.value:+.3f}, at most {line.upper:+.3f} {study.at} (bootstrap)."]
        lines += [f"  {name}: {limit:g}"]
    return ["# Excess of the worst 5 % of prompts.", "tail:", *lines] if lines else []


def _shares(
    kind: LineKind, key: str, columns: Mapping[str, Measured], wanted: Mapping[str, float], study: VerdictPlan
) -> list[str]:
    """Limits on conflicts: `number`, `negation` and `any`, the other kinds as comments; limits on all breaks."""
    lines = []
    for name, measured in columns.items():
        line = judge_share(kind, name, 0.5, measured, study).line
        if line.value is None or line.upper is None:
            continue
        limit = wanted.get(name) or rounded_up(line.upper)
        _refuse_unresolvable(f"{key}.{name}", limit, line.n, 1.0, study)
        if limit >= 1:
            continue
        k = round(line.value * line.n)
        needed = prompts_needed_for_share(k, line.n, limit, confidence=study.confidence)
        leads = kind != "conflict" or name.rpartition(".")[2] in LEADING_CONFLICTS
        lines += [
            f"  # Measured: {k} of {line.n}, at most {line.upper:.1%} {study.at}. At this share a verdict takes",
            f"  # {_prompts(needed)}: {_sets(needed)}.",
            f"  {'' if leads else '# '}{name}: {limit:g}",
        ]
    title = (
        "# Share of prompts newly broken."
        if kind == "break"
        else "# Share of prompts whose answers contradict the baseline's."
    )
    return [title, f"{key}:", *lines] if lines else []


def _refuse_unresolvable(where: str, limit: float, n: int, width: float, study: VerdictPlan) -> None:
    """Below this even a study without a single bad prompt can't show that the limit holds, whatever the bound."""
    smallest = smallest_resolvable_share(n, confidence=study.confidence) * width
    if limit < smallest:
        enough = math.ceil(math.log(1 - study.confidence) / math.log1p(-limit / width))
        raise ConfigError(
            f"{where}: {limit:g} is below what {n} prompts can resolve: without one bad prompt among them, "
            f"{smallest:.2g} is still possible; give at least that, or measure {enough} prompts"
        )


def _prompts(needed: int | None) -> str:
    return "more prompts than there are" if needed is None else f"some {needed} prompts"


def _sets(needed: int | None) -> str:
    return ", ".join(
        f"{name} ({size}) is {'enough' if needed is not None and needed <= size else 'too small'}"
        for name, size in PROMPT_SETS.items()
    )
