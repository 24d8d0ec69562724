"""Generating runs: jobs go through an engine into the store, followed by the scores of the baseline's tokens."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

from fidelity.config import RecordedEngine
from fidelity.engines import TimedEngine
from fidelity.errors import EngineError
from fidelity.runs.chunks import ChunkGeneration
from fidelity.runs.drafts import draft_of
from fidelity.runs.jobs import Job, on_the_same_prompts
from fidelity.runs.listener import Listener
from fidelity.runs.measure import RunWatch, read_serving, requests_of, time_alone
from fidelity.runs.shared_engine import SharedEngine
from fidelity.runs.teacher_forcing import MissingScores, missing_scores
from fidelity.runs.until_decided import Decided, GrowingRun
from fidelity.store.measurements import UNMEASURED, LatencyTimes, Measurement
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

    Each scores the baseline's tokens too, as deep as `depths` say, before its engine is closed; the baseline is the
    first of the runs if none is given. A run's scores may fail, and the run is there all the same. Prompts of a
    finished run that failed because of the network or a server are asked again, unless `keep_failures` is set.
    """
    runs: list[Run] = []
    with ExitStack() as stack:
<<<<<<< HEAD
        engines = _Engines(stack, listener, keep_failures=keep_failures)
        for job in jobs:
            if job.control_of and job.control_of != runs[0].manifest.digest:
                job = on_the_same_prompts(job, runs[0], store)
            until = decided and _Until(decided, missing_scores(job, baseline, depths, store) if baseline else [])
            run = store.run(job.name, job.digest)
            if run is None or (run.manifest.counts.world_failures and not keep_failures):
                run = _run(job, engines, store, until)
=======
        engines = SharedEngine(stack, listener)
        for job in jobs:
            if job.control_of and job.control_of != runs[0].manifest.digest:
                job = on_the_same_prompts(job, runs[0], store)
            missing = missing_scores(job, baseline, depths, store) if baseline else []
            run = store.run(job.name, job.digest) or _run(job, engines, store, decided, missing)
>>>>>>> main
            runs.append(run)
            whole = run.manifest.digest == job.digest
            if whole and (baseline is None or job.control_of is None):
                _score_tokens(job, run, missing_scores(job, baseline or runs[0], depths, store), engines)
        _measure_the_rest(jobs[0], runs[0], engines, store)
    return runs


def _run(
    job: Job, engines: SharedEngine, store: Store, decided: Decided | None, missing: Sequence[MissingScores]
) -> Run:
    waiting = f"{job.name}: another command is generating it; waiting for that ..."
    with store.writing(job.name, job.digest, on_wait=partial(engines.listener.say, waiting)) as writer:
        if isinstance(writer, Run):
<<<<<<< HEAD
            if engines.keep_failures or not _can_be_asked_again(writer, job, engines):
                return writer
            writer = RunWriter(writer.path)
        if not engines.keep_failures:
            writer.ask_again(job.plan)
        if job.until_decided and until:
            return _fill_until(writer, engines, job, store, until)
        return _fill(writer, engines, job, store)


def _can_be_asked_again(run: Run, job: Job, engines: "_Engines") -> bool:
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


def _score_tokens(job: Job, run: Run, all_missing: Sequence[MissingScores], engines: "_Engines") -> None:
=======
            return writer
        if job.until_decided and decided:
            return GrowingRun(job, writer, engines, store, decided, missing).generate()
        return _complete(job, writer, engines, store)


def _complete(job: Job, writer: RunWriter, engines: SharedEngine, store: Store) -> Run:
    """Generate the chunks that are not on disk yet, and finish the run."""
    engine, finished, resumed = engines.of(job, writer.log), writer.finished, writer.begun
    plan = job.plan
    engines.progress.start(job.name, done=sum(len(plan[number]) for number in finished), total=job.answers)
    watch = RunWatch(engine)
    chunks = ChunkGeneration(job, writer, engine, engines.progress, watch)
    for number, asked in enumerate(plan):
        if number not in finished:
            chunks.generate(number, asked)
    with watch.writing():
        run = writer.complete(job.prompts, draft_of(job, engine, store, resumed=writer.resumed))
    if not resumed and not isinstance(job.config.engine, RecordedEngine):
        store.add_measurement(run, watch.measurement(job.config))
    return run


