"""What manifests tell: whether a control is one, whether quantization engaged, and where two engines differ."""

from fidelity.checkpoints import FLOATS
from fidelity.config import RecordedEngine, TransformersEngine, VllmEngine, VllmSettings
from fidelity.gate.evidence import Evidence
from fidelity.gate.settings import Gate
from fidelity.gate.verdict import Line
from fidelity.store.manifests import RunManifest

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


def engine_differences(baseline: RunManifest, other: RunManifest) -> list[str]:
    """Where two engines are known to differ in more than the weights: "mode is eager (the baseline's: compiled)"."""
    compared = [(word, getattr(other.engine, key), getattr(baseline.engine, key)) for key, word in COMPARED.items()]
    return [
        f"{word} is {own} (the baseline's: {original})"
        for word, own, original in compared
        if own != original and not {own, original} & UNKNOWN
    ]


def is_quantized(manifest: RunManifest) -> bool | None:
    """Whether a run was meant to be quantized, by its options, its checkpoint, else its label; None where none says."""
    engine = manifest.config.engine
    if isinstance(engine, VllmEngine | TransformersEngine) and engine.torchao:
        return True
    options = engine.options if isinstance(engine, VllmSettings | TransformersEngine) else {}
    if options.get("quantization") or options.get("quantization_config"):
        return True
    named = manifest.checkpoint.format or manifest.label
    return None if named is None else not named.startswith(tuple(FLOATS.values()))


def _why_no_control(evidence: Evidence) -> str:
    """A control is judged by its manifest, never by its outputs: in FP32 it may well equal the baseline."""
    baseline = evidence.baseline_manifest
    if not evidence.control_manifests:
        return "No control: nothing says how far the baseline is from itself."
    for control in evidence.control_manifests:
        if _is_same_run(control, baseline):
            return f"The control {control.name} is the baseline itself, so that it shows no floor."
        if _is_same_run(control, evidence.candidate_manifest):
            return f"The control {control.name} is the candidate itself, so that nothing could lie beyond the floor."
        if differing := engine_differences(baseline, control):
            return f"The control {control.name} is no control, since its {' and its '.join(differing)}."
        models = [manifest.identity.get("model") for manifest in (baseline, control)]
        if models[0] != models[1]:
            return f"The control {control.name} is another model than the baseline."
    return ""


def _is_same_run(one: RunManifest, other: RunManifest) -> bool:
    """Recorded runs are known by what they say, and two of them may say the same: there the file tells."""
    engines = one.config.engine, other.config.engine
    if isinstance(engines[0], RecordedEngine) and isinstance(engines[1], RecordedEngine):
        return engines[0].path == engines[1].path
    return one.digest == other.digest


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


def _never_engaged(evidence: Evidence) -> str:
    manifest, same = evidence.candidate_manifest, evidence.same
    if is_quantized(manifest) and manifest.engine.quantized_layers == 0:
        return "Quantization never engaged: the engine reports no quantized layer."
    if same.texts and same.token_ids is not False and same.logprobs:
        return "Quantization never engaged: every text, token id and logprob equals the baseline's."
    if same.texts and same.token_ids is not False and same.logprobs is None:
        return "Can't tell whether quantization engaged: every text equals the baseline's, and there are no logprobs."
    return ""
