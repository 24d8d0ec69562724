"""Planning a comparison: its jobs, and whatever can be refused before anything is generated."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from fidelity.comparison.offered import addable, columns_of, ready
from fidelity.comparison.workers import Workers
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
    """The runs to compare, and how."""

    baseline: RunConfig
    candidates: Sequence[RunConfig]
    metrics: Sequence[Metric]
    limit: int | None = None
    """Only the first so many prompts."""
    gate: Gate | None = None
    """Its columns are checked against the metrics before anything is generated."""
    until_decided: bool = False
    """Whether to generate a candidate only until the gate can decide. The baseline and controls are always complete."""
    must_be_in_reach: bool = False
    """Whether to refuse a gate that no candidate can pass with so few prompts. A gate that is out of reach only because
    of the number of candidates is reported, since candidates can still fail."""
    workers: Workers = 1
    """The processes that may score; they change no number."""
    keep_failures: bool = False
    """Whether prompts that failed because of the network or a server stay so; else they are asked again."""


@dataclass(frozen=True, slots=True)
class CandidatePlan:
    """A candidate before anything is generated: its jobs, or the error that prevents them."""

    config: RunConfig
    jobs: Sequence[Job] = ()
    error: FidelityError | None = None


@dataclass(frozen=True, slots=True)
class ComparisonPlan:
    """A comparison before anything is generated."""

    request: ComparisonRequest
    baseline: RunConfig
    """The baseline of the request; if it is stored, with the settings that it was generated with."""
    stored: Sequence[Run]
    """The baseline and its controls, if the request names finished runs by their path."""
    jobs: Sequence[Job]
    """The jobs of the baseline and its controls; empty if they are stored."""
    candidates: tuple[CandidatePlan, ...]
    metrics: tuple[Metric, ...]
    """With their encoders bound."""
    depths: tuple[Depth, ...]
    """The depths at which every run scores the baseline's tokens."""
    out_of_reach: tuple[str, ...]
    """Messages about limits of the gate that so few prompts can't pass; empty if nothing has to be generated."""


def plan_comparison(request: ComparisonRequest, store: Store) -> ComparisonPlan:
    """Plan a comparison without loading a model.

    Raises:
        FidelityError: The baseline, the gate or every candidate is invalid.
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
    """Check that the metrics give the columns that a gate names.

    Raises:
        ConfigError: A column is missing. The message names what to change.
    """
    check_columns(gate, columns_of(metrics), addable=addable(metrics))


def _check(request: ComparisonRequest) -> None:
    if request.until_decided and request.gate is None:
        raise ConfigError("--until-decided needs a gate to decide: add --gate gate.yaml")
    baseline = request.baseline
    if baseline.compares:
        raise ConfigError(f"{baseline.name}: 'compares' belongs in a candidate's YAML or in the gate; remove it here")
    names = [config.name for config in (baseline, *request.candidates)]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"the name {min(repeated)!r} is used in two files; give every run a different name")


def _out_of_reach(request: ComparisonRequest, metrics: Sequence[Metric], prompts: int) -> tuple[str, ...]:
    """Messages about limits that so few prompts can't pass for all candidates together.

    Raises:
        ConfigError: A single candidate can't pass either, and the request must be in reach.
    """
    if request.gate is None:
        return ()
    reach = partial(out_of_reach, request.gate, columns_of(metrics), prompts=prompts, any_time=request.until_decided)
    if request.must_be_in_reach and (sentences := reach()):
        raise ConfigError("\n".join(sentences))
    return tuple(reach(candidates=len(request.candidates)))


def _planned(baseline: RunConfig, config: RunConfig, plan: Callable[[RunConfig], list[Job]]) -> CandidatePlan:
    """Plan a candidate. Its error is recorded, so the other candidates are still compared."""
    try:
        return CandidatePlan(config, plan(candidate_of(baseline, config)))
    except FidelityError as error:
        return CandidatePlan(config, error=error)


def _candidate_jobs(
    config: RunConfig, *, store: Store, prompts: Sequence[Prompt], subset_of: str | None, until_decided: bool
) -> list[Job]:
    """The candidate's jobs. If it is finished on all prompts there is nothing to stop early, so it is judged whole."""
    jobs = partial(jobs_of, config, store=store, prompts=prompts, as_baseline=False, subset_of=subset_of)
    whole = jobs()
    finished = all(store.run(job.name, job.digest) for job in whole)
    return whole if finished or not until_decided else jobs(until_decided=True)


def _refuse_if_none_can_begin(candidates: Sequence[CandidatePlan]) -> None:
    """Raise before generating the baseline if no candidate can run. Engine errors don't count: servers may come up."""
    errors = [one.error for one in candidates if one.error]
    if len(errors) == len(candidates) and not any(isinstance(error, EngineError) for error in errors):
        raise ConfigError("\n".join(map(str, errors)))


def _generates(jobs: Iterable[Job], store: Store) -> bool:
    """Whether any of the jobs still has to be generated, rather than being recorded or finished."""
    return any(
        not isinstance(job.config.engine, RecordedEngine | StoredEngine) and not store.run(job.name, job.digest)
        for job in jobs
    )


def _as_stored(config: RunConfig, run: Run, limit: int | None) -> tuple[RunConfig, Sequence[Prompt], str | None]:
    """What candidates take from a stored baseline: its config, its prompts, and their digest if they are a subset."""
    manifest = run.manifest
    shared = config.model_copy(
        update={
            "sampling": manifest.sampling or config.sampling,
            "batching": manifest.config.batching if manifest.invariance else manifest.batching,
            "chunk": manifest.chunk,
            "reasoning": config.reasoning or manifest.config.reasoning,
        }
    )
    prompts = run.prompts()
    is_subset = limit is not None and limit < len(prompts)
    return shared, prompts[:limit], manifest.prompts_digest if is_subset else None