def _score_tokens(job: Job, run: Run, all_missing: Sequence[MissingScores], engines: SharedEngine) -> None:
>>>>>>> main
    """Let a finished run's engine score the baseline's tokens. If it can't, the reason is stored."""
    for missing in all_missing:
        with writing(missing.path) as writer:
            if isinstance(writer, StoredScores):
                continue
            try:
                engine = engines.of(job, run.path / "engine.log")
                engines.progress.start(
                    f"{job.name}, scoring the tokens of {missing.baseline.name}", done=0, total=job.answers
                )
                for number, asked in enumerate(job.batches):
                    missing.fill(number, engine)
                    engines.progress.chunk_finished(len(asked), missing.tokens(number))
            except EngineError as error:
                writer.give_up(f"{job.name} could not score the tokens of {missing.baseline.name}: {error}")
                engines.listener.say(
                    f"{job.name}: no token scores (to switch them off, set kl: none in the baseline's YAML): {error}"
                )
                engines.close()
                return
            writer.complete(run, missing.baseline, missing.depth)


<<<<<<< HEAD
class _Engines:
    """Opens a job's engine when it is first needed. Jobs with the same config share it."""

    def __init__(self, stack: ExitStack, listener: Listener, *, keep_failures: bool) -> None:
        self.listener = listener
        self.keep_failures = keep_failures
        self.progress = _ProgressListener(listener)
        self._stack = stack
        self._opened: tuple[RunConfig, Engine] | None = None

    def of(self, job: Job, log: Path) -> Engine:
        if self._opened is None or self._opened[0] is not job.config:
            self.close()
            self.listener.say(f"{job.name}: opening {job.config.engine.kind} ...")
            opening = open_engine(
                job.config, log=log, on_progress=self.progress.on_progress, keep_failures=self.keep_failures
            )
            self._opened = job.config, self._stack.enter_context(opening)
        return self._opened[1]

    def close(self) -> None:
        self._opened = None
        self._stack.close()


class _ProgressListener:
    """Converts an engine's progress within a chunk to the progress of the whole run."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def start(self, run: str, *, done: int, total: int) -> None:
        self._run, self._done, self._total, self._tokens, self._seconds = run, done, total, 0, 0.0
        self.reports: list[ChunkTime] = []
        """The engine's reports since the start, about one per second."""
        self._listener.progress(run, done, total, 0, 0.0)
        self._since = time.monotonic()

    def on_progress(self, progress: Progress) -> None:
        if progress.note:
            self._listener.say(f"{self._run}: {progress.note}")
        seconds = time.monotonic() - self._since
        done, tokens = self._done + progress.prompts, self._tokens + progress.tokens
        self.reports.append(ChunkTime(prompts=progress.prompts, tokens=progress.tokens, seconds=seconds))
        self._listener.progress(self._run, done, self._total, tokens, seconds)

    def resumed(self, prompts: int) -> None:
        """Count the answers of a chunk that are already on disk."""
        self._done += prompts
        self._listener.progress(self._run, self._done, self._total, self._tokens, self._seconds)

    def chunk_finished(self, prompts: int, tokens: int) -> None:
        self._done += prompts
        self._tokens += tokens
        self._seconds = time.monotonic() - self._since
        self._listener.progress(self._run, self._done, self._total, self._tokens, self._seconds)


def _fill(writer: RunWriter, engines: _Engines, job: Job, store: Store) -> Run:
    """Generate the chunks that are not on disk yet, and finish the run."""
    engine, finished, resumed = engines.of(job, writer.log), writer.finished, writer.begun
    plan = job.plan
    engines.progress.start(job.name, done=sum(len(plan[number]) for number in finished), total=job.answers)
    watch = RunWatch(engine)
    filling = _Filling(writer, engine, engines.progress, job, watch)
    for number, asked in enumerate(plan):
        if number not in finished:
            filling.fill(number, asked)
    with watch.writing():
        run = writer.complete(job.prompts, _manifest(job, engine, store, resumed=writer.resumed))
    if not resumed and not isinstance(job.config.engine, RecordedEngine):
        store.add_measurement(run, watch.measurement(job.config))
    return run


