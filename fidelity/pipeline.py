"""Generate, score and compare: the only module that combines engines, metrics and the store."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, combinations
from pathlib import Path
from tempfile import TemporaryDirectory

from fidelity.comparison.results import ComparisonSet, Scores, evidence_of, keep
from fidelity.comparison.scoring import addable, begin, columns_of, ready, score
from fidelity.config import RecordedEngine, RunConfig, StoredEngine, candidate_of
from fidelity.errors import ConfigError, EngineError, FidelityError, IncomparableError, StoreError
from fidelity.gate import Gate, Outcome, check_columns, judge, out_of_reach
from fidelity.metrics import Metric
from fidelity.records import Prompt
from fidelity.runs.generate import Decided, Listener, generate_jobs, stored_runs
from fidelity.runs.jobs import Job, jobs_of, prompts_of
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


def compare(
    baseline: RunConfig,
    candidates: Sequence[RunConfig],
    *,
    metrics: Sequence[Metric],
    store: Store,
    listener: Listener,
    limit: int | None = None,
    gate: Gate | None = None,
    until_decided: bool = False,
    must_be_in_reach: bool = False,
    keep_failures: bool = False,
) -> ComparisonSet:
    """Generate what is missing and score every candidate, and every control, against the baseline.

    A candidate that can't be generated or compared is named in the result, and the others continue. Before anything
    is generated, the columns of the `gate` are checked against the metrics. With `until_decided` a candidate is
    generated only until the gate can decide; the baseline and controls are always complete. With `must_be_in_reach` a
    gate that no candidate can pass with so few prompts is refused before anything is generated; one that is out of
    reach only because of the number of candidates is reported, and candidates can still fail.

    Raises:
        FidelityError: The baseline or the configuration is invalid.
    """
    if until_decided and gate is None:
        raise ConfigError("--until-decided needs a gate to decide: add --gate gate.yaml")
    if baseline.compares:
        raise ConfigError(f"{baseline.name}: 'compares' belongs in a candidate's YAML or in the gate; remove it here")
    _refuse_repeated_names(baseline, *candidates)
    metrics = [ready(metric, store) for metric in metrics]
    if gate:
        check_gate(gate, metrics)
    stored = stored_runs(baseline, store, as_baseline=True)
    prompts, subset_of = prompts_of(baseline, limit), None
    if stored:
        baseline, prompts, subset_of = _as_stored(baseline, stored[0], limit)
    baseline_jobs = jobs_of(baseline, store=store, prompts=prompts, as_baseline=True)
    plan = partial(_candidate_jobs, store=store, prompts=prompts, subset_of=subset_of, until_decided=until_decided)
    plans = [_planned(baseline, config, plan) for config in candidates]
    _refuse_if_none_can_begin(plans)
    if gate and _generates(store, () if stored else baseline_jobs, *(one.jobs for one in plans)):
        reach = partial(out_of_reach, gate, columns_of(metrics), prompts=len(prompts), any_time=until_decided)
        if must_be_in_reach and (sentences := reach()):
            raise ConfigError("\n".join(sentences))
        for sentence in reach(candidates=len(candidates)):
            listener.say(sentence)
    depths = depths_of(baseline, stored[0] if stored else None)
    base, *controls = stored or generate_jobs(
        baseline_jobs, store, listener, depths=depths, keep_failures=keep_failures
    )
    reasoning = baseline.reasoning
    floor = tuple(_with_divergences(begin(base, control, store, reasoning), controls) for control in controls)
    candidate_runs = partial(generate_jobs, listener=listener, keep_failures=keep_failures)
    refer = partial(begin, reasoning=reasoning, is_reference=True)
    between = tuple(refer(one, other, store) for one, other in combinations(controls, 2))
    compared: list[Scores] = []
    not_compared = {}
    for one in plans:
        begin_one = partial(begin, reasoning=reasoning, compares=one.config.compares)

        def look(run: Run, store: Store, begin_one: Callable[[Run, Run, Store], Scores] = begin_one) -> Scores:
            references = tuple(refer(control, run, store) for control in controls)
            return replace(begin_one(base, run, store), references=references)

        decided = None
        if gate and until_decided:
            decided = _decided_by(
                gate, ComparisonSet(base, floor, (), between_controls=between), metrics, look, len(candidates)
            )
        try:
            run, *own_controls = _runs_of(
                one, store, partial(candidate_runs, depths=depths, baseline=base, decided=decided)
            )
            own = tuple(begin(run, control, store, reasoning) for control in own_controls)
            compared.append(replace(_with_divergences(look(run, store), controls), own_controls=own))
        except StoreError:  # a full disk stops the other candidates too
            raise
        except FidelityError as error:
            not_compared[one.config.name] = str(error)
            listener.say(f"{one.config.name}: not compared: {error}")
    references = [*between, *(reference for scores in compared for reference in scores.references)]
    score([*floor, *compared, *references], metrics)
    for scores in compared:
        score(scores.own_controls, metrics)
    finished = tuple(keep(scores, floor, between_controls=between, candidates=len(candidates)) for scores in compared)
    return ComparisonSet(base, floor, finished, not_compared, between)


@dataclass(frozen=True, slots=True)
class _Planned:
    """A candidate before anything is generated: its jobs, or the error that prevents them."""

    config: RunConfig
    jobs: Sequence[Job] = ()
    error: FidelityError | None = None


def _planned(baseline: RunConfig, config: RunConfig, plan: Callable[[RunConfig], list[Job]]) -> _Planned:
    """Plan a candidate. Its error is recorded, so the other candidates are still compared."""
    try:
        return _Planned(config, plan(candidate_of(baseline, config)))
    except FidelityError as error:
        return _Planned(config, error=error)


def _candidate_jobs(
    config: RunConfig, *, store: Store, prompts: tuple[Prompt, ...], subset_of: str | None, until_decided: bool
) -> list[Job]:
    """The candidate's jobs. If it is finished on all prompts there is nothing to stop early, so it is judged whole."""
    jobs = partial(jobs_of, config, store=store, prompts=prompts, as_baseline=False, subset_of=subset_of)
    whole = jobs()
    finished = all(store.run(job.name, job.digest) for job in whole)
    return whole if finished or not until_decided else jobs(until_decided=True)


