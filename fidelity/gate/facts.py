"""The preconditions of a verdict: a control that is one, a candidate that is one, and answers to judge by."""

from fidelity.config import Compares
from fidelity.gate.comparability import differences
from fidelity.gate.controls import why_no_control
from fidelity.gate.difference import Difference
from fidelity.gate.evidence import Evidence
from fidelity.gate.floors import why_anomalous
from fidelity.gate.lines import VerdictPlan
from fidelity.gate.quantization import mislabeled, why_not_engaged
from fidelity.gate.settings import Gate
from fidelity.gate.verdict import Line


def declared(gate: Gate, evidence: Evidence) -> frozenset[Compares]:
    """What the comparison is about: what the gate and the candidate's YAML say, else quantization."""
    named = frozenset((*gate.compares, *evidence.compares)) or frozenset[Compares]({"quantization"})
    return named | {"engine", "hardware"} if gate.allow_engine_difference else named


def differences_in(gate: Gate, evidence: Evidence) -> tuple[Difference, ...]:
    """Where baseline and candidate were not generated alike; those that the comparison is about are declared."""
    baseline, candidate = evidence.baseline_manifest, evidence.candidate_manifest
    return differences(baseline, candidate, evidence.prompt_tokens, declared=declared(gate, evidence))


def unmet(gate: Gate, evidence: Evidence, plan: VerdictPlan) -> list[Line]:
    """The preconditions of any verdict that aren't met: with one of them a candidate can neither pass nor fail."""
    baseline, candidate = evidence.baseline_manifest, evidence.candidate_manifest
    reasons = {
        "control": why_no_control(evidence.control_manifests, baseline, candidate),
        "failures": _unanswered(gate, evidence),
        "quantization": why_not_engaged(candidate, baseline, evidence.same, declared(gate, evidence)),
        "label": _labels(evidence),
        "floor": why_anomalous(_judged_by_a_floor(gate), evidence.columns, plan),
    }
    return [Line("precondition", name, "inconclusive", why) for name, why in reasons.items() if why]


def _judged_by_a_floor(gate: Gate) -> list[str]:
    return list(dict.fromkeys(limit.column for limit in gate.limits if limit.kind != "break"))


def _labels(evidence: Evidence) -> str:
    wrong = [mislabeled(manifest) for manifest in (evidence.baseline_manifest, evidence.candidate_manifest)]
    return "; ".join(f"The label is wrong: {why}" for why in wrong if why) + "." * any(wrong)


def _unanswered(gate: Gate, evidence: Evidence) -> str:
    """Failures of baseline and controls; the candidate's own are a line of the gate."""
    for manifest in (evidence.baseline_manifest, *evidence.control_manifests):
        failures, prompts = manifest.counts.failures, manifest.counts.prompts
        if failures > gate.max_failed * prompts:
            return (
                f"Too many failures: {manifest.name} gave no answer to {failures} of {prompts} prompts, and "
                f"max_failed is {gate.max_failed:.1%}."
            )
    return ""
