"""Generate, score, compare: the only place that calls more than one of engine, metric and store."""

import hashlib
import json
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from fidelity import __version__, baselines
from fidelity.checkpoints import describe, local_directory
from fidelity.comparison import ComparisonSet, ScoredColumn, Scores, evidence_of, keep
from fidelity.config import Control, RecordedEngine, RunConfig, Sampling, StoredEngine, VllmEngine, candidate_of
from fidelity.encoders import CachedEncoder, locate
from fidelity.engines import Engine, Progress, identity, open_engine
from fidelity.engines.recorded import recorded_prompts
from fidelity.errors import ConfigError, EngineError, IncomparableError
from fidelity.gate import SEED, Gate, Outcome, check_columns, judge
from fidelity.metrics import EncoderMetric, Metric
from fidelity.pairing import Pairing, pair_runs
from fidelity.prompts import load_prompts, prompts_digest
from fidelity.records import Column, Failure, Prompt, Sameness
from fidelity.stats import reading_order
from fidelity.store import Comparison, Run, RunWriter, Store

__all__ = ["ComparisonSet", "Job", "Listener", "ScoredColumn", "Scores", "chunks", "compare", "generate"]

DEFAULT_CHUNK = 128
Decided = Callable[[Run], Outcome]
"""What a gate says to a run that may still grow."""


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
    """The digest of the run whose control this is."""
    subset_of: str | None = None
    """The digest of the baseline's prompts, where these are only a part of them."""
    until_decided: bool = False
    """Go through the prompts in the order in which a gate reads them, and stop when it has decided."""

    @property
    def plan(self) -> list[list[int]]:
        """The chunks, as places in `prompts`."""
        order = [int(n) for n in reading_order([p.id for p in self.prompts], seed=SEED)] if self.until_decided else None
        largest = self.config.chunk or DEFAULT_CHUNK
        return chunks(len(self.prompts), largest=largest, seed=self.seed, order=order)


def generate(config: RunConfig, *, store: Store, listener: Listener, limit: int | None = None) -> list[Run]:
    """Generate a run and its controls, or find them finished; the run comes first."""
    jobs = _jobs(config, store=store, prompts=_prompts(config, limit), as_baseline=True)
    return _stored(config, store, as_baseline=True) or _generate(jobs, store, listener)


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
) -> ComparisonSet:
    """Generate what is missing and score every candidate, and every control, against the baseline.

    A candidate that can't be generated or compared is named in the result, and the others go on. Whether the metrics
    give the columns that the `gate` names is checked before anything is generated. With `until_decided` a candidate is
    generated only as far as it takes the gate to decide; baseline and controls, which serve every candidate, are whole.

    Raises:
        FidelityError: The baseline or the configuration can't be used.
    """
    if until_decided and gate is None:
        raise ConfigError("--until-decided stops when a gate has decided: name one with --gate")
    names = [config.name for config in (baseline, *candidates)]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"the name {min(twice)!r} stands in two of the files; every run needs a name of its own")
    metrics = [_ready(metric, store) for metric in metrics]
    if gate:
        check_columns(gate, {column.name: column for metric in metrics for column in _offered(metric)})
    stored = _stored(baseline, store, as_baseline=True)
    prompts, subset_of = _prompts(baseline, limit), None
    if stored:
        baseline, prompts, subset_of = _as_stored(baseline, stored[0], limit)
    baseline_jobs = _jobs(baseline, store=store, prompts=prompts, as_baseline=True)
    jobs = [
        _jobs(
            candidate_of(baseline, c),
            store=store,
            prompts=prompts,
            as_baseline=False,
            subset_of=subset_of,
            until_decided=until_decided,
        )
        for c in candidates
    ]
    base, *controls = stored or _generate(baseline_jobs, store, listener)
    floor = tuple(_score(base, control, metrics, store) for control in controls)

    decided = _decided_by(gate, base, floor, metrics) if gate and until_decided else None
    scored, not_compared = [], {}
    for config, job in zip(candidates, jobs, strict=True):
        try:
            run, *own_controls = _stored(config, store, as_baseline=False) or _generate(job, store, listener, decided)
            own = tuple(_score(run, control, metrics, store) for control in own_controls)
            scores = replace(_score(base, run, metrics, store), own_controls=own)
            keep(scores, floor)
            scored.append(scores)
        except (EngineError, IncomparableError) as error:
            not_compared[config.name] = str(error)
            listener.say(f"{config.name}: not compared: {error}")
    return ComparisonSet(base, floor, tuple(scored), not_compared)


