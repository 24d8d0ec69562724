"""Plan, generate, score: the only place that calls more than one of engine, metric and store."""

from dataclasses import replace

from fidelity.comparison.results import ComparisonSet, keep
from fidelity.comparison.scoring import score
from fidelity.pipeline.generation import generate, generate_planned
from fidelity.pipeline.plan import ComparisonPlan, ComparisonRequest, check_gate, plan_comparison
from fidelity.runs.listener import Listener
from fidelity.store.store import Store

__all__ = ["ComparisonRequest", "check_gate", "compare", "generate"]


def compare(request: ComparisonRequest, *, store: Store, listener: Listener) -> ComparisonSet:
    """Generate what is missing and score every candidate, and every control, against the baseline.

    A candidate that can't be generated or compared is named in the result, and the others go on.

    Raises:
        FidelityError: The baseline or the configuration can't be used.
    """
    plan = plan_comparison(request, store)
    for sentence in plan.out_of_reach:
        listener.say(sentence)
    return _scored(generate_planned(plan, store=store, listener=listener), plan)


def _scored(result: ComparisonSet, plan: ComparisonPlan) -> ComparisonSet:
    """The same with all columns, written down so that each candidate's comparison can be read back and judged."""
    scored = score([*result.controls, *result.candidates], plan.metrics)
    controls, candidates = scored[: len(result.controls)], scored[len(result.controls) :]
    with_own = [replace(one, own_controls=tuple(score(one.own_controls, plan.metrics))) for one in candidates]
    together = len(plan.candidates)
    finished = tuple(keep(one, controls, candidates=together) for one in with_own)
    return replace(result, controls=tuple(controls), candidates=finished)
