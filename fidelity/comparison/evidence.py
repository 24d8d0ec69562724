"""What the gate needs of a comparison for each candidate, and the gate's verdicts on it."""

from dataclasses import replace

import numpy as np

from fidelity.comparison.results import (
    ComparisonSet,
    ScoredColumn,
    Scores,
    among_runs,
    chance_level,
    control_values_of,
    values_of,
)
from fidelity.gate import Evidence, Gate, Measured, Verdict, judge
from fidelity.metrics import every_metric


def verdicts(result: ComparisonSet, gate: Gate, *, candidates: int = 1) -> dict[str, Verdict]:
    """Judge every candidate that was compared.

    Args:
        result: The comparison.
        gate: The gate.
        candidates: The number of candidates judged together, if more than were compared together.

    Raises:
        ConfigError: The gate names a column that was not scored, or that can't be judged.
    """
    evidence = [evidence_of(result, scores) for scores in result.candidates]
    return {one.candidate: judge(gate, replace(one, candidates=max(one.candidates, candidates))) for one in evidence}


def evidence_of(result: ComparisonSet, candidate: Scores) -> Evidence:
    """The data that one candidate's verdict is based on."""
    columns, unscored = {}, {**candidate.inapplicable, **candidate.unscored}
    for name, scored in candidate.columns.items():
        lacking = next((control for control in result.controls if name not in control.columns), None)
        if lacking:
            reasons = {**lacking.inapplicable, **lacking.unscored}
            unscored[name] = reasons.get(name, f"the control {lacking.run.name} was not scored on it")
            continue
        among = among_runs(result, candidate, name)
        levels = [chance_level(scores, name) for scores in result.controls or (candidate,)]
        known = [level for level in levels if level is not None]
        chance = sum(known) / len(known) if known else chance_level(candidate, name)
        controls = tuple(control_values_of(control, name) for control in result.controls)
        columns[name] = Measured(
            scored.column,
            values_of(candidate, name),
            controls,
            among=among if among.all_references else None,
            only_reference=_why_only_reference(candidate, scored) if among.floor and not among.all_references else "",
            chance=chance,
        )
    failures = candidate.failures
    return Evidence(
        candidate=candidate.run.name,
        prompt_ids=tuple(dict.fromkeys([*candidate.prompts.ids, *failures])) if failures else candidate.prompts.ids,
        columns=columns,
        baseline_manifest=result.baseline.manifest,
        candidate_manifest=candidate.run.manifest,
        control_manifests=tuple(control.run.manifest for control in result.controls),
        unscored=unscored,
        failed=frozenset(candidate.failed_prompts),
        controls_failed=frozenset(p for control in result.controls for p in control.failed_prompts),
        repeats=1 if candidate.prompts.rows is None else int(np.bincount(candidate.prompts.rows).max()),
        same=candidate.same,
        candidates=candidate.comparison.manifest.candidates,
        prompt_tokens=candidate.prompt_tokens,
        extra_prompts=candidate.extra_prompts,
        one_sided_thinking=candidate.comparison.manifest.one_sided_thinking,
        contradictions=candidate.comparison.manifest.contradictions,
        compares=candidate.compares,
        shared_answers=candidate.comparison.manifest.shared_answers,
        planned=candidate.run.manifest.planned,
    )


def _why_only_reference(candidate: Scores, scored: ScoredColumn) -> str:
    """Why a column with a floor has only the baseline as its reference; empty with weights and for token scores."""
    if scored.column.weights is not None:
        return ""
    kind = scored.signature.partition("|")[0]
    if any(metric.kind == kind and metric.reads_token_scores for metric in every_metric()):
        return ""
    if not candidate.references:
        return "an older version compared them, with the baseline as the only reference: run fidelity compare again"
    return "not all of the baseline's runs could be scored on it"
