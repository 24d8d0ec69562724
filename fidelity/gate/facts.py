"""The preconditions of a verdict: a valid control, a valid candidate, and enough answers."""

from collections.abc import Sequence

from fidelity.config import Compares
from fidelity.gate.comparability import differences
from fidelity.gate.controls import why_no_control, why_not_independent
from fidelity.gate.difference import Difference
from fidelity.gate.evidence import Evidence
from fidelity.gate.floors import why_anomalous
from fidelity.gate.lines import VerdictPlan
from fidelity.gate.quantization import mislabeled, why_not_engaged, why_not_of_a_copy
from fidelity.gate.settings import Gate, Limit, break_key, conflict_key
from fidelity.gate.verdict import SHARES, Line
from fidelity.store.manifests import RunManifest

ONE_SIDED = 0.1
"""Share of answers that only one of two runs may think before."""


def declared(gate: Gate, evidence: Evidence) -> frozenset[Compares]:
    """The declared kinds of difference, of the gate and the candidate's YAML. Default: quantization."""
    named = frozenset((*gate.compares, *evidence.compares)) or frozenset[Compares]({"quantization"})
    return named | {"engine", "hardware"} if gate.allow_engine_difference else named


def differences_in(gate: Gate, evidence: Evidence) -> tuple[Difference, ...]:
    """The differences between the conditions of baseline and candidate, declared or not."""
    baseline, candidate = evidence.baseline_manifest, evidence.candidate_manifest
    return differences(baseline, candidate, evidence.prompt_tokens, declared=declared(gate, evidence))


def unmet(gate: Gate, evidence: Evidence, plan: VerdictPlan) -> list[Line]:
    """The unmet preconditions. With one of them a candidate can neither pass nor fail."""
    baseline, candidate = evidence.baseline_manifest, evidence.candidate_manifest
    reasons = {
        "control": why_no_control(evidence.control_manifests, baseline, candidate)
        or why_not_independent(evidence.control_manifests, evidence.shared_answers),
        "failures": _unanswered(gate, evidence),
        "prompts": "" if gate.allow_extra_prompts else _extra_prompts(evidence),
        "quantization": why_not_engaged(candidate, baseline, evidence.same, declared(gate, evidence)),
        "label": _labels(evidence),
        "models": _several_models(evidence),
        "thinking": _one_sided_thinking(gate, evidence),
        "token ids": _contradictions(gate, evidence),
        "floor": why_anomalous(_judged_by_a_floor(gate), evidence.columns, plan),
        "provisional": _why_provisional(gate, evidence.candidate_manifest),
    }
    return [Line("precondition", name, "inconclusive", why) for name, why in reasons.items() if why]


def _judged_by_a_floor(gate: Gate) -> list[str]:
    return list(dict.fromkeys(limit.column for limit in gate.limits if limit.kind not in ("break", "drop")))


def _why_provisional(gate: Gate, candidate: RunManifest) -> str:
    """An unmet precondition if the limits were proposed for this candidate and are still provisional."""
    if gate.provisional is None:
        return ""
    name, _, digest = gate.provisional.rpartition("-")
    if name != candidate.name and digest != candidate.digest[:8]:
        return ""
    return (
        f"The gate is provisional: its limits were proposed for {gate.provisional}. Read them, change what you "
        f"disagree with, and delete 'provisional' from the gate file."
    )


def _labels(evidence: Evidence) -> str:
    wrong = [mislabeled(manifest) for manifest in (evidence.baseline_manifest, evidence.candidate_manifest)]
    return "; ".join(f"The label is wrong: {why}" for why in wrong if why) + "." * any(wrong)


def caveats(gate: Gate, evidence: Evidence) -> list[str]:
    """What a pass doesn't say, a sentence each."""
    manifests = evidence.candidate_manifest, evidence.baseline_manifest
    sentences = [why_not_of_a_copy(*manifests, declared(gate, evidence))]
    if not any(_judges_drift(limit) for limit in gate.limits if gate.decides(limit.kind, limit.name)):
        sentences.append(
            "The gate has no margin on drift (rougeL, identical, ...), so how far the answers are from the baseline's "
            "was not judged."
        )
    return [sentence for sentence in sentences if sentence]


def _judges_drift(limit: Limit) -> bool:
    """Whether a limit is about how far answers are from the baseline's, not about breaks and conflicts."""
    column = limit.column
    return limit.kind not in SHARES and break_key(column) == column == conflict_key(column)


def _one_sided_thinking(gate: Gate, evidence: Evidence) -> str:
    """Thinking is left out of what texts are compared by, which is fair where both think, or where it is judged."""
    answers = len(evidence.prompt_ids) * evidence.repeats
    if evidence.one_sided_thinking <= ONE_SIDED * answers or any("thinking." in name for name in gate.margins):
        return ""
    return (
        f"Thinking: in {evidence.one_sided_thinking} of {answers} answers only one of {evidence.candidate} and the "
        f"baseline thinks before it answers, and the answers are compared without. Generate both alike, judge it too "
        f"(margins: {{thinking.rougeL: ...}}), or compare whole texts (reasoning: {{parser: none}})."
    )


def _contradictions(gate: Gate, evidence: Evidence) -> str:
    """Token ids that are not those of the texts, if a margin on token ids decides."""
    deciding = [gate.primary] if gate.primary else [*gate.margins, *gate.tail]
    answers = len(evidence.prompt_ids) * evidence.repeats
    by_ids = any(name.rpartition(".")[2].startswith("prefix_agreement") for name in deciding)
    if not by_ids or evidence.contradictions <= gate.max_failed * answers:
        return ""
    return (
        f"Token ids: in {evidence.contradictions} of {answers} answers they equal the baseline's and the texts don't, "
        f"so they aren't the ids of these texts; record both from one run, or judge texts alone (rougeL)."
    )


def _several_models(evidence: Evidence) -> str:
    for manifest in (evidence.candidate_manifest, evidence.baseline_manifest, *evidence.control_manifests):
        if manifest.engine.models:
            return (
                f"Several models: the rows of {manifest.name} are answers of {', '.join(manifest.engine.models)}; "
                f"record one model in a file."
            )
    return ""


def _extra_prompts(evidence: Evidence) -> str:
    if not (extra := evidence.extra_prompts):
        return ""
    return (
        f"Other prompts: {evidence.candidate} has answers to {counted_prompts(extra)}, which the baseline doesn't "
        f"have, so that the two aren't of one prompt set. Compare whole recordings of one set, or accept that these "
        f"answers are left out (allow_extra_prompts: true)."
    )


def counted_prompts(prompts: Sequence[str]) -> str:
    """`3 prompts (a, b, c)`, `5 prompts (a, b, c, ...)`."""
    names = ", ".join([*prompts[:3], *(["..."] if len(prompts) > 3 else [])])
    return f"{len(prompts)} prompt{'s' if len(prompts) > 1 else ''} ({names})"


def _unanswered(gate: Gate, evidence: Evidence) -> str:
    """Failures of baseline and controls. The candidate's failures are a line of the gate."""
    for manifest in (evidence.baseline_manifest, *evidence.control_manifests):
        failures, prompts = manifest.counts.failures, manifest.counts.prompts
        if failures > gate.max_failed * prompts:
            return (
                f"Too many failures: {manifest.name} gave no answer to {failures} of {prompts} prompts, and "
                f"max_failed is {gate.max_failed:.1%}."
            )
    return ""
