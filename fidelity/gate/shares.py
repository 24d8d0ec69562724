"""Shares of prompts with a conflict, with a new break, or without an answer."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fidelity.floor import ByPrompt
from fidelity.gate.evidence import SEED, Evidence, Measured
from fidelity.gate.lines import Judged, VerdictPlan, unjudged, what_would_decide
from fidelity.gate.verdict import Line, LineKind
from fidelity.stats import betting_bound, betting_p_value, clopper_pearson, mcnemar, prompts_needed_for_share

Hits = Mapping[str, bool]
"""Whether each prompt has a conflict, is broken, or has no answer, by prompt id."""

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
    excess = {prompt: value for prompt, value in measured.excess().items() if value is not None}
    noise = measured.run_noise(list(excess))
    if noise is None or (mean := sum(excess.values()) / len(excess)) > noise.distance(study.confidence):
        return ""
    moved = f"± {noise.distance(study.confidence):.1%} from batching"
    return f"not beyond what batches move: an excess of {mean:+.1%}, {moved}"


def judge_failed(limit: float, evidence: Evidence, study: VerdictPlan) -> Judged:
    """Share of prompts without an answer. It passes by its count, since a missing answer is missing for any reason.

        It fails if the underlying share exceeds the limit with confidence and the candidate fails more often than the
    control.
    """
    failed = {prompt: prompt in evidence.failed for prompt in evidence.prompt_ids}
    by_control = {prompt: prompt in evidence.controls_failed for prompt in evidence.prompt_ids}
    control = by_control if evidence.control_manifests else None
    what = "without an answer" + (" in some repeat" if evidence.repeats > 1 else "")
    judged = _judge("failed", "max_failed", limit, failed, control, study, what=what)
    k, n = sum(failed.values()), len(failed)
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
    ids, values = list(hits), [float(hit) for hit in hits.values()]
    k, n = sum(hits.values()), len(hits)
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
            control_hits = sum(control[prompt] for prompt in hits if prompt in control)
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


def _p_of_share(ids: Sequence[str], values: Sequence[float], limit: float, study: VerdictPlan) -> float:
    """The probability of as many or more if the underlying share is the limit."""
    from scipy.special import betainc

    if study.planned is not None:
        return betting_p_value(ids, values, limit, side="above", low=0, high=1, seed=SEED, planned=study.planned)
    k, n = sum(values), len(values)
    return float(betainc(k, n - k + 1, limit)) if k else 1.0


def _more_than(control: Hits | None, candidate: Hits, study: VerdictPlan) -> float:
    """McNemar's p-value; in a study that can stop early, the p-value of a bet on the discordant prompts."""
    if control is None:
        return 1.0
    only = {p: float(hit) for p, hit in candidate.items() if p in control and hit != control[p]}
    ids, differing = list(only), list(only.values())
    if study.planned is None:
        return mcnemar(int(sum(differing)), len(differing) - int(sum(differing)))
    return betting_p_value(ids, differing, 0.5, side="above", low=0, high=1, seed=SEED, planned=study.planned)


def _hits(column: ByPrompt) -> dict[str, bool]:
    return {prompt: value.value > 0 for prompt, value in column.items() if value is not None}


def broken_in_any(controls: Sequence[ByPrompt]) -> dict[str, bool] | None:
    """Whether each prompt is broken in any control, for prompts that all controls could be scored on."""
    each = [_hits(control) for control in controls]
    if not each:
        return None
    return {p: any(hits[p] for hits in each) for p in each[0] if all(p in hits for hits in each)}
