"""From evidence to a verdict: each line, then the correction for their number, then the overall outcome."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fidelity.gate.comparability import in_words
from fidelity.gate.coverage import with_coverage
from fidelity.gate.difference import Difference
from fidelity.gate.evidence import SEED, Evidence
from fidelity.gate.facts import caveats, differences_in, unmet
from fidelity.gate.floors import why_any_answer_passes, why_no_plausible_floor
from fidelity.gate.lines import Judged, VerdictPlan, percent, unjudged
from fidelity.gate.margins import judge_margin, judge_tail
from fidelity.gate.settings import Gate, Limit, check_columns
from fidelity.gate.shares import judge_failed, judge_share
from fidelity.gate.verdict import SHARES, Line, Outcome, Verdict, worst
from fidelity.records import PromptValues
from fidelity.stats import holm

NOT_ABOUT_ANSWERS = ("quantization", "label", "prompts", "models", "thinking", "token ids")
"""Preconditions that say nothing about why an answer is missing."""


def judge(gate: Gate, evidence: Evidence) -> Verdict:
    """Judge a candidate with a gate.

    A pass needs every line to pass, each at the confidence required for so many candidates (Bonferroni). A fail needs
    one line beyond its limit at that confidence, after Holm's correction for the lines that decide. Everything else is
    inconclusive, including a fail that another difference can explain, and any outcome with an unmet precondition.

    Raises:
        ConfigError: The gate names a column that was not scored, or that can't be judged.
    """
    check_columns(gate, {name: m.column for name, m in evidence.columns.items()}, unscored=evidence.unscored)
    plan = _plan(gate, evidence)
    unmet_ones = unmet(gate, evidence, plan)
    judged = _each(gate, evidence, plan)
    lines = _without_empty_passes(_with_fails(judged, gate, 1 - plan.confidence), evidence)
    differing = differences_in(gate, evidence)
    undeclared = [difference for difference in differing if not difference.declared]
    why = _why_no_fail(undeclared, unmet_ones, lines)
    about_answers = [line for line in unmet_ones if line.name not in NOT_ABOUT_ANSWERS]
    why_failed = _why_no_fail(undeclared, about_answers, lines)
    beyond = [line for line in lines if line.decides and line.outcome == "fail"]
    # Missing answers fail even if the other answers equal the baseline's, or nothing was quantized.
    lines = [*unmet_ones, *(_softened(line, why_failed if line.kind == "failed" else why) for line in lines)]
    if any(line.name == "provisional" for line in unmet_ones):
        lines = [_not_passed(line, "the gate is provisional") for line in lines]
    outcome = worst(line.outcome for line in lines if line.decides)
    no_fail = f"beyond the limit in {_named(beyond)}, but {why}" if beyond else ""
    reason = _reason(outcome, lines, _surely(gate, evidence), no_fail)
    if outcome == "pass":
        reason = " ".join([reason, *caveats(gate, evidence)])
    return Verdict(
        candidate=evidence.candidate,
        outcome=outcome,
        reason=f"{reason} And its {in_words(undeclared)}." if unmet_ones and undeclared else reason,
        lines=tuple(lines),
        confidence=gate.confidence,
        seed=SEED,
        planned=evidence.planned,
        candidates=evidence.candidates,
        differences=differing,
    )


def _plan(gate: Gate, evidence: Evidence) -> VerdictPlan:
    return VerdictPlan(
        confidence=gate.confidence_of_each(evidence.candidates),
        tests=len(gate.limits) + 1,
        planned=evidence.planned,
        complete=evidence.complete,
        why_no_floor="" if evidence.control_manifests else "there is no control that gives a floor",
    )


def _each(gate: Gate, evidence: Evidence, plan: VerdictPlan) -> list[Judged]:
    """Every line of the gate, before the correction that lets it fail."""
    judged = [_limit(limit, gate, evidence, plan) for limit in gate.limits]
    return [*judged, judge_failed(gate.max_failed, evidence, plan)]


def _limit(limit: Limit, gate: Gate, evidence: Evidence, plan: VerdictPlan) -> Judged:
    measured = evidence.columns.get(limit.column)
    if measured is None:
        return unjudged(limit.kind, limit.name, limit.value, evidence.unscored[limit.column])
    if limit.kind in SHARES:
        judged = judge_share(limit.kind, limit.name, limit.value, measured, plan)
    else:
        judge_limit = judge_margin if limit.kind == "margin" else judge_tail
        judged = judge_limit(limit.name, limit.value, measured, plan)
    total = len(evidence.prompt_ids) - (_not_expecting(evidence) if limit.kind == "drop" else 0)
    judged = with_coverage(judged, measured, evidence, least=gate.coverage_of(limit.name), total=total)
    if limit.kind == "drop" and judged.line.outcome == "pass" and (why := _why_any_copy_passes(limit, evidence)):
        return Judged(_not_passed(judged.line, why), judged.p_value)
    if limit.kind not in SHARES and (why := why_no_plausible_floor(limit.column, measured, gate)):
        reason = f"{judged.line.reason.removesuffix('.')}; but {why}."
        return Judged(replace(judged.line, outcome="inconclusive", reason=reason, prompts_needed=None))
    return judged


def _not_expecting(evidence: Evidence) -> int:
    """The number of prompts without an expected answer, which a line on right and wrong answers needn't cover."""
    measured = evidence.columns.get("unclear")
    return int((~PromptValues.of(measured.candidate).scored).sum()) if measured else 0


