"""What a gate decides on a candidate that is still being generated."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from fidelity.comparison.results import ComparisonSet, Scores, evidence_of
from fidelity.comparison.scoring import begin, score
from fidelity.gate import judge
from fidelity.pipeline.plan import CandidatePlan, ComparisonPlan
from fidelity.runs.until_decided import Decided
from fidelity.store.runs import Run
from fidelity.store.store import Store


def decision_of(plan: ComparisonPlan, candidate: CandidatePlan, baseline: ComparisonSet) -> Decided | None:
    """Judges the prompts that a candidate has answered so far; None where its run doesn't stop before its end.

    Only the embeddings of such an interim look are stored.
    """
    gate = plan.request.gate
    if gate is None or not plan.request.until_decided:
        return None

    def decided(run: Run) -> str | None:
        with TemporaryDirectory() as folder:
            reasoning, compares = plan.baseline.reasoning, candidate.config.compares
            interim = begin(baseline.baseline, run, Store(Path(folder)), reasoning, compares=compares)
            unscored = [Scores(control.runs, control.comparison) for control in baseline.controls]
            *controls, scored = score([*unscored, interim], plan.metrics, chance=False)
            evidence = evidence_of(ComparisonSet(baseline.baseline, tuple(controls), (scored,)), scored)
            # Chance levels are stored with the final verdict: every look does without, so that all looks are alike.
            columns = {name: replace(measured, chance=None) for name, measured in evidence.columns.items()}
            verdict = judge(gate, replace(evidence, columns=columns, candidates=len(plan.candidates)))
            return None if verdict.outcome == "inconclusive" else verdict.outcome

    return decided
