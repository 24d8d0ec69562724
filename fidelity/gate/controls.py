"""Whether a control is what it claims to be: the baseline generated again, and nothing else."""

from collections.abc import Iterator, Sequence
from typing import Any

from fidelity.config import Compares
from fidelity.engines.environment import picks_kernels
from fidelity.gate.comparability import differences, in_words
from fidelity.gate.conditions import Manifest, engine_of
from fidelity.gate.quantization import mislabeled

ONLY_WEIGHTS: tuple[Compares, ...] = ("quantization",)
NO_PART_OF_IT = {"path", "deadline", "timeout", "patience", "base_url", "api_key_env", "ran"}
"""Keys of an engine's YAML that may differ between a baseline and its control: they change no output."""


def why_no_control(controls: Sequence[Manifest], baseline: Manifest, candidate: Manifest) -> str:
    """Why there is no floor to take away, with the first field in which a control differs; empty where there is one.

    A control is judged by what is recorded of it, never by its outputs: in FP32 it may well equal the baseline.
    """
    if not controls:
        return "No control: nothing says how far the baseline is from itself."
    for control in controls:
        name = f"The control {control['name']}"
        if _is_same_run(control, baseline):
            return f"{name} is the baseline itself, so that it shows no floor."
        if _is_same_run(control, candidate) or _same_answers(control, candidate, baseline):
            return f"{name} is the candidate itself, so that nothing could lie beyond the floor."
        if _other_model(control, baseline):
            return f"{name} is another model than the baseline."
        if found := differences(baseline, control, declared=ONLY_WEIGHTS):
            return f"{name} is no control, since its {in_words(found)}."
        for field, ours, theirs in _claims(baseline, control):
            if ours != theirs:
                return f"{name} is no control, since its {field} is {theirs} (the baseline's: {ours})."
        if why := mislabeled(control):
            return f"{name} is no control: {why}."
    return ""


def _claims(baseline: Manifest, control: Manifest) -> Iterator[tuple[str, Any, Any]]:
    """What must be equal: a field's name, the baseline's value and the control's."""
    engines = engine_of(baseline), engine_of(control)
    for key in sorted({*engines[0], *engines[1]} - NO_PART_OF_IT):
        ours, theirs = (engine.get(key) for engine in engines)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            for name in sorted({*ours, *theirs}):
                if key != "env" or picks_kernels(name):  # others may be secrets
                    yield f"engine.{key}.{name}", ours.get(name), theirs.get(name)
        else:
            yield f"engine.{key}", ours, theirs
    ran = [engine.get("ran") or {} for engine in engines]
    for name in sorted({*ran[0], *ran[1]}):
        yield f"ran.{name}", ran[0].get(name), ran[1].get(name)
    yield "label", baseline.get("label"), control.get("label")
    yield "revision", baseline["config"].get("revision"), control["config"].get("revision")
    yield "sampling", baseline.get("sampling"), control.get("sampling")
    for key in ("quantized_layers", "unquantized_layers", "ran_as", "model"):
        ours, theirs = (manifest["engine"].get(key) for manifest in (baseline, control))
        if ours is not None and theirs is not None:
            yield key.replace("_", " "), ours, theirs
    ours, theirs = ((manifest["checkpoint"] or {}).get("format") for manifest in (baseline, control))
    yield "checkpoint's format", ours, theirs


def _is_same_run(one: Manifest, other: Manifest) -> bool:
    """Recorded runs are known by their answers, and two of them may have the same: there the file tells."""
    if one["identity"].get("kind") == other["identity"].get("kind") == "recorded":
        return bool(one["config"]["engine"]["path"] == other["config"]["engine"]["path"])
    return bool(one["digest"] == other["digest"])


def _same_answers(control: Manifest, candidate: Manifest, baseline: Manifest) -> bool:
    """Whether the control's file holds the candidate's answers, unless those are the baseline's as well."""
    contents = [manifest["identity"].get("content") for manifest in (control, candidate, baseline)]
    return contents[0] is not None and contents[0] == contents[1] != contents[2]


def _other_model(control: Manifest, baseline: Manifest) -> bool:
    return bool(control["identity"].get("model") != baseline["identity"].get("model"))
