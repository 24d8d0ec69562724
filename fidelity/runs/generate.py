"""Generating runs: jobs go through an engine into the store, followed by the scores of the baseline's tokens."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial

from fidelity.config import RecordedEngine
from fidelity.engines import TimedEngine
from fidelity.engines.recorded import RecordedAnswers
from fidelity.errors import EngineError
from fidelity.runs.chunks import ChunkGeneration
from fidelity.runs.drafts import draft_of
from fidelity.runs.invariance import prove
from fidelity.runs.jobs import Job, on_the_same_prompts
from fidelity.runs.listener import Listener
from fidelity.runs.measure import RunWatch, read_serving, requests_of, time_alone
from fidelity.runs.shared_engine import SharedEngine
from fidelity.runs.teacher_forcing import MissingScores, missing_scores
from fidelity.runs.until_decided import Decided, GrowingRun
from fidelity.store.measurements import UNMEASURED, LatencyTimes, Measurement
from fidelity.store.record_files import MANIFEST, write_record
from fidelity.store.runs import Run, RunWriter
from fidelity.store.store import Store
from fidelity.store.token_scores import Depth, StoredScores, writing


def generate_jobs(
    jobs: Sequence[Job],
    store: Store,
    listener: Listener,
    *,
    depths: Sequence[Depth] = (),
    baseline: Run | None = None,
    decided: Decided | None = None,
    keep_failures: bool = False,
) -> list[Run]:
    """Return the jobs' runs. Jobs with the same config share one engine; none is opened if all runs are finished.

    Each run also scores the baseline's tokens, at the given `depths`, before its engine is closed. The baseline is the
    first of the runs if none is given. If scoring fails, the run is still complete. Prompts of a finished run that
    failed because of the network or a server are asked again, unless `keep_failures` is set.
    """
    runs: list[Run] = []
    store.sweep()
    with ExitStack() as stack:
        engines = SharedEngine(stack, listener, keep_failures=keep_failures)
        for job in jobs:
            if job.control_of and job.config.control is None and runs[0].manifest.batch_invariant:
                continue  # it would be equal
            if job.control_of and job.control_of != runs[0].manifest.digest:
                job = on_the_same_prompts(job, runs[0], store)
            missing = missing_scores(job, baseline, depths, store) if baseline else []
            waiting = f"{job.name}: another command is generating it; waiting for that ..."
            run = finished_run(job, engines, store, decided, missing, on_wait=partial(listener.say, waiting))
            runs.append(run)
            whole = run.manifest.digest == job.digest
            if whole and (baseline is None or job.control_of is None):
                score_tokens(job, run, missing_scores(job, baseline or runs[0], depths, store), engines)
        _measure_the_rest(jobs[0], runs[0], engines, store)
    return runs


def finished_run(
    job: Job,
    engines: SharedEngine,
    store: Store,
    decided: Decided | None = None,
    missing: Sequence[MissingScores] = (),
    *,
    on_wait: Callable[[], None],
) -> Run:
    """The job's run, from the store or generated. `on_wait` is called if another command is generating it.

    Raises:
        EngineError: The engine can't be opened, or died and isn't replaced; finished answers are on disk.
    """
    run = store.run(job.name, job.digest)
    if run is None or (run.manifest.counts.world_failures and not engines.keep_failures):
        run = _run(job, engines, store, decided, missing, on_wait)
    run.check_place()
    return _as_described(run, job).with_expected(job.prompts)


def _as_described(run: Run, job: Job) -> Run:
    """A stored run with the label and the recorded file of today's YAML, which change no digest."""
    manifest = run.manifest
    changes: dict[str, object] = {}
    if manifest.label != job.config.label:
        changes["label"] = job.config.label
    if isinstance(job.config.engine, RecordedEngine) and manifest.config.engine != job.config.engine:
        changes["config"] = job.config
    if not changes:
        return run
    write_record(run.path / MANIFEST, manifest.replace(**changes))
    return Run(run.path)


def _run(
    job: Job,
    engines: SharedEngine,
    store: Store,
    decided: Decided | None,
    missing: Sequence[MissingScores],
    on_wait: Callable[[], None],
) -> Run:
    with store.writing(job.name, job.digest, on_wait=on_wait) as writer:
        if isinstance(writer, Run):
            if engines.keep_failures or not _can_be_asked_again(writer, job, engines):
                return writer
            writer = RunWriter(writer.path)
        if not engines.keep_failures:
            writer.ask_again(job.plan)
        if job.until_decided and decided:
            return GrowingRun(job, writer, engines, store, decided, missing).generate()
        return _complete(job, writer, engines, store)


