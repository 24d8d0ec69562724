"""Generating runs: jobs through an engine into the store, chunk by chunk."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from fidelity import __version__, baselines
from fidelity.checkpoints import Checkpoint, describe, local_directory, weights_id
from fidelity.config import Control, ExecuTorchEngine, OpenAIEngine, RecordedEngine, RunConfig, StoredEngine
from fidelity.engines import Engine, Progress, StreamingEngine, TimedEngine, open_engine
from fidelity.engines.recorded import RecordedAnswers
from fidelity.errors import EngineError
from fidelity.gate import Outcome
from fidelity.prompts import load_prompts, prompts_digest
from fidelity.records import EngineInfo, Failure, Generation, Prompt
from fidelity.runs.jobs import Asked, Job, on_the_same_prompts
from fidelity.runs.measure import Done, RunWatch, read_serving, requests_of, time_alone
from fidelity.runs.teacher_forcing import MissingScores, missing_scores
from fidelity.store.manifests import RunDraft
from fidelity.store.measurements import UNMEASURED, LatencyTimes, Measurement
from fidelity.store.runs import Run, RunWriter
from fidelity.store.store import Store
from fidelity.store.token_scores import Depth, StoredScores, adopt_scores, writing

Decided = Callable[[Run], Outcome]
"""What a gate says to a run that may still grow."""


class Listener(Protocol):
    """Who is told how it goes; the command line prints it."""

    def say(self, text: str) -> None:
        """One line that is worth keeping."""
        ...

    def progress(self, run: str, done: int, total: int, tokens: int, seconds: float) -> None:
        """How far a run is: answers done of total, tokens generated and seconds gone since this command took it up."""
        ...


def generate_jobs(
    jobs: Sequence[Job],
    store: Store,
    listener: Listener,
    *,
    depths: Sequence[Depth] = (),
    baseline: Run | None = None,
    decided: Decided | None = None,
) -> list[Run]:
    """The jobs' runs; jobs with the same config share one engine, and none is opened where all are finished.

    Each scores the baseline's tokens too, as deep as `depths` say, before its engine is closed; the baseline is the
    first of the runs if none is given. A run's scores may fail, and the run is there all the same.
    """
    runs: list[Run] = []
    with ExitStack() as stack:
        engines = _Engines(stack, listener)
        for job in jobs:
            if job.control_of and job.control_of != runs[0].manifest.digest:
                job = on_the_same_prompts(job, runs[0], store)
            until = decided and _Until(decided, missing_scores(job, baseline, depths, store) if baseline else [])
            run = store.run(job.name, job.digest) or _run(job, engines, store, until)
            run.check_place()
            runs.append(run)
            whole = run.manifest.digest == job.digest
            if whole and (baseline is None or job.control_of is None):
                _score_tokens(job, run, missing_scores(job, baseline or runs[0], depths, store), engines)
        _measure_the_rest(jobs[0], runs[0], engines, store)
    return runs


def _measure_the_rest(job: Job, run: Run, engines: "_Engines", store: Store) -> None:
    """What doesn't come from the run itself; timed as it is asked for, and not again once it is."""
    config, known = job.config, store.measurement(run) or UNMEASURED
    measured = Measurement(price_per_hour=config.price_per_hour, serving=read_serving(config.serving) or None)
    to_time = config.latency and not (known.latency and known.latency.asked == config.latency)
    if to_time and (timed := _time_alone(job, run, engines)):
        measured = measured.updated(Measurement(latency=timed))
    if known.updated(measured) != known:
        store.add_measurement(run, measured)


def _time_alone(job: Job, run: Run, engines: "_Engines") -> LatencyTimes | None:
    """None where the engine can't be timed, or ended: the run is complete without."""
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


def _run(job: Job, engines: "_Engines", store: Store, until: "_Until | None") -> Run:
    waiting = f"{job.name}: another command is generating it; waiting for that ..."
    with store.writing(job.name, job.digest, on_wait=partial(engines.listener.say, waiting)) as writer:
        if isinstance(writer, Run):
            return writer
        if job.until_decided and until:
            return _fill_until(writer, engines, job, store, until)
        return _fill(writer, engines, job, store)


