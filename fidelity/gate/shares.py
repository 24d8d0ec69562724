"""Shares of prompts with a conflict, with a new break, or without an answer."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from fidelity.floor import ByPrompt, total_of
from fidelity.gate.evidence import SEED, Evidence, Measured
from fidelity.gate.lines import Judged, VerdictPlan, unjudged, what_would_decide
from fidelity.gate.verdict import Line, LineKind
from fidelity.records import Floats, PromptIds, PromptNumbers, PromptValues
from fidelity.stats import betting_bound, betting_p_value, clopper_pearson, mcnemar, prompts_needed_for_share

Hits = PromptNumbers
"""1 for each prompt that has a conflict, is broken, or has no answer, and 0 for the others."""

WHAT: Mapping[LineKind, str] = {
    "break": "newly broken",
    "conflict": "in conflict with the baseline",
    "drop": "right in the baseline and wrong in the candidate",
}
"""What a counted prompt is, by the kind of its line."""


def judge_share(kind: LineKind, name: str, limit: float, measured: Measured, study: VerdictPlan) -> Judged:
    """Share of prompts with a conflict or a new break, with exact bounds. A fail needs more than in the control.

    More by McNemar's test, and more than the runs' batches explain (`run_noise`). A prompt counts if any of its repeats
    does. With several controls it counts for them if it does in any of them: never to the candidate's disadvantage.
    """
    hits = _hits(measured.candidate)
    if not hits:
        return unjudged(kind, name, limit, "no pair could be scored")
    judged = _judge(kind, name, limit, hits, broken_in_any(measured.controls), study, what=WHAT[kind])
    if judged.p_value > 1 - study.confidence or not (why := _why_batches_may_explain(measured, study)):
        return judged
    reason = f"{judged.line.reason.removesuffix('.')}, but {why}."
    return Judged(replace(judged.line, reason=reason))


def _why_batches_may_explain(measured: Measured, study: VerdictPlan) -> str:
    """Why the candidate's share can be that of another baseline run; empty if batches don't explain it."""
    excess, noise = measured.excess().known, measured.run_noise()
    if noise is None or (mean := total_of(excess.array) / len(excess)) > noise.distance(study.confidence):
        return ""
    moved = f"± {noise.distance(study.confidence):.1%} from batching"
    return f"not beyond what batches move: an excess of {mean:+.1%}, {moved}"


def judge_failed(limit: float, evidence: Evidence, study: VerdictPlan) -> Judged:
    """Share of prompts without an answer. It passes by its count, since a missing answer is missing for any reason.

        It fails if the underlying share exceeds the limit with confidence and the candidate fails more often than the
    control.
    """
    prompts = PromptIds(evidence.prompt_ids)
    failed, by_control = (
        PromptNumbers(prompts, np.array([one in lost for one in prompts.ids], np.float64))
        for lost in (evidence.failed, evidence.controls_failed)
    )
    control = by_control if evidence.control_manifests else None
    what = "without an answer" + (" in some repeat" if evidence.repeats > 1 else "")
    judged = _judge("failed", "max_failed", limit, failed, control, study, what=what)
    k, n = int(failed.array.sum()), len(failed)
    if k <= limit * n:
        reason = f"{k} of {n} prompts {what}: within {limit:.1%}."
        return Judged(replace(judged.line, outcome="pass", reason=reason, prompts_needed=None))
    if judged.line.lower is not None and judged.line.lower > limit:
        return judged
    reason = f"{k} of {n} prompts {what}: beyond {limit:.1%}, so the others may not be representative."
    return Judged(replace(judged.line, outcome="inconclusive", reason=reason))


def _judge(
    kind: LineKind, name: str, limit: float, hits: Hits, control: Hits | None, study: VerdictPlan, *, what: str
) -> Judged:
    """Exact bounds in a study of fixed size; betting bounds, valid at any time, in one that can stop early."""
    ids, values = hits.prompts.ids, hits.array
    k, n = int(values.sum()), len(hits)
    if study.planned is None:
        lower = clopper_pearson(k, n, confidence=study.confidence, side="lower")[0]
        upper = clopper_pearson(k, n, confidence=study.confidence, side="upper")[1]
    else:
        bound = betting_bound(ids, values, low=0, high=1, confidence=study.confidence, seed=SEED, planned=study.planned)
        lower, upper = bound.lower, bound.upper
    needed, p_value = None, 1.0
    if upper <= limit:
        bounded = f"at most {upper:.1%} {study.at}: within {limit:.1%}"
    elif lower <= limit:
        needed = prompts_needed_for_share(k, n, limit, confidence=study.confidence)
        bounded = f"between {lower:.1%} and {upper:.1%} {study.at}, around the limit of {limit:.1%}"
        bounded += what_would_decide(needed, n)
    else:
        against = _more_than(control, hits, study)
        p_value = max(_p_of_share(ids, values, limit, study), against)
        bounded = f"at least {lower:.1%} {study.at}: beyond {limit:.1%}"
        if control is None:
            bounded += ", but without a control the baseline's own share is unknown"
        elif against > 1 - study.confidence:
            control_hits = int(np.nansum(control.at(hits.prompts)))
            bounded += (
                f", but not significantly more often than the control with {control_hits} (McNemar, p = {against:.2g})"
            )
    line = Line(
        kind=kind,
        name=name,
        outcome="pass" if upper <= limit else "inconclusive",
        reason=f"{k} of {n} prompts {what}, {bounded}.",
        value=k / n,
        limit=limit,
        lower=lower,
        upper=upper,
        prompts_needed=needed,
        n=n,
    )
    return Judged(line, p_value)


def _p_of_share(ids: Sequence[str], values: Floats, limit: float, study: VerdictPlan) -> float:
    """The probability of as many or more if the underlying share is the limit."""
    from scipy.special import betainc

    if study.planned is not None:
        return betting_p_value(ids, values, limit, side="above", low=0, high=1, seed=SEED, planned=study.planned)
    k, n = int(values.sum()), len(values)
    return float(betainc(k, n - k + 1, limit)) if k else 1.0


def _more_than(control: Hits | None, candidate: Hits, study: VerdictPlan) -> float:
    """McNemar's p-value; in a study that can stop early, the p-value of a bet on the discordant prompts."""
    if control is None:
        return 1.0
    by_control = control.at(candidate.prompts)
    differs = ~np.isnan(by_control) & (candidate.array != by_control)
    differing = candidate.array[differs]
    if study.planned is None:
        return mcnemar(int(differing.sum()), int((1 - differing).sum()))
    ids = candidate.prompts.take(differs).ids
    return betting_p_value(ids, differing, 0.5, side="above", low=0, high=1, seed=SEED, planned=study.planned)


def broken_in_any(controls: Sequence[ByPrompt]) -> Hits | None:
    """Whether each prompt is broken in any control, for prompts that all controls could be scored on."""
    return _hits(*controls) if controls else None


def _hits(*columns: ByPrompt) -> Hits:
    """Whether each prompt has a hit in any column, for prompts that have a value in all."""
    first, *others = map(PromptValues.of, columns)
    values = np.stack([first.array, *(other.at(first.prompts).array for other in others)])
    hits = np.where(np.isnan(values).any(axis=0), np.nan, (values > 0).any(axis=0))
    return PromptNumbers(first.prompts, hits).known
