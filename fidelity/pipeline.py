"""Generate, score, compare: the only place that calls more than one of engine, metric and store."""

import hashlib
import json
import math
import random
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from fidelity import __version__
from fidelity.checkpoints import describe, local_directory
from fidelity.config import Control, RecordedEngine, RunConfig, Sampling, StoredEngine, VllmEngine, candidate_of
from fidelity.engines import Engine, Progress, identity, open_engine
from fidelity.engines.recorded import recorded_prompts
from fidelity.errors import ConfigError, EngineError, IncomparableError
from fidelity.metrics import Metric
from fidelity.pairing import pair_runs
from fidelity.prompts import load_prompts, prompts_digest
from fidelity.records import Failure, Prompt
from fidelity.scoring import Scores, ready, score
from fidelity.store import Run, RunWriter, Store

DEFAULT_CHUNK = 128


class Listener(Protocol):
    """Who is told how it goes; the command line prints it."""

    def say(self, text: str) -> None:
        """One line that is worth keeping."""
        ...

    def progress(self, run: str, done: int, total: int, tokens: int, seconds: float) -> None:
        """How far a run is: prompts done of total, tokens generated and seconds gone since this command took it up."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """A run that is to be there afterwards."""

    name: str
    config: RunConfig
    prompts: tuple[Prompt, ...]
    sampling: Sampling
    seed: int
    digest: str
    engine_identity: dict[str, Any]
    control_of: str | None = None
    """The digest of the baseline whose control this is."""


@dataclass(frozen=True)
class ComparisonSet:
    """A baseline, its controls and its candidates, scored."""

    baseline: Run
    controls: tuple[Scores, ...]
    candidates: tuple[Scores, ...]
    not_compared: dict[str, str]
    """Candidate name to the error that kept it from being compared."""


def generate(
    config: RunConfig, *, store: Store, listener: Listener, limit: int | None = None, baseline: RunConfig | None = None
) -> list[Run]:
    """Generate a run and its controls, or find them finished; the run comes first.

    With a baseline it is generated as that one's candidate: on its prompts, with its sampling, in an order of its own,
    and without controls.
    """
    candidate = candidate_of(baseline, config) if baseline else config
    prompts = _prompts(candidate, limit)
    return _generate(_jobs(candidate, store=store, prompts=prompts, as_baseline=baseline is None), store, listener)


def compare(
    baseline: RunConfig,
    candidates: Sequence[RunConfig],
    *,
    metrics: Sequence[Metric],
    store: Store,
    listener: Listener,
    limit: int | None = None,
) -> ComparisonSet:
    """Generate what is missing and score every candidate, and every control, against the baseline.

    A candidate that can't be generated or compared is named in the result, and the others go on.

    Raises:
        FidelityError: The baseline or the configuration can't be used.
    """
    names = [config.name for config in (baseline, *candidates)]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"the name {min(twice)!r} stands in two of the files; every run needs a name of its own")
    metrics = [ready(metric, store) for metric in metrics]
    prompts = _prompts(baseline, limit)
    baseline_jobs = _jobs(baseline, store=store, prompts=prompts, as_baseline=True)
    jobs = [_jobs(candidate_of(baseline, c), store=store, prompts=prompts, as_baseline=False) for c in candidates]
    base, *controls = _stored(baseline, store) or _generate(baseline_jobs, store, listener)
    paired = [(control, pair_runs(base, control)) for control in controls]
    not_compared = {}
    for config, job in zip(candidates, jobs, strict=True):
        try:
            run, *_ = _stored(config, store) or _generate(job, store, listener)
            paired.append((run, pair_runs(base, run)))
        except (EngineError, IncomparableError) as error:
            not_compared[config.name] = str(error)
            listener.say(f"{config.name}: not compared: {error}")
    scores = score(base, paired, metrics, store)
    return ComparisonSet(base, tuple(scores[: len(controls)]), tuple(scores[len(controls) :]), not_compared)


def chunks(count: int, *, largest: int, seed: int) -> list[list[int]]:
    """The batches in which a run goes through its prompts: a seeded permutation of 0 ... count-1, cut at random.

    Sizes are drawn from a quarter of the largest up to the largest, which is never more than half of the prompts, so
    that two seeds give compositions that really differ: on CPU, order alone, in one batch, changes nothing.
    """
    draw = random.Random(seed)
    order = list(range(count))
    draw.shuffle(order)
    largest = max(1, min(largest, count // 2))
    cut: list[list[int]] = []
    while order:
        size = draw.randint(math.ceil(largest / 4), largest)
        cut.append(order[:size])
        order = order[size:]
    return cut


def _prompts(config: RunConfig, limit: int | None) -> tuple[Prompt, ...]:
    match config:
        case RunConfig(engine=StoredEngine()):
            return ()
        case RunConfig(prompts=Path() as path):
            return load_prompts(path, limit=limit)
        case RunConfig(engine=RecordedEngine(path=path)):
            return recorded_prompts(path)[:limit]
    raise ConfigError(f"{config.name}: 'prompts' is missing: name a JSONL prompt set")


def _jobs(config: RunConfig, *, store: Store, prompts: tuple[Prompt, ...], as_baseline: bool) -> list[Job]:
    """The run, and its controls where it is a baseline."""
    if isinstance(config.engine, StoredEngine):
        return []
    run = _job(config, config.name, prompts, store, seed=0 if as_baseline else _seed(config.name))
    if not as_baseline or config.control == "none":
        return [run]
    control = config.control or Control()
    if isinstance(config.engine, RecordedEngine):
        controls = [
            config.model_copy(update={"engine": RecordedEngine(kind="recorded", path=path), "name": _name(path)})
            for path in control.path
        ]
        return [run, *(_job(c, c.name, prompts, store, seed=0, control_of=run.digest) for c in controls)]
    again = range(1, control.repeats + 1)
    return [
        run,
        *(_job(config, f"{config.name}.control{n}", prompts, store, seed=n, control_of=run.digest) for n in again),
    ]


def _job(
    config: RunConfig, name: str, prompts: tuple[Prompt, ...], store: Store, *, seed: int, control_of: str | None = None
) -> Job:
    sampling = config.sampling or Sampling()
    engine = identity(config, remembered=store.remembered_hashes)
    depends_on: dict[str, Any] = {"engine": engine, "prompts": prompts_digest(prompts)}
    if not isinstance(config.engine, RecordedEngine):
        depends_on |= {
            "sampling": sampling.model_dump(mode="json"),
            "chunk": config.chunk or DEFAULT_CHUNK,
            "seed": seed,
        }
    digest = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()
    return Job(name, config, prompts, sampling, seed, digest, engine, control_of)


def _generate(jobs: Sequence[Job], store: Store, listener: Listener) -> list[Run]:
    """The jobs' runs; jobs with the same config share one engine, and none is opened where all are finished."""
    runs: list[Run] = []
    ear = _Ear(listener)
    with ExitStack() as stack:
        engine: Engine | None = None
        opened_for: RunConfig | None = None
        for job in jobs:
            waiting = f"{job.name}: another command is generating it; waiting for that ..."
            if run := store.run(job.name, job.digest):
                runs.append(run)
                continue
            with store.writing(job.name, job.digest, on_wait=partial(listener.say, waiting)) as writer:
                if isinstance(writer, Run):
                    runs.append(writer)
                    continue
                if engine is None or opened_for is not job.config:
                    stack.close()
                    listener.say(f"{job.name}: opening {job.config.engine.kind} ...")
                    opening = open_engine(job.config, log=writer.log, on_progress=ear.on_progress)
                    engine, opened_for = stack.enter_context(opening), job.config
                runs.append(_fill(writer, engine, job, ear, store))
    return runs