def _decided_by(gate: Gate, base: Run, floor: tuple[Scores, ...], metrics: Sequence[Metric]) -> Decided:
    """Looks at a run that may still grow; nothing of a look is kept but the embeddings."""

    def outcome(run: Run) -> Outcome:
        with TemporaryDirectory() as folder:
            scores = _score(base, run, metrics, Store(Path(folder)))
            return judge(gate, evidence_of(ComparisonSet(base, floor, (scores,)), scores)).outcome

    return outcome


def chunks(count: int, *, largest: int, seed: int, order: Sequence[int] | None = None) -> list[list[int]]:
    """The batches in which a run goes through its prompts: a seeded permutation of 0 ... count-1, cut at random.

    An `order` that is given is kept; it must be as good as random.

    Sizes are drawn from a quarter of the largest up to the largest, which is never more than half of the prompts, so
    that two seeds give compositions that really differ: on CPU, order alone, in one batch, changes nothing.
    """
    draw = random.Random(seed)
    left = list(range(count) if order is None else order)
    if order is None:
        draw.shuffle(left)
    largest = max(1, min(largest, count // 2))
    cut: list[list[int]] = []
    while left:
        size = draw.randint(math.ceil(largest / 4), largest)
        cut.append(left[:size])
        left = left[size:]
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


def _as_stored(config: RunConfig, run: Run, limit: int | None) -> tuple[RunConfig, tuple[Prompt, ...], str | None]:
    """What candidates of a stored baseline take from it: its config, the prompts, and whose part they are, if one."""
    sampling = run.manifest["sampling"]
    shared = config.model_copy(
        update={"sampling": Sampling(**sampling) if sampling else config.sampling, "chunk": run.manifest["chunk"]}
    )
    prompts = run.prompts()
    part = limit is not None and limit < len(prompts)
    return shared, prompts[:limit], run.manifest["prompts_digest"] if part else None


def _jobs(
    config: RunConfig,
    *,
    store: Store,
    prompts: tuple[Prompt, ...],
    as_baseline: bool,
    subset_of: str | None = None,
    until_decided: bool = False,
) -> list[Job]:
    """The run and its controls: a baseline has one if nothing is said, a candidate only if its YAML asks for it."""
    if isinstance(config.engine, StoredEngine):
        return []
    seed = 0 if as_baseline else _seed(config.name)
    make = partial(_job, prompts=prompts, store=store, subset_of=subset_of)
    run = make(config, config.name, seed=seed, until_decided=until_decided)
    control = config.control or (Control() if as_baseline else "none")
    if control == "none":
        return [run]
    if isinstance(config.engine, RecordedEngine):
        controls = [
            config.model_copy(update={"engine": config.engine.model_copy(update={"path": path}), "name": _name(path)})
            for path in control.path
        ]
        return [run, *(make(c, c.name, seed=0, control_of=run.digest) for c in controls)]
    named = [(f"{config.name}.control{n}", n) for n in range(1, control.repeats + 1)]
    again = [make(config, name, seed=n if as_baseline else _seed(name), control_of=run.digest) for name, n in named]
    return [run, *again]


def _job(
    config: RunConfig,
    name: str,
    *,
    prompts: tuple[Prompt, ...],
    store: Store,
    seed: int,
    control_of: str | None = None,
    subset_of: str | None = None,
    until_decided: bool = False,
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
    depends_on |= {"subset_of": subset_of} if subset_of else {}
    depends_on |= {"order": f"reading, seed {SEED}"} if until_decided else {}
    digest = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()
    return Job(name, config, prompts, sampling, seed, digest, engine, control_of, subset_of, until_decided)


def _generate(jobs: Sequence[Job], store: Store, listener: Listener, decided: Decided | None = None) -> list[Run]:
    """The jobs' runs; jobs with the same config share one engine, and none is opened where all are finished."""
    runs: list[Run] = []
    with ExitStack() as stack:
        engines = _Engines(stack, listener)
        for job in jobs:
            if job.control_of and job.control_of != runs[0].manifest["digest"]:
                job = _on_the_same_prompts(job, runs[0], store)
            runs.append(store.run(job.name, job.digest) or _run(job, engines, store, decided))
    return runs


def _run(job: Job, engines: "_Engines", store: Store, decided: Decided | None) -> Run:
    with store.writing(job.name, job.digest) as writer:
        if isinstance(writer, Run):
            return writer
        if job.until_decided and decided:
            return _fill_until(writer, engines, job, store, decided)
        return _fill(writer, engines, job, store)


def _on_the_same_prompts(control: Job, run: Run, store: Store) -> Job:
    """The control of a run that stopped before it had asked all prompts."""
    return _job(
        control.config,
        control.name,
        prompts=run.prompts(),
        store=store,
        seed=control.seed,
        control_of=run.manifest["digest"],
        subset_of=run.manifest["subset_of"],
    )


class _Engines:
    """Opens a job's engine when it is first needed; jobs with the same config share it."""

    def __init__(self, stack: ExitStack, listener: Listener) -> None:
        self.listener = listener
        self.ear = _Ear(listener)
        self._stack = stack
        self._opened: tuple[RunConfig, Engine] | None = None

    def of(self, job: Job, log: Path) -> Engine:
        if self._opened is None or self._opened[0] is not job.config:
            self._stack.close()
            self.listener.say(f"{job.name}: opening {job.config.engine.kind} ...")
            opening = open_engine(job.config, log=log, on_progress=self.ear.on_progress)
            self._opened = job.config, self._stack.enter_context(opening)
        return self._opened[1]


class _Ear:
    """Turns an engine's progress within a chunk into that of a whole run."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def start(self, run: str, *, done: int, total: int) -> None:
        self._run, self._done, self._total, self._tokens, self._since = run, done, total, 0, time.monotonic()

    def on_progress(self, progress: Progress) -> None:
        seconds = time.monotonic() - self._since
        done, tokens = self._done + progress.prompts, self._tokens + progress.tokens
        self._listener.progress(self._run, done, self._total, tokens, seconds)

    def chunk_finished(self, prompts: int, tokens: int) -> None:
        self._done += prompts
        self._tokens += tokens
        self.on_progress(Progress(0, 0))

    def measurement(self) -> dict[str, float]:
        """Generating alone: loading and warm-up came before, joining the chunks comes after."""
        return {"prompts": self._done, "tokens": self._tokens, "seconds": time.monotonic() - self._since}


def _fill(writer: RunWriter, engines: _Engines, job: Job, store: Store) -> Run:
    """Generate the chunks that are not on disk yet, and complete the run."""
    engine, finished = engines.of(job, writer.log), writer.finished
    engines.ear.start(job.name, done=sum(len(job.plan[number]) for number in finished), total=len(job.prompts))
    steps_before = engine.step_seconds
    for number, members in enumerate(job.plan):
        if number not in finished:
            _fill_chunk(writer, engine, engines.ear, job, number, members)
    measured = {**engines.ear.measurement(), "step_seconds": engine.step_seconds - steps_before}
    run = writer.complete(job.prompts, _manifest(job, engine))
    if not finished and not isinstance(job.config.engine, RecordedEngine):
        store.add_measurement(run, {"created": run.manifest["created"], "engine": asdict(engine.info), **measured})
    return run


def _fill_until(writer: RunWriter, engines: _Engines, job: Job, store: Store, decided: Decided) -> Run:
    """Generate chunk after chunk until the gate decides.

    What was asked until then becomes a run of its own. The chunks stay where they are: a gate that asks for more goes
    on from there, and one that is content with less stops before, as if nothing had been generated yet.
    """
    finished, asked = writer.finished, set[int]()
    engines.ear.start(job.name, done=sum(len(job.plan[number]) for number in finished), total=len(job.prompts))
    for number, members in enumerate(job.plan):
        if number not in finished or writer.noted is None:
            engine = engines.of(job, writer.log)
            writer.note(_manifest(job, engine))
            if number not in finished:
                _fill_chunk(writer, engine, engines.ear, job, number, members)
        asked.update(members)
        if len(asked) == len(job.prompts):
            break
        prompts = tuple(prompt for place, prompt in enumerate(job.prompts) if place in asked)
        manifest = _part_of(writer.noted or {}, prompts, number)
        with TemporaryDirectory() as folder:
            outcome = decided(writer.part(range(number + 1), prompts, manifest, path=Path(folder, job.name)))
        if outcome != "inconclusive":
            engines.listener.say(f"{job.name}: {outcome} after {len(asked)} of {len(job.prompts)} prompts")
            path = store.run_path(job.name, manifest["digest"])
            return writer.part(range(number + 1), prompts, manifest, path=path)
    return writer.complete(job.prompts, writer.noted or {})


def _fill_chunk(writer: RunWriter, engine: Engine, ear: "_Ear", job: Job, number: int, members: Sequence[int]) -> None:
    prompts = [job.prompts[member] for member in members]
    outcomes = list(engine.generate(prompts, job.sampling))
    writer.add_chunk(number, prompts, outcomes)
    tokens = sum(len(o.token_ids or ()) for o in outcomes if not isinstance(o, Failure))
    ear.chunk_finished(len(prompts), tokens)


def _part_of(manifest: Mapping[str, Any], prompts: Sequence[Prompt], last: int) -> dict[str, Any]:
    """The manifest of a run that stopped after its chunk number `last`."""
    return {
        **manifest,
        "digest": hashlib.sha256(f"{manifest['digest']}, chunks 0 to {last}".encode()).hexdigest(),
        "prompts_digest": prompts_digest(prompts),
        "subset_of": manifest["subset_of"] or manifest["prompts_digest"],
    }


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
        "subset_of": job.subset_of,
        "planned": len(job.prompts) if job.until_decided else None,
        "identity": job.engine_identity,
        "engine": asdict(engine.info),
        "checkpoint": asdict(checkpoint) if checkpoint else None,
        "label": job.config.label,
    }


def _stored(config: RunConfig, store: Store, *, as_baseline: bool) -> list[Run]:
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
        controls = [other for other in beside if other.manifest["control_of"] == run.manifest["digest"]]
    return [store.adopt(run), *(store.adopt(control) for control in controls)]


def _ready(metric: Metric, store: Store) -> Metric:
    """The metric with its encoder bound, where it needs one; nothing heavy is loaded until a text must be encoded."""
    if not isinstance(metric, EncoderMetric):
        return metric
    source = locate(metric.encoder)
    return metric.bind(CachedEncoder(source, store.root / "embeddings"))


def _offered(metric: Metric) -> list[Column]:
    """The columns that a metric may give, empty: its own, and those of what is scored in its place."""
    fallback = metric.fallback()
    return [*metric.score([]), *(_offered(fallback) if fallback else [])]


def _score(baseline: Run, other: Run, metrics: Sequence[Metric], store: Store) -> Scores:
    """Score one pair of runs, reading from the store what has been scored before."""
    pairing = pair_runs(baseline, other)
    same = pairing.same()
    kept = _kept(baseline, other, pairing, same, store)
    columns: dict[str, ScoredColumn] = {}
    unscored: dict[str, str] = {}
    for metric in metrics:
        chosen: Metric | None = metric
        while chosen and (reason := _unmet(chosen, baseline, other, pairing)):
            unscored |= {column.name: reason for column in chosen.score([])}
            chosen = chosen.fallback()
        if chosen:
            columns |= {metric.named(name): scored for name, scored in _columns(chosen, pairing, kept).items()}
    made = {name: {"signature": s.signature, "column": s.column.name} for name, s in columns.items()}
    before = kept.manifest
    kept.described(columns={**before.get("columns", {}), **made}, unscored={**before.get("unscored", {}), **unscored})
    return Scores(
        run=other,
        prompt_ids=kept.prompt_ids,
        columns=columns,
        failed=pairing.failed,
        failures=pairing.failures,
        unscored=unscored,
        failed_prompts=pairing.failed_prompts,
        same=same,
        path=kept.path,
    )


def _kept(baseline: Run, other: Run, pairing: Pairing, same: Sameness, store: Store) -> Comparison:
    """The comparison of two runs in the store, with all that is known before anything is scored."""
    digest = hashlib.sha256(f"{baseline.manifest['digest']}{other.manifest['digest']}".encode()).hexdigest()
    known = {
        "prompt_ids": [pair.prompt.id for pair in pairing.pairs],
        "failed": pairing.failed,
        "failures": pairing.failures,
        "failed_prompts": list(pairing.failed_prompts),
        "same": asdict(same),
    }
    created = datetime.now(UTC).isoformat(timespec="milliseconds")
    return store.comparison(baseline, other, {"created": created, **known}, digest).described(**known)


def _columns(metric: Metric, pairing: Pairing, kept: Comparison) -> dict[str, ScoredColumn]:
    signature = metric.signature()
    columns = kept.columns(signature)
    if columns is None:
        columns = tuple(metric.model_copy(update={"label": None}).score(pairing.pairs))
        kept.add_columns(signature, columns)
    return {column.name: ScoredColumn(column, signature) for column in columns}


def _unmet(metric: Metric, baseline: Run, other: Run, pairing: Pairing) -> str | None:
    """Why these two runs can't be scored with this metric; None where they can."""
    if "token_ids" not in metric.needs:
        return None
    for run, side in ((baseline, "baseline"), (other, "candidate")):
        if all(getattr(pair, side).token_ids is None for pair in pairing.pairs):
            return f"{run.name} has no token ids"
    ours, theirs = baseline.manifest["engine"]["tokenizer"], other.manifest["engine"]["tokenizer"]
    if ours and theirs and ours != theirs:
        return f"{baseline.name} and {other.name} have different tokenizers, so their token ids can't be compared"
    return None


def _seed(name: str) -> int:
    """A candidate's order and chunks are its own, by its name; baseline and controls have 0, 1, 2, ..."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") | 1 << 32


def _name(path: Path) -> str:
    return "".join(c if (c.isalnum() and c.isascii()) or c in "._+-" else "-" for c in path.stem)
