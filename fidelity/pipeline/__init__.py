"""Plan, generate and score: the only package that combines engines, metrics and the store."""

from dataclasses import replace

from fidelity.comparison.results import ComparisonSet
from fidelity.comparison.scoring import score
from fidelity.comparison.stored import keep
from fidelity.pipeline.generation import generate, generate_planned
from fidelity.pipeline.plan import ComparisonPlan, ComparisonRequest, check_gate, plan_comparison
from fidelity.pipeline.scores import scored_set
from fidelity.runs.listener import Listener
from fidelity.store.store import Store

__all__ = ["ComparisonRequest", "check_gate", "compare", "generate"]


def compare(request: ComparisonRequest, *, store: Store, listener: Listener) -> ComparisonSet:
    """Generate what is missing and score every candidate, and every control, against the baseline.

    A candidate that can't be generated or compared is named in the result, and the others continue.

    Raises:
        FidelityError: The baseline or the configuration is invalid.
    """
    plan = plan_comparison(request, store)
    for sentence in plan.out_of_reach:
        listener.say(sentence)
    return _finished(scored_set(generate_planned(plan, store=store, listener=listener), plan), plan)


def _finished(result: ComparisonSet, plan: ComparisonPlan) -> ComparisonSet:
    """Score the candidates' own controls, and record all controls, so that each candidate can be judged later."""
    with_own = [
        replace(one, own_controls=tuple(score(one.own_controls, plan.metrics, workers=plan.request.workers)))
        for one in result.candidates
    ]
    finished = (
        keep(one, result.controls, between_controls=result.between_controls, candidates=len(plan.candidates))
        for one in with_own
    )
    return replace(result, candidates=tuple(finished))
