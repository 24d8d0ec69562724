"""Generate, score, compare: the only place that calls more than one of engine, metric and store."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
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
    """Generate a run and its controls, or find them finished; the run comes first.

    With a baseline it is generated as that one's candidate: on its prompts, with its sampling, in an order of its own.
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

    A candidate that can't be generated or compared is named in the result, and the others go on. Whether the metrics
    give the columns that the `gate` names is checked before anything is generated. With `until_decided` a candidate is
    generated only as far as it takes the gate to decide; baseline and controls, which serve every candidate, are whole.
    With `must_be_in_reach` a gate that no candidate can pass with so few prompts is refused before anything is
    generated; one that is out of reach for so many candidates together is named, and they may still fail.

    Raises:
        FidelityError: The baseline or the configuration can't be used.
    """
    if until_decided and gate is None:
        raise ConfigError("--until-decided stops when a gate has decided: name one with --gate")
    if baseline.compares:
        raise ConfigError(f"{baseline.name}: 'compares' says how a candidate differs: write it there, or in the gate")
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
    compared: list[Scores] = []
    not_compared = {}
    for one in plans:
        look = partial(begin, reasoning=reasoning, compares=one.config.compares)
        decided = None
        if gate and until_decided:
            decided = _decided_by(gate, base, floor, metrics, look, len(candidates))
        try:
            run, *own_controls = _runs_of(
                one, store, partial(candidate_runs, depths=depths, baseline=base, decided=decided)
            )
            own = tuple(begin(run, control, store, reasoning) for control in own_controls)
            compared.append(replace(_with_divergences(look(base, run, store), controls), own_controls=own))
        except StoreError:  # a full disk would stop the others too
            raise
        except FidelityError as error:
            not_compared[one.config.name] = str(error)
            listener.say(f"{one.config.name}: not compared: {error}")
    score([*floor, *compared], metrics)
    for scores in compared:
        score(scores.own_controls, metrics)
    finished = tuple(keep(scores, floor, candidates=len(candidates)) for scores in compared)
    return ComparisonSet(base, floor, finished, not_compared)


@dataclass(frozen=True, slots=True)
class _Planned:
    """A candidate before anything is generated: its jobs, or why it has none."""

    config: RunConfig
    jobs: Sequence[Job] = ()
    error: FidelityError | None = None


def _planned(baseline: RunConfig, config: RunConfig, plan: Callable[[RunConfig], list[Job]]) -> _Planned:
    """A candidate that can't even begin keeps nobody else from being compared."""
    try:
        return _Planned(config, plan(candidate_of(baseline, config)))
    except FidelityError as error:
        return _Planned(config, error=error)


def _candidate_jobs(
    config: RunConfig, *, store: Store, prompts: tuple[Prompt, ...], subset_of: str | None, until_decided: bool
) -> list[Job]:
    """A candidate that is finished on all prompts has nothing left to stop: it is judged as it is."""
    jobs = partial(jobs_of, config, store=store, prompts=prompts, as_baseline=False, subset_of=subset_of)
    whole = jobs()
    finished = all(store.run(job.name, job.digest) for job in whole)
    return whole if finished or not until_decided else jobs(until_decided=True)


def _refuse_if_none_can_begin(plans: Sequence[_Planned]) -> None:
    """Nothing is generated for no candidate; a server that doesn't answer may do so once the baseline is there."""
    errors = [one.error for one in plans if one.error]
    if len(errors) == len(plans) and not any(isinstance(error, EngineError) for error in errors):
        raise ConfigError("\n".join(map(str, errors)))


def _runs_of(one: _Planned, store: Store, generated: Callable[[Sequence[Job], Store], list[Run]]) -> list[Run]:
    """A candidate's run and its own controls, from where they are stored, or generated."""
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
        raise ConfigError(f"the name {min(repeated)!r} is used in two files; every run needs a name of its own")


def check_gate(gate: Gate, metrics: Sequence[Metric]) -> None:
    """Whether the metrics give the columns that a gate names.

    Raises:
        ConfigError: They don't; with what to change.
    """
    check_columns(gate, columns_of(metrics), addable=addable(metrics))


def _with_divergences(scores: Scores, controls: Sequence[Run]) -> Scores:
    """The same, with where its drift starts among what is kept: finding it takes reading all scores."""
    known = scores.comparison.manifest.divergence
    if known and known.near_ties + known.minds_changed:
        return scores
    counts = count_divergences(scores.baseline, scores.run, noise=noise(scores.baseline, controls))
    return replace(scores, comparison=scores.comparison.described(divergence=counts))


def _finished(config: RunConfig, store: Store, prompts: tuple[Prompt, ...]) -> Run | None:
    """A baseline's run, if it is in the store; its model need not be on this machine."""
    try:
        if stored := stored_runs(config, store, as_baseline=True):
            return stored[0]
        job, *_ = jobs_of(config, store=store, prompts=prompts, as_baseline=True)
    except FidelityError:
        return None
    return store.run(job.name, job.digest)


def _generates(store: Store, *jobs: Sequence[Job]) -> bool:
    """Whether there is anything to wait for; what was recorded or is finished costs nothing to judge."""
    return any(
        not isinstance(job.config.engine, RecordedEngine | StoredEngine) and not store.run(job.name, job.digest)
        for job in chain.from_iterable(jobs)
    )


def _decided_by(
    gate: Gate,
    base: Run,
    floor: tuple[Scores, ...],
    metrics: Sequence[Metric],
    look: Callable[[Run, Run, Store], Scores],
    candidates: int,
) -> Decided:
    """Looks at a run that may still grow; nothing of a look is kept but the embeddings."""

    def outcome(run: Run) -> Outcome:
        with TemporaryDirectory() as folder:
            looked = look(base, run, Store(Path(folder)))
            beside = tuple(Scores(base, control.run, control.comparison) for control in floor)
            score([*beside, looked], metrics, anchors=False)
            evidence = evidence_of(ComparisonSet(base, beside, (looked,)), looked)
            # Chance levels are stored with the final verdict: every look does without, so that all looks are alike.
            columns = {name: replace(measured, chance=None) for name, measured in evidence.columns.items()}
            return judge(gate, replace(evidence, columns=columns, candidates=candidates)).outcome

    return outcome


def _as_stored(config: RunConfig, run: Run, limit: int | None) -> tuple[RunConfig, tuple[Prompt, ...], str | None]:
    """What candidates of a stored baseline take from it: its config, the prompts, and whose part they are, if one."""
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
