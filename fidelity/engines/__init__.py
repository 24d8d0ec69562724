"""Engines answer prompts. `open_engine` opens one from its config; `identity` says what its outputs depend on."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import assert_never

from fidelity.checkpoints import content_id, describe, local_directory, refuse_faults
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
    Admission,
    Engine,
    OnProgress,
    Progress,
    StreamingEngine,
    TokenScoringEngine,
    TokenTexts,
)
from fidelity.engines.devices import cpu_name, gpu_name
from fidelity.engines.environment import HARMLESS_ENV, kernel_environment
from fidelity.engines.executorch import executorch_identity, open_executorch
from fidelity.engines.notes import run_notes
from fidelity.engines.platforms import refusal
from fidelity.engines.recorded import RecordedAnswers, file_hash
from fidelity.engines.timing import Account, Alone, Answered, StreamingChild, TimedEngine, WatchedEngine
from fidelity.engines.transformers import open_transformers, transformers_identity
from fidelity.engines.vllm_settings import check, settings
from fidelity.errors import ConfigError, FidelityError, MissingPackageError
from fidelity.records import EngineInfo
from fidelity.schema import JsonObject

__all__ = [
    "Account",
    "Admission",
    "Alone",
    "Answered",
    "Engine",
    "OnProgress",
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

NO_REPORTS = {"VLLM_NO_USAGE_STATS": "1"}
"""The engine reports to nobody."""
IN_PROCESS = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
"""It runs inside our child process, not in another child of it."""
CPU_KV_CACHE_GIB = "4"
"""What vLLM's CPU build may take for the KV cache if nothing is said; by itself it takes nearly all memory."""


@contextmanager
def open_engine(config: RunConfig, *, log: Path, on_progress: OnProgress) -> Iterator[Engine]:
    """Open the engine of a run, and close it in every case.

    Raises:
        EngineError: The model can't be loaded; with the engine's last lines.
        MissingPackageError: The engine's package is not installed.
    """
    match config.engine:
        case VllmEngine() as engine:
            with StreamingChild(
                "fidelity.children.vllm",
                settings(config, engine),
                env=_child_env(engine),
                log=log,
                on_progress=on_progress,
                deadline=engine.deadline,
            ) as child:
                child.info = replace(
                    child.info,
                    version=_vllm_version(),
                    device=_device(),
                    environment=kernel_environment(_child_env(engine)),
                    notes=(*child.info.notes, *_vllm_notes(config, engine, child.info)),
                )
                yield child
        case OpenAIEngine() as engine:
            from fidelity.engines.openai import open_server

            with open_server(engine, log=log, on_progress=on_progress) as server:
                yield server
        case VllmServeEngine() as engine:
            from fidelity.engines.vllm_serve import serve

            with serve(config, engine, env=_child_env(engine), log=log, on_progress=on_progress) as server:
                environment = kernel_environment(_child_env(engine))
                server.info = replace(server.info, version=_vllm_version(), device=_device(), environment=environment)
                yield server
        case TransformersEngine() as engine:
            with open_transformers(config, engine, log=log, on_progress=on_progress) as child:
                yield child
        case ExecuTorchEngine() as engine:
            with open_executorch(engine, log=log, on_progress=on_progress) as child:
                yield child
        case RecordedEngine() as engine:
            yield RecordedAnswers(engine)
        case StoredEngine():
            raise FidelityError(f"{config.name}: a stored run is finished; there is no engine to open")
        case unknown:
            assert_never(unknown)


def can_score_tokens(config: RunConfig, known: JsonObject) -> bool:
    """Whether a run's engine, of which `known` is the identity, is a `TokenScoringEngine` once it is open."""
    if isinstance(config.engine, OpenAIEngine):
        server = known["server"]
        return isinstance(server, dict) and server["owner"] == "vllm"
    return isinstance(config.engine, VllmSettings | TransformersEngine | ExecuTorchEngine)


def _vllm_notes(config: RunConfig, engine: VllmEngine, info: EngineInfo) -> list[str]:
    stored = describe(local_directory(str(config.model), config.revision)).format
    asked = bool(engine.options.get("quantization") or engine.torchao)
    return run_notes(stored, info, asked=asked, options=engine.options)


def identity(config: RunConfig, *, remembered: Path) -> JsonObject:
    """All of the engine's side that can change an output, without loading anything: it enters the run's digest.

    Args:
        config: The run.
        remembered: The file in which hashes of model files are kept, see `checkpoints.content_id`.

    Raises:
        ConfigError: The checkpoint's files contradict each other, an option isn't vLLM's, or the platform is known not
            to run what is asked for.
    """
    match config.engine:
        case VllmEngine() | VllmServeEngine() as engine:
            checkpoint = local_directory(str(config.model), config.revision)
            refuse_faults(checkpoint, allow_pickle=engine.allow_pickle)
            check(config.name, engine)
            version = _vllm_version()
            if why := refusal(engine, checkpoint_format=describe(checkpoint).format, vllm_version=version):
                raise ConfigError(f"{config.name}: {why}")
            return {"model": content_id(checkpoint, remembered), **surroundings(engine)}
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


def surroundings(engine: VllmEngine | VllmServeEngine) -> JsonObject:
    """All but the model that an output of vLLM depends on: options, version, device, environment.

    Raises:
        MissingPackageError: vLLM is not installed.
    """
    return {
        **engine.decisive(),
        "version": _vllm_version(),
        "device": _device(),
        "ambient": {
            key: value
            for key, value in sorted(os.environ.items())
            if (key.startswith("VLLM_") and not key.startswith(HARMLESS_ENV)) or key == "OMP_NUM_THREADS"
        },
    }


def _child_env(engine: VllmSettings) -> dict[str, str]:
    """The environment beside the inherited one of a process that runs vLLM; what the user sets wins."""
    kv_cache = os.environ.get("VLLM_CPU_KVCACHE_SPACE", CPU_KV_CACHE_GIB)
    in_process = IN_PROCESS if isinstance(engine, VllmEngine) else {}
    return {**NO_REPORTS, **in_process, "VLLM_CPU_KVCACHE_SPACE": kv_cache, **engine.env}


def _vllm_version() -> str:
    """The installed vLLM's version: `vllm` is the GPU build, `vllm-cpu` the CPU build of the same."""
    for package in ("vllm", "vllm-cpu"):
        try:
            installed = version(package)
        except PackageNotFoundError:
            continue
        return f"{installed}+cpu" if package == "vllm-cpu" else installed
    raise MissingPackageError("vllm", extra="vllm", needed_by="the engine 'vllm'")


def _device() -> str:
    """Where vLLM runs: the first GPU, unless it is the CPU build or there is none."""
    return ("cpu" not in _vllm_version() and gpu_name()) or cpu_name()