def _refuse_if_none_can_begin(plans: Sequence[_Planned]) -> None:
    """Raise before generating the baseline if no candidate can run. Engine errors don't count: servers may come up."""
    errors = [one.error for one in plans if one.error]
    if len(errors) == len(plans) and not any(isinstance(error, EngineError) for error in errors):
        raise ConfigError("\n".join(map(str, errors)))


def _runs_of(one: _Planned, store: Store, generated: Callable[[Sequence[Job], Store], list[Run]]) -> list[Run]:
    """A candidate's run and its own controls, read from the store or generated."""
    if one.error:
        raise one.error
    if not isinstance(one.config.engine, StoredEngine):
        return generated(one.jobs, store)
    try:
        return stored_runs(one.config, store, as_baseline=False)
    except StoreError as error:
        raise IncomparableError(str(error)) from error


def _refuse_repeated_names(*configs: RunConfig) -> None:
    names = [config.name for config in configs]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"the name {min(repeated)!r} is used in two files; give every run a different name")


def check_gate(gate: Gate, metrics: Sequence[Metric]) -> None:
    """Check that the metrics give the columns that a gate names.

    Raises:
        ConfigError: A column is missing. The message names what to change.
    """
    check_columns(gate, columns_of(metrics), addable=addable(metrics))


def _with_divergences(scores: Scores, controls: Sequence[Run]) -> Scores:
    """The scores, with the first divergences added to the stored comparison."""
    known = scores.comparison.manifest.divergence
    if known and known.near_ties + known.minds_changed:
        return scores
    counts = count_divergences(scores.baseline, scores.run, noise=noise(scores.baseline, controls))
    return replace(scores, comparison=scores.comparison.described(divergence=counts))


def _finished(config: RunConfig, store: Store, prompts: tuple[Prompt, ...]) -> Run | None:
    """A baseline's run, if it is in the store. Its model need not be on this machine."""
    try:
        if stored := stored_runs(config, store, as_baseline=True):
            return stored[0]
        job, *_ = jobs_of(config, store=store, prompts=prompts, as_baseline=True)
    except FidelityError:
        return None
    return store.run(job.name, job.digest)


def _generates(store: Store, *jobs: Sequence[Job]) -> bool:
    """Whether any of the jobs still has to be generated, rather than being recorded or finished."""
    return any(
        not isinstance(job.config.engine, RecordedEngine | StoredEngine) and not store.run(job.name, job.digest)
        for job in chain.from_iterable(jobs)
    )


def _decided_by(
    gate: Gate,
    baseline: ComparisonSet,
    metrics: Sequence[Metric],
    look: Callable[[Run, Store], Scores],
    candidates: int,
) -> Decided:
    """Return a function that judges an unfinished run. Only the embeddings of such a look are stored."""

    def outcome(run: Run) -> Outcome:
        with TemporaryDirectory() as folder:
            looked = look(run, Store(Path(folder)))
            controls, between = (
                tuple(Scores(one.baseline, one.run, one.comparison, is_reference=one.is_reference) for one in several)
                for several in (baseline.controls, baseline.between_controls)
            )
            score([*controls, looked, *between, *looked.references], metrics, anchors=False)
            evidence = evidence_of(
                ComparisonSet(baseline.baseline, controls, (looked,), between_controls=between), looked
            )
            # Chance levels are only stored with the final verdict, so all looks are alike.
            columns = {name: replace(measured, chance=None) for name, measured in evidence.columns.items()}
            return judge(gate, replace(evidence, columns=columns, candidates=candidates)).outcome

    return outcome


def _as_stored(config: RunConfig, run: Run, limit: int | None) -> tuple[RunConfig, tuple[Prompt, ...], str | None]:
    """What candidates take from a stored baseline: its config, its prompts, and their digest if they are a subset."""
    manifest = run.manifest
    shared = config.model_copy(
        update={
            "sampling": manifest.sampling or config.sampling,
            "batching": manifest.batching,
            "chunk": manifest.chunk,
            "reasoning": config.reasoning or manifest.config.reasoning,
        }
    )
    prompts = run.prompts()
    is_subset = limit is not None and limit < len(prompts)
    return shared, prompts[:limit], manifest.prompts_digest if is_subset else None
