"""Scoring all pairs of a comparison: controls, candidates, and those between the baseline's runs."""

from dataclasses import replace

from fidelity.comparison.results import ComparisonSet
from fidelity.comparison.scoring import score
from fidelity.pipeline.plan import ComparisonPlan


def scored_set(result: ComparisonSet, plan: ComparisonPlan, *, chance: bool = True) -> ComparisonSet:
    """A comparison with the columns of all metrics, which score all of its pairs in one call each."""
    references = [reference for one in result.candidates for reference in one.references]
    groups = [result.controls, result.candidates, result.between_controls, references]
    scored = iter(
        score([one for group in groups for one in group], plan.metrics, chance=chance, workers=plan.request.workers)
    )
    controls, candidates, between, own = ([next(scored) for _ in group] for group in groups)
    rest = iter(own)
    with_references = [replace(one, references=tuple(next(rest) for _ in one.references)) for one in candidates]
    return replace(result, controls=tuple(controls), candidates=tuple(with_references), between_controls=tuple(between))
