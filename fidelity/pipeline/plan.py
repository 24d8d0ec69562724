"""What a comparison has to do, and whether it can, before anything is generated."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from fidelity.comparison.offered import addable, columns_of, ready
from fidelity.config import RecordedEngine, RunConfig, StoredEngine, candidate_of
from fidelity.errors import ConfigError, EngineError, FidelityError
from fidelity.gate import Gate, check_columns, out_of_reach
from fidelity.metrics import Metric
from fidelity.records import Prompt
from fidelity.runs.jobs import Job, jobs_of, prompts_of
from fidelity.runs.stored import stored_runs
from fidelity.runs.teacher_forcing import depths_of
from fidelity.store.runs import Run
from fidelity.store.store import Store
from fidelity.store.token_scores import Depth


@dataclass(frozen=True, slots=True)
class ComparisonRequest:
    """What is to be compared, and by what."""

    baseline: RunConfig
    candidates: Sequence[RunConfig]
    metrics: Sequence[Metric]
    limit: int | None = None
    """Only the first so many prompts."""
    gate: Gate | None = None
    """Whether the metrics give the columns that it names is checked before anything is generated."""
    until_decided: bool = False
    """Generate a candidate only as far as it takes the gate to decide. Baseline and controls, which serve every
    candidate, are whole."""
    must_be_in_reach: bool = False
    """Refuse a gate that no candidate can pass with so few prompts. One that is out of reach for so many candidates
    together is only named, since they may still fail."""


@dataclass(frozen=True, slots=True)
class CandidatePlan:
    """A candidate before anything is generated: its jobs, or why it has none."""

    config: RunConfig
    jobs: Sequence[Job] = ()
    error: FidelityError | None = None


@dataclass(frozen=True, slots=True)
class ComparisonPlan:
    """A comparison before anything is generated."""

    request: ComparisonRequest
    baseline: RunConfig
    """As asked for; of a stored one, as it was generated."""
    stored: Sequence[Run]
    """The baseline and its controls where they are finished runs that are named by their path."""
    jobs: Sequence[Job]
    """Theirs where they are not."""
    candidates: tuple[CandidatePlan, ...]
    metrics: tuple[Metric, ...]
    """With their encoders bound."""
    depths: tuple[Depth, ...]
    """How deep the baseline's tokens are scored by every run."""
    out_of_reach: tuple[str, ...]
    """What of the gate can't be passed with so few prompts, in sentences; empty where nothing is generated."""


def plan_comparison(request: ComparisonRequest, store: Store) -> ComparisonPlan:
    """Everything that can be known, and refused, without a model.

    Raises:
        FidelityError: The baseline, every candidate, or the gate can't be used.
    """
    _check(request)
    metrics = tuple(ready(metric, store) for metric in request.metrics)
    if request.gate:
        check_gate(request.gate, metrics)
    baseline = request.baseline
    stored = stored_runs(baseline, store, as_baseline=True)
    prompts, subset_of = prompts_of(baseline, request.limit), None
    if stored:
        baseline, prompts, subset_of = _as_stored(baseline, stored[0], request.limit)
    jobs = jobs_of(baseline, store=store, prompts=prompts, as_baseline=True)
    plan = partial(
        _candidate_jobs, store=store, prompts=prompts, subset_of=subset_of, until_decided=request.until_decided
    )
    candidates = tuple(_planned(baseline, config, plan) for config in request.candidates)
    _refuse_if_none_can_begin(candidates)
    to_generate = [*([] if stored else jobs), *(job for one in candidates for job in one.jobs)]
    return ComparisonPlan(
        request=request,
        baseline=baseline,
        stored=stored,
        jobs=jobs,
        candidates=candidates,
        metrics=metrics,
        depths=depths_of(baseline, stored[0] if stored else None),
        out_of_reach=_out_of_reach(request, metrics, len(prompts)) if _generates(to_generate, store) else (),
    )


def check_gate(gate: Gate, metrics: Sequence[Metric]) -> None:
    """Whether the metrics give the columns that a gate names.

    Raises:
        ConfigError: They don't; with what to change.
    """
    check_columns(gate, columns_of(metrics), addable=addable(metrics))


def _check(request: ComparisonRequest) -> None:
    if request.until_decided and request.gate is None:
        raise ConfigError("--until-decided stops when a gate has decided: name one with --gate")
    baseline = request.baseline
    if baseline.compares:
        raise ConfigError(f"{baseline.name}: 'compares' says how a candidate differs: write it there, or in the gate")
    names = [config.name for config in (baseline, *request.candidates)]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"the name {min(repeated)!r} is used in two files; every run needs a name of its own")


def _out_of_reach(request: ComparisonRequest, metrics: Sequence[Metric], prompts: int) -> tuple[str, ...]:
    """What of the gate so few prompts can't pass, for all candidates together.

    Raises:
        ConfigError: A single candidate could not pass either, and the request must be in reach.
    """
    if request.gate is None:
        return ()
    reach = partial(out_of_reach, request.gate, columns_of(metrics), prompts=prompts, any_time=request.until_decided)
    if request.must_be_in_reach and (sentences := reach()):
        raise ConfigError("\n".join(sentences))
    return tuple(reach(candidates=len(request.candidates)))


def _planned(baseline: RunConfig, config: RunConfig, plan: Callable[[RunConfig], list[Job]]) -> CandidatePlan:
    """A candidate that can't even begin keeps nobody else from being compared."""
    try:
        return CandidatePlan(config, plan(candidate_of(baseline, config)))
    except FidelityError as error:
        return CandidatePlan(config, error=error)


def _candidate_jobs(
    config: RunConfig, *, store: Store, prompts: tuple[Prompt, ...], subset_of: str | None, until_decided: bool
) -> list[Job]:
    """A candidate that is finished on all prompts has nothing left to stop: it is judged as it is."""
    jobs = partial(jobs_of, config, store=store, prompts=prompts, as_baseline=False, subset_of=subset_of)
    whole = jobs()
    finished = all(store.run(job.name, job.digest) for job in whole)
    return whole if finished or not until_decided else jobs(until_decided=True)


def _refuse_if_none_can_begin(candidates: Sequence[CandidatePlan]) -> None:
    """Nothing is generated for no candidate; a server that doesn't answer may do so once the baseline is there."""
    errors = [one.error for one in candidates if one.error]
    if len(errors) == len(candidates) and not any(isinstance(error, EngineError) for error in errors):
        raise ConfigError("\n".join(map(str, errors)))


def _generates(jobs: Iterable[Job], store: Store) -> bool:
    """Whether there is anything to wait for; what was recorded or is finished costs nothing to judge."""
    return any(
        not isinstance(job.config.engine, RecordedEngine | StoredEngine) and not store.run(job.name, job.digest)
        for job in jobs
    )


def _as_stored(config: RunConfig, run: Run, limit: int | None) -> tuple[RunConfig, tuple[Prompt, ...], str | None]:
    """What candidates of a stored baseline take from it: its config, the prompts, and the digest of all if cut."""
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