def _can_be_asked_again(run: Run, job: Job, engines: SharedEngine) -> bool:
    """Whether a finished run has failures that are not the model's own, and its server is there to ask again."""
    failures = run.manifest.counts.world_failures
    if not failures:
        return False
    reason = f"{job.name}: {failures} of its prompts failed because of the server or the network"
    try:
        engines.of(job, run.path / "engine.log")
    except EngineError as error:
        engines.listener.say(f"{reason}, and can't be asked again now: {error}")
        return False
    engines.listener.say(f"{reason}; they are asked again (--keep-failures leaves them)")
    return True


def _complete(job: Job, writer: RunWriter, engines: SharedEngine, store: Store) -> Run:
    """Generate the chunks that are not on disk yet, and finish the run."""
    engine, finished, resumed = engines.of(job, writer.log), writer.finished, writer.begun
    if isinstance(engine, RecordedAnswers):
        engine.pair(job.prompt_set)
        for note in engine.reading:
            engines.listener.say(f"{job.name}: {note}")
    plan = job.plan
    engines.progress.start(job.name, done=sum(len(plan[number]) for number in finished), total=job.answers)
    watch = engines.retried(job, lambda: RunWatch(engines.of(job, writer.log)))
    deaths = engines.deaths
    chunks = ChunkGeneration(job, writer, engines, watch)
    for number, asked in enumerate(plan):
        if number not in finished:
            chunks.generate(number, asked)
    invariance = None
    if job.config.batch_invariant:
        invariance = engines.retried(job, lambda: prove(job, chunks.engine, writer.outcomes()))
    with watch.writing():
        draft = draft_of(job, chunks.engine, store, resumed=writer.resumed, invariance=invariance)
        run = writer.complete(job.prompts, draft)
    if not resumed and engines.deaths == deaths and not isinstance(job.config.engine, RecordedEngine):
        with suppress(EngineError):  # it died after its last answer: the run is complete without a measurement
            store.add_measurement(run, watch.measurement(job.config))
    return run


def score_tokens(job: Job, run: Run, all_missing: Sequence[MissingScores], engines: SharedEngine) -> None:
    """Let a finished run's engine score the baseline's tokens. If it can't, the reason is stored."""
    for missing in all_missing:
        with writing(missing.path) as writer:
            if isinstance(writer, StoredScores):
                continue
            try:
                engines.retried(job, partial(_fill, job, run, missing, engines))
            except EngineError as error:
                writer.give_up(f"{job.name} could not score the tokens of {missing.baseline.name}: {error}")
                engines.listener.say(
                    f"{job.name}: no token scores (to switch them off, set kl: none in the baseline's YAML): {error}"
                )
                engines.close()
                return
            writer.complete(run, missing.baseline, missing.depth)


def _fill(job: Job, run: Run, missing: MissingScores, engines: SharedEngine) -> None:
    """Score what is missing.

    Raises:
        EngineError: The engine died and isn't replaced; finished chunks are on disk.
    """
    engine = engines.of(job, run.path / "engine.log")
    engines.progress.start(f"{job.name}, scoring the tokens of {missing.baseline.name}", done=0, total=job.answers)
    for number, asked in enumerate(job.batches):
        missing.fill(number, engine)
        engines.progress.chunk_finished(len(asked), missing.tokens(number))


def _measure_the_rest(job: Job, run: Run, engines: SharedEngine, store: Store) -> None:
    """Measure what the run itself doesn't show. Latency is timed if it is configured and not timed already."""
    config, known = job.config, store.measurement(run) or UNMEASURED
    measured = Measurement(price_per_hour=config.price_per_hour, serving=read_serving(config.serving) or None)
    to_time = config.latency and not (known.latency and known.latency.asked == config.latency)
    if to_time and (timed := _time_alone(job, run, engines)):
        measured = measured.updated(Measurement(latency=timed))
    if known.updated(measured) != known:
        store.add_measurement(run, measured)


def _time_alone(job: Job, run: Run, engines: SharedEngine) -> LatencyTimes | None:
    """Time single requests. None if the engine can't be timed or has ended: the run is complete without it."""
    assert job.config.latency is not None
    try:
        engine = engines.of(job, run.path / "engine.log")
        if not isinstance(engine, TimedEngine):
            return None
        prompts = run.prompts()
        engines.progress.start(f"{job.name}, timed", done=0, total=requests_of(job.config.latency, len(prompts)))
        return time_alone(engine, prompts, job.config.latency)
    except EngineError as error:
        engines.listener.say(f"{job.name}: not timed: {error}")
        return None