class _Ear:
    """Turns an engine's progress within a chunk into that of a whole run."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def start(self, run: str, *, done: int, total: int) -> None:
        self._run, self._done, self._total, self._tokens, self._seconds = run, done, total, 0, 0.0
        self._listener.progress(run, done, total, 0, 0.0)
        self._since = time.monotonic()

    def on_progress(self, progress: Progress) -> None:
        seconds = time.monotonic() - self._since
        done, tokens = self._done + progress.prompts, self._tokens + progress.tokens
        self._listener.progress(self._run, done, self._total, tokens, seconds)

    def chunk_finished(self, prompts: int, tokens: int) -> None:
        self._done += prompts
        self._tokens += tokens
        self._seconds = time.monotonic() - self._since
        self._listener.progress(self._run, self._done, self._total, self._tokens, self._seconds)

    def measurement(self) -> dict[str, float]:
        """Generating alone: loading and warm-up came before, joining the chunks comes after."""
        return {"prompts": self._done, "tokens": self._tokens, "seconds": self._seconds}


def _fill(writer: RunWriter, engine: Engine, job: Job, ear: _Ear, store: Store) -> Run:
    """Generate the chunks that are not on disk yet, and complete the run."""
    plan = chunks(len(job.prompts), largest=job.config.chunk or DEFAULT_CHUNK, seed=job.seed)
    finished = writer.finished
    ear.start(job.name, done=sum(len(plan[number]) for number in finished), total=len(job.prompts))
    steps_before = engine.step_seconds
    for number, members in enumerate(plan):
        if number in finished:
            continue
        prompts = [job.prompts[member] for member in members]
        outcomes = list(engine.generate(prompts, job.sampling))
        writer.add_chunk(number, prompts, outcomes)
        tokens = sum(len(o.token_ids or ()) for o in outcomes if not isinstance(o, Failure))
        ear.chunk_finished(len(prompts), tokens)
    measured = {**ear.measurement(), "step_seconds": engine.step_seconds - steps_before}
    run = writer.complete(job.prompts, _manifest(job, engine))
    if not finished and not isinstance(job.config.engine, RecordedEngine):
        store.add_measurement(run, {"created": run.manifest["created"], "engine": asdict(engine.info), **measured})
    return run


def _manifest(job: Job, engine: Engine) -> dict[str, Any]:
    recorded = isinstance(job.config.engine, RecordedEngine)
    checkpoint = None
    if isinstance(job.config.engine, VllmEngine):
        checkpoint = describe(local_directory(str(job.config.model), job.config.revision))
    return {
        "name": job.name,
        "digest": job.digest,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "fidelity": __version__,
        "config": job.config.model_dump(mode="json", exclude={"metrics"}),
        "sampling": None if recorded else job.sampling.model_dump(mode="json"),
        "prompts_digest": prompts_digest(job.prompts),
        "chunk": None if recorded else job.config.chunk or DEFAULT_CHUNK,
        "seed": None if recorded else job.seed,
        "control_of": job.control_of,
        "identity": job.engine_identity,
        "engine": asdict(engine.info),
        "checkpoint": asdict(checkpoint) if checkpoint else None,
        "label": job.config.label,
    }


def _stored(config: RunConfig, store: Store) -> list[Run]:
    """A finished run, with the controls that were made for it and lie beside it, taken into the store."""
    if not isinstance(config.engine, StoredEngine):
        return []
    run = Run(config.engine.path)
    controls: list[Run] = []
    if isinstance(config.control, Control) and config.control.path:
        controls = [Run(path) for path in config.control.path]
    elif config.control != "none":
        beside = [Run(manifest.parent) for manifest in sorted(run.path.parent.glob("*/manifest.json"))]
        controls = [other for other in beside if other.manifest["control_of"] == run.manifest["digest"]]
    return [store.adopt(run), *(store.adopt(control) for control in controls)]


def _seed(name: str) -> int:
    """A candidate's order and chunks are its own, by its name; baseline and controls have 0, 1, 2, ..."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") | 1 << 32


def _name(path: Path) -> str:
    return "".join(c if (c.isalnum() and c.isascii()) or c in "._+-" else "-" for c in path.stem)