def _why_any_copy_passes(limit: Limit, evidence: Evidence) -> str:
    """Why a limit on drops limits nothing: the baseline has so few right answers that half of them may be dropped."""
    drop, gain, right = (PromptValues.of(evidence.columns[name].candidate) for name in ("drop", "gain", "right"))
    known = right.at(drop.prompts).array + drop.array - gain.at(drop.prompts).array
    share = float(np.nansum(known)) / int(drop.scored.sum())
    if limit.value < share / 2:
        return ""
    return (
        f"the baseline is right on {share:.1%} of the prompts, so {limit.value:g} accepts a copy that drops half of "
        f"that; use easier prompts, or a limit below {share / 2:.2g}"
    )


def _with_fails(judged: Sequence[Judged], gate: Gate, level: float) -> list[Line]:
    """The lines, with fails at a corrected level. Lines that decide and lines that warn are separate families."""
    lines = {}
    for decides in (True, False):
        family = [n for n, one in enumerate(judged) if gate.decides(one.line.kind, one.line.name) is decides]
        adjusted = holm([judged[n].p_value for n in family])
        for n, p_value in zip(family, adjusted, strict=True):
            line = replace(judged[n].line, decides=decides)
            if p_value <= level:
                line = replace(line, outcome="fail")
            elif judged[n].p_value <= level:
                line = _softened(
                    replace(line, outcome="fail"), f"after correction for {len(family)} lines it is not significant"
                )
            lines[n] = line
    return [lines[n] for n in range(len(judged))]


def _without_empty_passes(lines: Sequence[Line], evidence: Evidence) -> list[Line]:
    """The lines. No margin passes if all deciding margins would accept answers to different prompts."""
    whys = {}
    for line in lines:
        if line.decides and line.kind in ("margin", "tail") and (measured := evidence.columns.get(line.name)):
            whys[line] = why_any_answer_passes(line.limit or 0.0, measured)
    if not all(whys.values()):
        return list(lines)
    return [
        replace(
            line, outcome="inconclusive", reason=f"{line.reason.removesuffix('.')}; but it can't pass: {whys[line]}."
        )
        if line in whys and line.outcome == "pass"
        else line
        for line in lines
    ]


def _why_no_fail(undeclared: Sequence[Difference], unmet_ones: Sequence[Line], lines: Sequence[Line]) -> str:
    """Why a line beyond its limit doesn't fail; empty if it does."""
    if unmet_ones:
        return f"a precondition is not met ({unmet_ones[0].name})"
    if undeclared:
        return f"its {in_words(undeclared)}, so quantization may not be the cause"
    if any(line.kind == "failed" and line.outcome == "inconclusive" for line in lines):
        return "too many prompts have no answer"
    return ""


def _softened(line: Line, why: str) -> Line:
    """Turn a fail into an inconclusive line if there is a reason."""
    if line.outcome != "fail" or not why:
        return line
    return replace(line, outcome="inconclusive", reason=f"{line.reason.removesuffix('.')}; but it can't fail: {why}.")


def _not_passed(line: Line, why: str) -> Line:
    if line.outcome != "pass":
        return line
    return replace(line, outcome="inconclusive", reason=f"{line.reason.removesuffix('.')}; but it can't pass: {why}.")


def _reason(outcome: Outcome, lines: Sequence[Line], surely: str, no_fail: str) -> str:
    """The verdict's overall reason, in one sentence."""
    preconditions = [line.reason for line in lines if line.kind == "precondition"]
    deciding = [line for line in lines if line.decides]
    reached = [line for line in deciding if line.outcome == outcome]
    named = f"{_named(reached)} ({len(reached)} of {len(deciding)} lines)"
    match outcome:
        case "pass":
            return f"Every line passes, each {surely}."
        case "fail":
            return f"Beyond the limit: {named}."
        case "inconclusive":
            if preconditions:
                return preconditions[0]
            return f"Undecided: {no_fail or named}."


def _surely(gate: Gate, evidence: Evidence) -> str:
    """The confidence of each line; with several candidates also the overall confidence."""
    each = f"at {percent(gate.confidence_of_each(evidence.candidates))}"
    if evidence.candidates > 1:
        each += f" ({percent(gate.confidence)} over {evidence.candidates} candidates)"
    return (
        each
        if gate.provisional is None
        else f"{each}; the limits are provisional: review them and delete 'provisional'"
    )


def _named(lines: Sequence[Line]) -> str:
    return ", ".join(line.title for line in lines)