def _score_tokens(job: Job, run: Run, all_missing: Sequence[MissingScores], engines: "_Engines") -> None:
    """Have the engine of a finished run score the baseline's tokens; why it can't is kept for whoever misses them."""
    for missing in all_missing:
        with writing(missing.path) as writer:
            if isinstance(writer, StoredScores):
                continue
            try:
                engine = engines.of(job, run.path / "engine.log")
                engines.progress.start(f"{job.name}, forced on {missing.baseline.name}", done=0, total=job.answers)
                for number, asked in enumerate(job.batches):
                    missing.fill(number, engine)
                    engines.progress.chunk_finished(len(asked), missing.tokens(number))
            except EngineError as error:
                writer.give_up(f"{job.name} could not score the tokens of {missing.baseline.name}: {error}")
                engines.listener.say(f"{job.name}: not forced (kl: none switches that off): {error}")
                engines.close()
                return
            writer.complete(run, missing.baseline, missing.depth)


class _Engines:
    """Opens a job's engine when it is first needed; jobs with the same config share it."""

    def __init__(self, stack: ExitStack, listener: Listener) -> None:
        self.listener = listener
        self.progress = _ProgressListener(listener)
        self._stack = stack
        self._opened: tuple[RunConfig, Engine] | None = None

    def of(self, job: Job, log: Path) -> Engine:
        if self._opened is None or self._opened[0] is not job.config:
            self.close()
            self.listener.say(f"{job.name}: opening {job.config.engine.kind} ...")
            opening = open_engine(job.config, log=log, on_progress=self.progress.on_progress)
            self._opened = job.config, self._stack.enter_context(opening)
        return self._opened[1]

    def close(self) -> None:
        self._opened = None
        self._stack.close()


