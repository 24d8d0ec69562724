"""Engines answer prompts. `open_engine` opens one from its config; `identity` is what its outputs depend on."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol, assert_never

from fidelity.config import (
    ExecuTorchEngine,
    OpenAIEngine,
    RecordedEngine,
    RunConfig,
    StoredEngine,
    TransformersEngine,
    VllmEngine,
    VllmServeEngine,
    VllmSettings,
)
from fidelity.engines.base import (
    ANYWHERE,
    Admission,
    Engine,
    OnProgress,
    Placement,
    Progress,
    StreamingEngine,
    TokenScoringEngine,
    TokenTexts,
)
from fidelity.engines.executorch import executorch_identity, open_executorch
from fidelity.engines.recorded import RecordedAnswers, file_hash
from fidelity.engines.timing import Account, Alone, Answered, TimedEngine, WatchedEngine
from fidelity.engines.transformers import open_transformers, transformers_identity
from fidelity.engines.vllm import open_vllm, surroundings, vllm_identity
from fidelity.errors import FidelityError
from fidelity.schema import JsonObject

__all__ = [
    "ANYWHERE",
    "Account",
    "Admission",
    "Alone",
    "Answered",
    "Engine",
    "OnProgress",
    "Opener",
    "Placement",
    "Progress",
    "StreamingEngine",
    "TimedEngine",
    "TokenScoringEngine",
    "TokenTexts",
    "WatchedEngine",
    "can_score_tokens",
    "identity",
    "open_engine",
    "surroundings",
]


class Opener(Protocol):
    """Opens engines: `open_engine`, or its equivalent on another machine."""

    def __call__(
        self, config: RunConfig, *, log: Path, on_progress: OnProgress, keep_failures: bool = False
    ) -> AbstractContextManager[Engine]:
        """See `open_engine`."""
        ...


def open_engine(
    config: RunConfig,
    *,
    log: Path,
    on_progress: OnProgress,
    keep_failures: bool = False,
    placement: Placement = ANYWHERE,
) -> AbstractContextManager[Engine]:
    """Open the engine of a run, as a context manager that closes it in every case.

    With `keep_failures` a prompt that a server refuses has failed at once; else it is asked again until it is clear
    that the prompt is at fault, and not the server. `placement` says which GPUs it uses.

    Raises:
        EngineError: The model can't be loaded. The message ends with the engine's last log lines.
        MissingPackageError: The engine's package is not installed.
    """
    match config.engine:
        case VllmEngine() as engine:
            return open_vllm(config, engine, log=log, on_progress=on_progress, placement=placement)
        case OpenAIEngine() as engine:
            from fidelity.engines.openai import open_server

            return open_server(engine, log=log, on_progress=on_progress, keep_failures=keep_failures)
        case VllmServeEngine() as engine:
            from fidelity.engines.vllm_serve import serve

            return serve(
                config,
                engine,
                log=log,
                on_progress=on_progress,
                keep_failures=keep_failures,
                placement=placement,
            )
        case TransformersEngine() as engine:
            return open_transformers(config, engine, log=log, on_progress=on_progress, placement=placement)
        case ExecuTorchEngine() as engine:
            return open_executorch(engine, log=log, on_progress=on_progress, placement=placement)
        case RecordedEngine() as engine:
            return nullcontext(RecordedAnswers(engine))
        case StoredEngine():
            raise FidelityError(f"{config.name}: a stored run is finished and has no engine")
        case unknown:
            assert_never(unknown)


def can_score_tokens(config: RunConfig, known: JsonObject) -> bool:
    """Whether a run's engine, with the identity `known`, will be a `TokenScoringEngine` when it is open."""
    if isinstance(config.engine, OpenAIEngine):
        server = known["server"]
        return isinstance(server, dict) and server["owner"] == "vllm"
    return isinstance(config.engine, VllmSettings | TransformersEngine | ExecuTorchEngine)


def identity(config: RunConfig, *, remembered: Path) -> JsonObject:
    """Everything about the engine that can change an output, without loading it. It enters the run's digest.

    Args:
        config: The run.
        remembered: The file that caches hashes of model files; see `checkpoints.content_id`.

    Raises:
        ConfigError: The checkpoint's files contradict each other, vLLM has no such option, or the platform is known
            not to support the format.
    """
    match config.engine:
        case VllmEngine() | VllmServeEngine() as engine:
            return vllm_identity(config, engine, remembered)
        case TransformersEngine() as engine:
            return transformers_identity(config, engine, remembered)
        case ExecuTorchEngine() as engine:
            return executorch_identity(config, engine, remembered)
        case OpenAIEngine() as engine:
            from fidelity.engines.openai import server_identity

            return server_identity(engine, remembered=remembered.with_name("servers.json"))
        case RecordedEngine() as engine:
            ran = {"ran": engine.ran.decisive()} if engine.ran else {}
            return {"kind": "recorded", "content": file_hash(engine.path), **ran}
        case StoredEngine():
            raise FidelityError(f"{config.name}: a stored run has its digest already")
        case unknown:
            assert_never(unknown)
