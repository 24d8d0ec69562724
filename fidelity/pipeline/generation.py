"""Generating the runs of a comparison: the baseline with its controls, then each candidate, paired when finished."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

from fidelity.comparison.results import ComparisonSet, Scores
from fidelity.comparison.scoring import begin
from fidelity.config import RunConfig, StoredEngine, candidate_of
from fidelity.errors import FidelityError, IncomparableError, StoreError
from fidelity.pipeline.decision import decision_of, paired_with_references
from fidelity.pipeline.plan import CandidatePlan, ComparisonPlan
from fidelity.records import Prompt
from fidelity.runs.generate import generate_jobs
from fidelity.runs.jobs import jobs_of, prompts_of
from fidelity.runs.listener import Listener
from fidelity.runs.stored import stored_runs
from fidelity.runs.teacher_forcing import depths_of
from fidelity.store.runs import Run
from fidelity.store.store import Store
from fidelity.tokens.first_divergence import count_divergences, noise


def generate(
    config: RunConfig,
    *,
    store: Store,
    listener: Listener,
    limit: int | None = None,
    baseline: RunConfig | None = None,
    keep_failures: bool = False,
) -> list[Run]:
    """Generate a run and its controls, unless the store has them. Returns the run first.

    With a `baseline` the run is generated as its candidate: with its prompts and sampling, in another order.
    """
    base = None
    if baseline:
        config = candidate_of(baseline, config)
        base = _finished(baseline, store, prompts_of(config, limit))
    first = baseline is None
    jobs = jobs_of(config, store=store, prompts=prompts_of(config, limit), as_baseline=first)
    depths = () if baseline and not base else depths_of(baseline or config, base)
    return stored_runs(config, store, as_baseline=first) or generate_jobs(
        jobs, store, listener, depths=depths, baseline=base, keep_failures=keep_failures
    )


def generate_planned(plan: ComparisonPlan, *, store: Store, listener: Listener) -> ComparisonSet:
    """Generate what is missing and pair the runs. The result has no columns yet.

    A candidate that can't be generated or paired is named in the result, and the others continue.

    Raises:
        FidelityError: The baseline or a control can't be used, or the store can't be written.
    """
    base, *controls = plan.stored or generate_jobs(
        plan.jobs, store, listener, depths=plan.depths, keep_failures=plan.request.keep_failures
    )
    if base.manifest.batch_invariant and not controls:
        controls = [base]  # any other run of it would be equal
    reasoning = plan.baseline.reasoning
    floor = tuple(_with_divergences(begin(base, control, store, reasoning), controls) for control in controls)
    between = tuple(begin(one, other, store, reasoning, is_reference=True) for one, other in combinations(controls, 2))
    result = ComparisonSet(base, floor, (), between_controls=between)
    paired: list[Scores] = []
    not_compared = {}
    for candidate in plan.candidates:
        try:
            paired.append(_paired(candidate, plan, result, store, listener))
        except StoreError:  # a full disk stops the other candidates too
            raise
        except FidelityError as error:
            not_compared[candidate.config.name] = str(error)
            listener.say(f"{candidate.config.name}: not compared: {error}")
    return replace(result, candidates=tuple(paired), not_compared=not_compared)


def _paired(
    candidate: CandidatePlan, plan: ComparisonPlan, result: ComparisonSet, store: Store, listener: Listener
) -> Scores:
    """A candidate's run, generated and paired with the baseline's runs and with its own controls."""
    run, *own_controls = _runs_of(candidate, plan, result, store, listener)
    own = tuple(begin(run, control, store, plan.baseline.reasoning) for control in own_controls)
    scores = paired_with_references(run, candidate, plan, result, store)
    return replace(_with_divergences(scores, [control.run for control in result.controls]), own_controls=own)


def _runs_of(
    candidate: CandidatePlan, plan: ComparisonPlan, result: ComparisonSet, store: Store, listener: Listener
) -> list[Run]:
    """A candidate's run and its own controls, read from the store or generated."""
    if candidate.error:
        raise candidate.error
    if not isinstance(candidate.config.engine, StoredEngine):
        decided = decision_of(plan, candidate, result)
        return generate_jobs(
            candidate.jobs,
            store,
            listener,
            depths=plan.depths,
            baseline=result.baseline,
            decided=decided,
            keep_failures=plan.request.keep_failures,
        )
    try:
        return stored_runs(candidate.config, store, as_baseline=False)
    except StoreError as error:
        raise IncomparableError(str(error)) from error


def _with_divergences(scores: Scores, controls: Sequence[Run]) -> Scores:
    """The scores, with the first divergences added to the stored comparison."""
    known = scores.comparison.manifest.divergence
    if known and known.near_ties + known.minds_changed:
        return scores
    counts = count_divergences(scores.baseline, scores.run, noise=noise(scores.baseline, controls))
    return replace(scores, comparison=scores.comparison.described(divergence=counts))


def _finished(config: RunConfig, store: Store, prompts: Sequence[Prompt]) -> Run | None:
    """A baseline's run, if it is in the store. Its model need not be on this machine."""
    try:
        if stored := stored_runs(config, store, as_baseline=True):
            return stored[0]
        job, *_ = jobs_of(config, store=store, prompts=prompts, as_baseline=True)
    except FidelityError:
        return None
    return store.run(job.name, job.digest)
