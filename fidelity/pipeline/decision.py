"""A gate's decision on a candidate that is still being generated."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from fidelity.comparison.evidence import evidence_of
from fidelity.comparison.results import ComparisonSet, Scores
from fidelity.comparison.scoring import begin
from fidelity.gate import judge
from fidelity.pipeline.plan import CandidatePlan, ComparisonPlan
from fidelity.pipeline.scores import scored_set
from fidelity.runs.until_decided import Decided
from fidelity.store.runs import Run
from fidelity.store.store import Store


def decision_of(plan: ComparisonPlan, candidate: CandidatePlan, result: ComparisonSet) -> Decided | None:
    """Return a function that judges an unfinished run. Only the embeddings of such a look are stored.

    None if the request is to generate whole runs.

    Args:
        plan: The comparison's plan.
        candidate: The candidate to judge.
        result: The baseline with its controls, paired.
    """
    gate = plan.request.gate
    if gate is None or not plan.request.until_decided:
        return None

    def decided(run: Run) -> str | None:
        with TemporaryDirectory() as folder:
            paired = paired_with_references(run, candidate, plan, result, Store(Path(folder)))
            scored = scored_set(replace(result, candidates=(paired,)), plan, chance=False)
            evidence = evidence_of(scored, scored.candidates[0])
            # Chance levels are only stored with the final verdict, so all looks are alike.
            columns = {name: replace(measured, chance=None) for name, measured in evidence.columns.items()}
            verdict = judge(gate, replace(evidence, columns=columns, candidates=len(plan.candidates)))
            return None if verdict.outcome == "inconclusive" else verdict.outcome

    return decided


def paired_with_references(
    run: Run, candidate: CandidatePlan, plan: ComparisonPlan, result: ComparisonSet, store: Store
) -> Scores:
    """A candidate's run paired with the baseline and with each of its controls, in the given store."""
    reasoning = plan.baseline.reasoning
    scores = begin(result.baseline, run, store, reasoning, compares=candidate.config.compares)
    references = tuple(begin(control.run, run, store, reasoning, is_reference=True) for control in result.controls)
    return replace(scores, references=references)