class _ProgressListener:
    """Turns an engine's progress within a chunk into that of a whole run."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def start(self, run: str, *, done: int, total: int) -> None:
        self._run, self._done, self._total, self._tokens, self._seconds = run, done, total, 0, 0.0
        self.reports: list[Done] = []
        """What the engine reported since the start, about every second."""
        self._listener.progress(run, done, total, 0, 0.0)
        self._since = time.monotonic()

    def on_progress(self, progress: Progress) -> None:
        seconds = time.monotonic() - self._since
        done, tokens = self._done + progress.prompts, self._tokens + progress.tokens
        self.reports.append(Done(progress.prompts, progress.tokens, seconds))
        self._listener.progress(self._run, done, self._total, tokens, seconds)

    def resumed(self, prompts: int) -> None:
        """What there was of a chunk already."""
        self._done += prompts
        self._listener.progress(self._run, self._done, self._total, self._tokens, self._seconds)

    def chunk_finished(self, prompts: int, tokens: int) -> None:
        self._done += prompts
        self._tokens += tokens
        self._seconds = time.monotonic() - self._since
        self._listener.progress(self._run, self._done, self._total, self._tokens, self._seconds)


def _fill(writer: RunWriter, engines: _Engines, job: Job, store: Store) -> Run:
    """Generate the chunks that are not on disk yet, and complete the run."""
    engine, finished, resumed = engines.of(job, writer.log), writer.finished, writer.begun
    plan = job.plan
    engines.progress.start(job.name, done=sum(len(plan[number]) for number in finished), total=job.answers)
    watch = RunWatch(engine)
    for number, asked in enumerate(plan):
        if number not in finished:
            _fill_chunk(writer, engine, engines.progress, job, number, asked, watch)
    with watch.writing():
        run = writer.complete(job.prompts, _manifest(job, engine, store, resumed=writer.resumed))
    if not resumed and not isinstance(job.config.engine, RecordedEngine):
        store.add_measurement(run, watch.measurement(job.config))
    return run


@dataclass(frozen=True, slots=True)
class _Until:
    """When a run that may still grow is done."""

    decided: Decided
    missing_scores: Sequence[MissingScores]
    """What the gate may look at beside the run."""


def _fill_until(writer: RunWriter, engines: _Engines, job: Job, store: Store, until: _Until) -> Run:
    """Generate chunk after chunk until the gate decides.

    What was asked until then becomes a run of its own. The chunks stay where they are: a gate that asks for more goes
    on from there, and one that is content with less stops before, as if nothing had been generated yet.
    """
    finished, draft, plan, answers = writer.finished, writer.draft, job.plan, Counter[str]()
    engines.progress.start(job.name, done=sum(len(plan[number]) for number in finished), total=job.answers)
    for number, asked in enumerate(plan):
        if number not in finished or draft is None:
            engine = engines.of(job, writer.log)
            draft = _manifest(job, engine, store)
            writer.write_draft(draft)
            if number not in finished:
                _fill_chunk(writer, engine, engines.progress, job, number, asked, RunWatch(engine))
        for missing in until.missing_scores:
            if missing.lacks(number):
                missing.fill(number, engines.of(job, writer.log))
        answers.update(prompt.id for prompt, _ in asked)
        prompts = tuple(prompt for prompt in job.prompts if answers[prompt.id] == job.repeats)
        if len(prompts) == len(job.prompts):
            break
        if not prompts:
            continue
        manifest = _manifest_of_subset(draft, prompts, number)
        write = partial(_write_subset, writer, until.missing_scores, range(number + 1), prompts, manifest)
        with TemporaryDirectory() as folder:
            outcome = until.decided(write(Path(folder, "runs", job.name)))
        if outcome != "inconclusive":
            engines.listener.say(f"{job.name}: {outcome} after {len(prompts)} of {len(job.prompts)} prompts")
            return write(store.run_path(job.name, manifest.digest))
    assert draft is not None  # a plan has a chunk at least
    return writer.complete(job.prompts, draft)


def _write_subset(
    writer: RunWriter,
    all_missing: Sequence[MissingScores],
    chunks: Sequence[int],
    prompts: Sequence[Prompt],
    manifest: RunDraft,
    path: Path,
) -> Run:
    """Some chunks as a run of its own, with its scores."""
    run = writer.subset(chunks, prompts, manifest, path=path)
    for missing in all_missing:
        missing.subset(run, chunks)
    return run


def _fill_chunk(
    writer: RunWriter,
    engine: Engine,
    progress: "_ProgressListener",
    job: Job,
    number: int,
    asked: Sequence[Asked],
    watch: RunWatch,
) -> None:
    prompts, repeats = [prompt for prompt, _ in asked], [repeat for _, repeat in asked]
    if job.streamed and isinstance(engine, StreamingEngine):
        _fill_answer_by_answer(writer, engine, progress, job, number, asked, watch)
        return
    began = time.monotonic()
    generations = engine.generate(prompts, job.sampling, repeats)
    outcomes = [replace(outcome, repeat=repeat) for outcome, repeat in zip(generations, repeats, strict=True)]
    took = time.monotonic() - began
    with watch.writing():
        writer.add_chunk(number, prompts, outcomes)
    tokens = sum(map(_tokens, outcomes))
    watch.chunk_finished(len(prompts), tokens, took)
    progress.chunk_finished(len(prompts), tokens)


def _fill_answer_by_answer(
    writer: RunWriter,
    engine: StreamingEngine,
    progress: "_ProgressListener",
    job: Job,
    number: int,
    asked: Sequence[Asked],
    watch: RunWatch,
) -> None:
    """A chunk of which every answer is kept as soon as it is there."""
    began = time.monotonic()
    with writer.journal(number) as journal:
        left = [place for place in range(len(asked)) if place not in journal.places]
        progress.resumed(len(asked) - len(left))
        tokens = 0
        prompts, repeats = [asked[place].prompt for place in left], [asked[place].repeat for place in left]
        for n, outcome in engine.answer(prompts, job.sampling, repeats, admission=job.admission):
            journal.add(left[n], replace(outcome, repeat=repeats[n]))
            tokens += _tokens(outcome)
        watch.stream_finished(progress.reports, Done(len(left), tokens, time.monotonic() - began))
        answered = [asked[place].prompt for place in journal.places]
        with watch.writing():
            writer.add_chunk(number, answered, (outcome for _, outcome in journal.outcomes()))
    progress.chunk_finished(len(left), tokens)


def _tokens(outcome: Generation | Failure) -> int:
    return 0 if isinstance(outcome, Failure) else len(outcome.token_ids or ())


def _manifest_of_subset(manifest: RunDraft, prompts: Sequence[Prompt], last: int) -> RunDraft:
    """The manifest of a run that stopped after its chunk number `last`."""
    return manifest.replace(
        digest=hashlib.sha256(f"{manifest.digest}, chunks 0 to {last}".encode()).hexdigest(),
        prompts_digest=prompts_digest(prompts),
        subset_of=manifest.subset_of or manifest.prompts_digest,
    )


def _manifest(job: Job, engine: Engine, store: Store, *, resumed: int = 0) -> RunDraft:
    recorded = isinstance(job.config.engine, RecordedEngine)
    return RunDraft(
        name=job.name,
        digest=job.digest,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        fidelity=__version__,
        config=job.config,
        sampling=None if recorded else job.sampling,
        prompts_digest=prompts_digest(job.prompts),
        batching="continuous" if job.streamed and not recorded else None,
        resumed=resumed,
        chunk=None if recorded else job.config.drained,
        seed=None if recorded else job.seed,
        control_of=job.control_of,
        subset_of=job.subset_of,
        planned=len(job.prompts) if job.until_decided else None,
        identity=job.engine_identity,
        engine=engine.info,
        checkpoint=_checkpoint(job.config, engine.info, store),
        label=job.config.label,
        recorded_timings=engine.timings if isinstance(engine, RecordedAnswers) else {},
        unasked=_unasked(job, engine) if isinstance(engine, RecordedAnswers) else (),
    )


def _unasked(job: Job, engine: RecordedAnswers) -> tuple[str, ...]:
    """Prompts that a file answers and nobody asked; those that `--limit` leaves out were asked."""
    named = load_prompts(job.config.prompts) if job.config.prompts else ()
    asked = {prompt.id for prompt in (*job.prompts, *named)}
    return tuple(prompt_id for prompt_id in engine.ids if prompt_id not in asked)


def _checkpoint(config: RunConfig, engine: EngineInfo, store: Store) -> Checkpoint:
    """What the run's model is, as its files or the user say."""
    match config.engine:
        case ExecuTorchEngine(path=path) if config.model is None:
            return Checkpoint(format=engine.ran_as, bytes=path.stat().st_size)
        case RecordedEngine(ran=ran):
            return Checkpoint(bytes=ran.bytes if ran else None)
        case OpenAIEngine():
            return Checkpoint()
    if config.model is None:
        return Checkpoint()
    directory = local_directory(config.model, config.revision)
    return replace(describe(directory), weights=weights_id(directory, store.remembered_hashes))


def stored_runs(config: RunConfig, store: Store, *, as_baseline: bool) -> list[Run]:
    """A finished run, or an exported one, taken into the store, with its controls that lie beside it.

    A candidate's own controls are taken only if its YAML asks for them.
    """
    if not isinstance(config.engine, StoredEngine):
        return []
    if baselines.is_export(config.engine.path):
        run, *beside = baselines.adopt(config.engine.path, store)
    else:
        run = Run(config.engine.path)
        beside = [Run(manifest.parent) for manifest in sorted(run.path.parent.glob("*/manifest.json"))]
    controls: list[Run] = []
    if isinstance(config.control, Control) and config.control.path:
        controls = [Run(path) for path in config.control.path]
    elif config.control != "none" and (as_baseline or config.control):
        controls = [other for other in beside if other.manifest.control_of == run.manifest.digest]
    for scorer in (run, *controls):
        adopt_scores(scorer, store.root)
    return [store.adopt(run), *(store.adopt(control) for control in controls)]
