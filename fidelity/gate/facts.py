"""What manifests tell: whether a control is one, whether quantization engaged, and where two engines differ."""

from collections.abc import Mapping
from typing import Any

from fidelity.checkpoints import FLOATS
from fidelity.gate.evidence import Evidence
from fidelity.gate.settings import Gate
from fidelity.gate.verdict import Line

Manifest = Mapping[str, Any]
COMPARED = {"kind": "engine", "version": "version", "mode": "mode", "device": "hardware"}
"""What of an engine changes outputs by itself, and its name for people."""
UNKNOWN = {None, "recorded"}
"""What a recording that doesn't say what ran has for an engine: held against nobody."""


def unmet(gate: Gate, evidence: Evidence) -> list[Line]:
    """The preconditions of any verdict that aren't met: with one of them a candidate can neither pass nor fail."""
    found = {
        "control": _why_no_control(evidence),
        "failures": _unanswered(gate, evidence),
        "quantization": _never_engaged(evidence),
    }
    return [Line("precondition", name, "inconclusive", why) for name, why in found.items() if why]


def engine_differences(baseline: Manifest, other: Manifest) -> list[str]:
    """Where two engines are known to differ in more than the weights: "mode is eager (the baseline's: compiled)"."""
    ours, theirs = ({key: manifest["engine"][key] for key in COMPARED} for manifest in (baseline, other))
    return [
        f"{word} is {theirs[key]} (the baseline's: {ours[key]})"
        for key, word in COMPARED.items()
        if ours[key] != theirs[key] and not {ours[key], theirs[key]} & UNKNOWN
    ]


def is_quantized(manifest: Manifest) -> bool | None:
    """Whether a run was meant to be quantized, by its options, its checkpoint, else its label; None where none says."""
    engine = manifest["config"].get("engine") or {}
    options = engine.get("options") or {}
    if engine.get("torchao") or options.get("quantization") or options.get("quantization_config"):
        return True
    named = (manifest["checkpoint"] or {}).get("format") or manifest["label"]
    return None if named is None else not str(named).startswith(tuple(FLOATS.values()))


def _why_no_control(evidence: Evidence) -> str:
    """A control is judged by its manifest, never by its outputs: in FP32 it may well equal the baseline."""
    baseline = evidence.baseline_manifest
    if not evidence.control_manifests:
        return "No control: nothing says how far the baseline is from itself."
    for control in evidence.control_manifests:
        if _is_same_run(control, baseline):
            return f"The control {control['name']} is the baseline itself, so that it shows no floor."
        if _is_same_run(control, evidence.candidate_manifest):
            return f"The control {control['name']} is the candidate itself, so that nothing could lie beyond the floor."
        if differing := engine_differences(baseline, control):
            return f"The control {control['name']} is no control, since its {' and its '.join(differing)}."
        models = [manifest["identity"].get("model") for manifest in (baseline, control)]
        if models[0] != models[1]:
            return f"The control {control['name']} is another model than the baseline."
    return ""


def _is_same_run(one: Manifest, other: Manifest) -> bool:
    """Recorded runs are known by what they say, and two of them may say the same: there the file tells."""
    if one["identity"].get("kind") == other["identity"].get("kind") == "recorded":
        return bool(one["config"]["engine"]["path"] == other["config"]["engine"]["path"])
    return bool(one["digest"] == other["digest"])


def _unanswered(gate: Gate, evidence: Evidence) -> str:
    """Failures of baseline and controls; the candidate's own are a line of the gate."""
    for manifest in (evidence.baseline_manifest, *evidence.control_manifests):
        failures, prompts = manifest["counts"]["failures"], manifest["counts"]["prompts"]
        if failures > gate.max_failed * prompts:
            return (
                f"Too many failures: {manifest['name']} gave no answer to {failures} of {prompts} prompts, and "
                f"max_failed is {gate.max_failed:.1%}."
            )
    return ""


def _never_engaged(evidence: Evidence) -> str:
    manifest, same = evidence.candidate_manifest, evidence.same
    if is_quantized(manifest) and manifest["engine"]["quantized_layers"] == 0:
        return "Quantization never engaged: the engine reports no quantized layer."
    if same.texts and same.token_ids is not False and same.logprobs:
        return "Quantization never engaged: every text, token id and logprob equals the baseline's."
    if same.texts and same.token_ids is not False and same.logprobs is None:
        return "Can't tell whether quantization engaged: every text equals the baseline's, and there are no logprobs."
    return ""