@dataclass(frozen=True, slots=True)
class _Until:
    """When to stop an unfinished run."""

    decided: Decided
    missing_scores: Sequence[MissingScores]
    """What the gate can look at besides the run."""


def _fill_until(writer: RunWriter, engines: _Engines, job: Job, store: Store, until: _Until) -> Run:
    """Generate chunk after chunk until the gate decides.

    The prompts up to then become a separate run. The chunks stay in place: a stricter gate continues from there, and a
    looser gate stops earlier, as if nothing had been generated yet.
    """
    finished, draft, plan, answers = writer.finished, writer.draft, job.plan, Counter[str]()
    engines.progress.start(job.name, done=sum(len(plan[number]) for number in finished), total=job.answers)
    for number, asked in enumerate(plan):
        if number not in finished or draft is None:
            engine = engines.of(job, writer.log)
            draft = _manifest(job, engine, store)
            writer.write_draft(draft)
            if number not in finished:
                _Filling(writer, engine, engines.progress, job, RunWatch(engine)).fill(number, asked)
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
    assert draft is not None  # a plan has at least one chunk
    return writer.complete(job.prompts, draft)


def _write_subset(
    writer: RunWriter,
    all_missing: Sequence[MissingScores],
    chunks: Sequence[int],
    prompts: Sequence[Prompt],
    manifest: RunDraft,
    path: Path,
) -> Run:
    """Store some of the chunks as a separate run, with its token scores."""
    run = writer.subset(chunks, prompts, manifest, path=path)
    for missing in all_missing:
        missing.subset(run, chunks)
    return run


@dataclass(frozen=True, slots=True)
class _Filling:
    """Generates and writes the chunks of one run."""

    writer: RunWriter
    engine: Engine
    progress: "_ProgressListener"
    job: Job
    watch: RunWatch

    def fill(self, number: int, asked: Sequence[Asked]) -> None:
        """Generate one chunk."""
        if self.job.streamed and isinstance(self.engine, StreamingEngine):
            self._fill_answer_by_answer(self.engine, number, asked)
            return
        prompts, repeats = [prompt for prompt, _ in asked], [repeat for _, repeat in asked]
        began = time.monotonic()
        generations = self.engine.generate(prompts, self.job.sampling, repeats)
        outcomes = [replace(outcome, repeat=repeat) for outcome, repeat in zip(generations, repeats, strict=True)]
        took = time.monotonic() - began
        with self.watch.writing():
            self.writer.add_chunk(number, prompts, outcomes)
        tokens = sum(map(_tokens, outcomes))
        self.watch.chunk_finished(len(prompts), tokens, took)
        self.progress.chunk_finished(len(prompts), tokens)

    def _fill_answer_by_answer(self, engine: StreamingEngine, number: int, asked: Sequence[Asked]) -> None:
        """Generate a chunk, and write each answer as soon as it is finished."""
        began = time.monotonic()
        with self.writer.journal(number) as journal:
            left = [place for place in range(len(asked)) if place not in journal.places]
            self.progress.resumed(len(asked) - len(left))
            tokens = 0
            prompts, repeats = [asked[place].prompt for place in left], [asked[place].repeat for place in left]
            for n, outcome in engine.answer(prompts, self.job.sampling, repeats, admission=self.job.admission):
                journal.add(left[n], replace(outcome, repeat=repeats[n]))
                tokens += _tokens(outcome)
            whole = ChunkTime(prompts=len(left), tokens=tokens, seconds=time.monotonic() - began)
            self.watch.stream_finished(self.progress.reports, whole)
            answered = [asked[place].prompt for place in journal.places]
            with self.watch.writing():
                self.writer.add_chunk(number, answered, (outcome for _, outcome in journal.outcomes()))
        self.progress.chunk_finished(len(left), tokens)


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
    )


def _checkpoint(config: RunConfig, engine: EngineInfo, store: Store) -> Checkpoint:
    """The run's checkpoint, from its files or the user's label."""
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
    """Copy a finished or exported run into the store, with the controls in the same directory.

    A candidate's own controls are copied only if its YAML asks for them.
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
=======
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
>>>>>>> main
