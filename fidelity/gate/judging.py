"""From evidence to a verdict: every line by itself, fails corrected for their number, then the whole."""

from collections.abc import Sequence
from dataclasses import replace

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
from fidelity.stats import holm

NOT_ABOUT_ANSWERS = ("quantization", "label", "prompts", "models", "thinking", "token ids")
"""Preconditions that say nothing about why an answer is missing."""


def judge(gate: Gate, evidence: Evidence) -> Verdict:
    """Hold a candidate against a gate.

    Pass takes every line, each at the confidence that so many candidates ask for (Bonferroni). Fail takes one line that
    is beyond its limit at that confidence, after Holm's correction for the lines that decide. All else is inconclusive:
    so is a fail that another engine may have caused, and everything where a precondition isn't met.

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
    # Missing answers fail even where those that are there equal the baseline's, or nothing was quantized.
    lines = [*unmet_ones, *(_softened(line, why_failed if line.kind == "failed" else why) for line in lines)]
    if any(line.name == "provisional" for line in unmet_ones):
        lines = [_not_passed(line, "the gate is provisional") for line in lines]
    outcome = worst(line.outcome for line in lines if line.decides)
    no_fail = f"beyond the gate in {_named(beyond)}, but {why}" if beyond else ""
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
        why_no_floor="" if evidence.control_manifests else "there is no control to take its floor from",
    )


def _each(gate: Gate, evidence: Evidence, plan: VerdictPlan) -> list[Judged]:
    """Every line of the gate, not yet failed."""
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
    judged = with_coverage(judged, measured, evidence, least=gate.coverage_of(limit.name))
    if limit.kind not in SHARES and (why := why_no_plausible_floor(limit.column, measured, gate)):
        reason = f"{judged.line.reason.removesuffix('.')}; but {why}."
        return Judged(replace(judged.line, outcome="inconclusive", reason=reason, prompts_needed=None))
    return judged


def _with_fails(judged: Sequence[Judged], gate: Gate, level: float) -> list[Line]:
    """The lines with what fails at a level; those that decide and those that warn are two families of their own."""
    lines = {}
    for decides in (True, False):
        family = [n for n, one in enumerate(judged) if gate.decides(one.line.kind, one.line.name) is decides]
        adjusted = holm([judged[n].p_value for n in family])
        for n, p_value in zip(family, adjusted, strict=True):
            line = replace(judged[n].line, decides=decides)
            if p_value <= level:
                line = replace(line, outcome="fail")
            elif judged[n].p_value <= level:
                line = _softened(replace(line, outcome="fail"), f"corrected for {len(family)} lines it is not sure")
            lines[n] = line
    return [lines[n] for n in range(len(judged))]


def _without_empty_passes(lines: Sequence[Line], evidence: Evidence) -> list[Line]:
    """The lines, none of whose margins passes if all that decide would accept answers to other prompts."""
    whys = {}
    for line in lines:
        if line.decides and line.kind in ("margin", "tail") and (measured := evidence.columns.get(line.name)):
            whys[line] = why_any_answer_passes(line.limit or 0.0, measured)
    if not all(whys.values()):
        return list(lines)
    return [
        replace(line, outcome="inconclusive", reason=f"{line.reason.removesuffix('.')}; but no pass: {whys[line]}.")
        if line in whys and line.outcome == "pass"
        else line
        for line in lines
    ]


def _why_no_fail(undeclared: Sequence[Difference], unmet_ones: Sequence[Line], lines: Sequence[Line]) -> str:
    """Why what is beyond its limit doesn't fail; empty where it does."""
    if unmet_ones:
        return f"a precondition is not met ({unmet_ones[0].name})"
    if undeclared:
        return f"its {in_words(undeclared)}, so that not all of this need be quantization's"
    if any(line.kind == "failed" and line.outcome == "inconclusive" for line in lines):
        return "too many prompts have no answer"
    return ""


def _softened(line: Line, why: str) -> Line:
    """A fail that is none, with the reason why, where there is one."""
    if line.outcome != "fail" or not why:
        return line
    return replace(line, outcome="inconclusive", reason=f"{line.reason.removesuffix('.')}; but no fail: {why}.")


def _not_passed(line: Line, why: str) -> Line:
    if line.outcome != "pass":
        return line
    return replace(line, outcome="inconclusive", reason=f"{line.reason.removesuffix('.')}; but no pass: {why}.")


def _reason(outcome: Outcome, lines: Sequence[Line], surely: str, no_fail: str) -> str:
    """One sentence for the whole."""
    preconditions = [line.reason for line in lines if line.kind == "precondition"]
    deciding = [line for line in lines if line.decides]
    named = _named([line for line in deciding if line.outcome == outcome])
    match outcome:
        case "pass":
            return f"Every line holds, each {surely}."
        case "fail":
            return f"Beyond the gate in {named} (of {len(deciding)} lines)."
        case "inconclusive":
            if preconditions:
                return preconditions[0]
            return f"The data can't tell: {no_fail or f'{named} (of {len(deciding)} lines)'}."


def _surely(gate: Gate, evidence: Evidence) -> str:
    """How sure each line is; with several candidates also how sure all of their verdicts are."""
    each = f"at {percent(gate.confidence_of_each(evidence.candidates))}"
    if evidence.candidates > 1:
        each += f" ({percent(gate.confidence)} over {evidence.candidates} candidates)"
    return each if gate.provisional is None else f"{each}; the limits are provisional, nobody has agreed to them yet"


def _named(lines: Sequence[Line]) -> str:
    return ", ".join(line.title for line in lines)
