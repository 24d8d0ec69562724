"""Checking that a control is the baseline generated again."""

from collections.abc import Iterator, Sequence
from typing import Any

from fidelity.config import Compares, RecordedEngine
from fidelity.gate.comparability import differences, in_words
from fidelity.gate.conditions import configured
from fidelity.gate.quantization import mislabeled
from fidelity.outside.environment import picks_kernels
from fidelity.records import SharedAnswers
from fidelity.stats import mcnemar
from fidelity.store.manifests import RunManifest

ONLY_WEIGHTS: tuple[Compares, ...] = ("quantization",)
CHANGES_NOTHING = {"path", "deadline", "timeout", "patience", "base_url", "api_key_env", "ran"}
"""Keys of `engine:` that can differ between a baseline and its control. `ran` is compared key by key."""
DEPENDENT = 0.001
"""Significance level of the test on whose answers the control's are closer to (docs/comparability.md)."""
FROM_THE_ENGINE = ("quantized_layers", "unquantized_layers", "ran_as", "model")
"""Properties of the model that engines report, compared if both report them."""


def why_no_control(controls: Sequence[RunManifest], baseline: RunManifest, candidate: RunManifest) -> str:
    """Why there is no floor, with the first field in which a control differs; empty if there is a floor.

    A control is judged by its records, never by its outputs: in FP32 it can equal the baseline.
    """
    if not controls:
        return "No control: the baseline's drift from itself is unknown. Generate one (control: {repeats: 1})."
    for place, control in enumerate(controls):
        name = f"The control {control.name}"
        if earlier := next((one for one in controls[:place] if _is_a_copy(control, one, baseline)), None):
            return f"{name} is no control: it is a copy of the control {earlier.name}, so it can't show how runs vary."
        if _is_same_run(control, baseline):
            if baseline.batch_invariant:
                continue  # the floor is zero by proof
            return f"{name} is no control: it is the baseline itself, so it gives no floor."
        if _is_same_run(control, candidate) or _has_the_same_answers(control, candidate, baseline):
            return f"{name} is no control: it is the candidate itself, so no drift could exceed the floor."
        if control.identity.get("model") != baseline.identity.get("model"):
            return f"{name} is no control: it is a different model than the baseline."
        if differing := differences(baseline, control, declared=ONLY_WEIGHTS):
            return f"{name} is no control, since its {in_words(differing)}."
        for field, expected, actual in _claims(baseline, control):
            if expected != actual:
                return f"{name} is no control, since its {field} is {actual} (the baseline's: {expected})."
        if why := mislabeled(control):
            return f"{name} is no control: {why}."
    return ""


def why_not_independent(controls: Sequence[RunManifest], shared: Sequence[SharedAnswers]) -> str:
    """Why a control seems to contain the candidate's answers, whatever its records are; empty if none does.

    Baseline and control are the same model, so an answer of the control is at least as likely to be closer to the
    baseline's answer as to the candidate's (one-sided sign test).
    """
    for control, counts in zip(controls, shared, strict=False):
        if mcnemar(counts.candidate_and_control, counts.baseline_and_control) <= DEPENDENT:
            return (
                f"The control {control.name} is closer to the candidate than to its own model, in "
                f"{counts.candidate_and_control} answers against {counts.baseline_and_control}, so it gives no floor."
            )
    return ""


def _claims(baseline: RunManifest, control: RunManifest) -> Iterator[tuple[str, Any, Any]]:
    """Yield what must be equal: a field's name, the baseline's value and the control's."""
    expected, actual = configured(baseline), configured(control)
    for key in sorted({*expected, *actual} - CHANGES_NOTHING):
        yield from _entries(f"engine.{key}", expected.get(key), actual.get(key))
    yield from _entries("ran", expected.get("ran") or {}, actual.get("ran") or {})
    yield "label", baseline.label, control.label
    yield "revision", baseline.config.revision, control.config.revision
    yield "sampling", baseline.sampling, control.sampling
    for key in FROM_THE_ENGINE:
        values = getattr(baseline.engine, key), getattr(control.engine, key)
        if None not in values:
            yield (key.replace("_", " "), *values)
    yield "checkpoint's format", baseline.checkpoint.format, control.checkpoint.format


def _entries(field: str, expected: Any, actual: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield a value, or each value of a mapping. Environment variables that select no kernels can be secrets."""
    if not isinstance(expected, dict) or not isinstance(actual, dict):
        yield field, expected, actual
        return
    for name in sorted({*expected, *actual}):
        if field != "engine.env" or picks_kernels(name):
            yield f"{field}.{name}", expected.get(name), actual.get(name)


def _is_same_run(one: RunManifest, other: RunManifest) -> bool:
    """The identity of a recorded run: its file, since two recordings can have equal answers."""
    engines = one.config.engine, other.config.engine
    if isinstance(engines[0], RecordedEngine) and isinstance(engines[1], RecordedEngine):
        return engines[0].path == engines[1].path
    return one.digest == other.digest


def _is_a_copy(control: RunManifest, earlier: RunManifest, baseline: RunManifest) -> bool:
    """Whether two controls are one run; a deterministic engine gives equal ones, which then equal the baseline too."""
    if _is_same_run(control, earlier):
        return True
    return _has_the_same_answers(control, earlier, baseline)


def _has_the_same_answers(control: RunManifest, other: RunManifest, baseline: RunManifest) -> bool:
    """Whether a control and another run have the same content, unless both equal the baseline."""
    contents = [manifest.identity.get("content") for manifest in (control, other, baseline)]
    return contents[0] is not None and contents[0] == contents[1] != contents[2]
