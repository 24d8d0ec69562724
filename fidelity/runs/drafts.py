"""A run's manifest before its answers exist: its configuration, and what really ran."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from fidelity import __version__
from fidelity.checkpoints import (
    RANDOM_WEIGHTS_NOTE,
    Checkpoint,
    describe,
    has_random_weights,
    local_directory,
    read_config,
    tensors_id,
    weights_id,
)
from fidelity.config import ExecuTorchEngine, OpenAIEngine, RecordedEngine, RunConfig
from fidelity.engines import Engine
from fidelity.engines.recorded import RecordedAnswers
from fidelity.prompts import prompts_digest
from fidelity.records import EngineInfo, Prompt
from fidelity.runs.jobs import Job
from fidelity.store.manifests import Invariance, RunDraft
from fidelity.store.store import Store


def draft_of(
    job: Job, engine: Engine, store: Store, *, resumed: int = 0, invariance: Invariance | None = None
) -> RunDraft:
    """The manifest of a job, once its engine is open."""
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
        invariance=invariance,
        resumed=resumed,
        chunk=None if recorded else job.config.drained,
        seed=None if recorded else job.seed,
        control_of=job.control_of,
        subset_of=job.subset_of,
        planned=len(job.prompts) if job.until_decided else None,
        identity=job.engine_identity,
        engine=with_note_on_weights(with_notes_on_tools(engine.info, job.config, job.prompts), job.config),
        checkpoint=_checkpoint(job.config, engine.info, store),
        label=job.config.label,
        recorded_timings=engine.timings if isinstance(engine, RecordedAnswers) else {},
        unasked=_unasked(job, engine) if isinstance(engine, RecordedAnswers) else (),
    )


def with_note_on_weights(info: EngineInfo, config: RunConfig) -> EngineInfo:
    """What ran, with a note if the checkpoint's weights are random."""
    checkpoint = Path(str(config.model))
    if config.model is None or not (checkpoint / "config.json").is_file():
        return info
    return (
        replace(info, notes=(RANDOM_WEIGHTS_NOTE, *info.notes)) if has_random_weights(read_config(checkpoint)) else info
    )


def with_notes_on_tools(info: EngineInfo, config: RunConfig, prompts: Sequence[Prompt]) -> EngineInfo:
    """What ran, with notes where the prompts' tools had no effect on the prompts or on what is recorded."""
    if not any(prompt.tools for prompt in prompts) or isinstance(config.engine, RecordedEngine | OpenAIEngine):
        return info
    notes = []
    if info.reads_tools is False:
        notes.append("the chat template leaves the prompts' tools out: the model never read them")
    if not getattr(config.engine, "tool_call_parser", None):
        notes.append("tool calls stay in the answers' texts: only vLLM reads them, with engine.tool_call_parser")
    return replace(info, notes=(*info.notes, *notes))


def _unasked(job: Job, engine: RecordedAnswers) -> tuple[str, ...]:
    """Prompts that only the file has. Those that `--limit` leaves out were asked."""
    return engine.unasked(chain(job.prompts, job.prompt_set))


def draft_of_subset(draft: RunDraft, prompts: Sequence[Prompt], *, last: int) -> RunDraft:
    """The manifest of a run that stopped after its chunk number `last`."""
    return draft.replace(
        digest=hashlib.sha256(f"{draft.digest}, chunks 0 to {last}".encode()).hexdigest(),
        prompts_digest=prompts_digest(prompts),
        subset_of=draft.subset_of or draft.prompts_digest,
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
    weights = weights_id(directory, store.remembered_hashes)
    return replace(describe(directory), weights=weights, tensors=tensors_id(directory))
