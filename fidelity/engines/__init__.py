"""Engines answer prompts. `open_engine` opens one from its config; `identity` says what its outputs depend on."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, assert_never

from fidelity.checkpoints import FLOATS, content_id, describe, local_directory, refuse_faults
from fidelity.config import RecordedEngine, RunConfig, StoredEngine, VllmEngine
from fidelity.engines.base import Engine, EngineInfo, ForcingEngine, OnProgress, Progress, TokenTexts
from fidelity.engines.child import ChildEngine
from fidelity.engines.platforms import refusal
from fidelity.engines.recorded import RecordedAnswers, file_hash
from fidelity.engines.vllm_settings import check, settings
from fidelity.errors import ConfigError, FidelityError, MissingPackageError

__all__ = [
    "Engine",
    "EngineInfo",
    "ForcingEngine",
    "OnProgress",
    "Progress",
    "TokenTexts",
    "can_force",
    "identity",
    "open_engine",
    "surroundings",
]

HARMLESS_ENV = (
    "VLLM_NO_USAGE_STATS",
    "VLLM_DO_NOT_TRACK",
    "VLLM_LOGGING",
    "VLLM_CONFIG_ROOT",
    "VLLM_CACHE_ROOT",
    "VLLM_LOG",
)
"""Beginnings of vLLM's environment variables that can't change an output."""
CHILD_ENV = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_NO_USAGE_STATS": "1"}
"""The engine runs inside our child process, not in another child of it, and reports to nobody."""
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
            with ChildEngine(
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
                    device=_gpu_name() or _cpu_name(),
                    notes=(*child.info.notes, *_what_became_of(config, engine, child.info)),
                )
                yield child
        case RecordedEngine() as engine:
            yield RecordedAnswers(engine)
        case StoredEngine():
            raise FidelityError(f"{config.name}: a stored run is finished; there is no engine to open")
        case unknown:
            assert_never(unknown)


def can_force(config: RunConfig) -> bool:
    """Whether a run's engine, once open, is a `ForcingEngine`."""
    return isinstance(config.engine, VllmEngine)


def _what_became_of(config: RunConfig, engine: VllmEngine, info: EngineInfo) -> list[str]:
    """In a sentence, where what ran is not what the checkpoint is."""
    told = []
    stored = describe(local_directory(str(config.model), config.revision)).format
    by = f" ({', '.join(info.kernels)})" if info.kernels else ""
    asked = engine.options.get("quantization") or engine.torchao
    if stored is not None and info.ran_as is not None:
        plain = stored in FLOATS.values()
        if (asked or not plain) and not info.quantized_layers:
            told.append(f"quantization never engaged: no layer is quantized, and all computed in {info.ran_as}")
        elif not plain and stored.partition(" (")[0].removeprefix("GGUF ") != info.ran_as.partition(" (")[0]:
            told.append(f"the checkpoint is {stored}, but its kernel{by} ran it as {info.ran_as}")
        elif plain and stored != info.ran_as:
            told.append(f"the checkpoint is {stored}, and was made {info.ran_as} while loading{by}")
    if info.kv_cache != info.dtype:
        told.append(f"the KV cache was kept in {info.kv_cache}")
    if engine.options.get("trust_remote_code"):
        told.append("code that came with the checkpoint was allowed to run (trust_remote_code)")
    return told


def identity(config: RunConfig, *, remembered: Path) -> dict[str, Any]:
    """All of the engine's side that can change an output, without loading anything: it enters the run's digest.

    Args:
        config: The run.
        remembered: The file in which hashes of model files are kept, see `checkpoints.content_id`.

    Raises:
        ConfigError: The checkpoint's files contradict each other, an option isn't vLLM's, or the platform is known not
            to run what is asked for.
    """
    match config.engine:
        case VllmEngine() as engine:
            checkpoint = local_directory(str(config.model), config.revision)
            refuse_faults(checkpoint, allow_pickle=engine.allow_pickle)
            check(config.name, engine)
            version = _vllm_version()
            if why := refusal(engine, checkpoint_format=describe(checkpoint).format, vllm_version=version):
                raise ConfigError(f"{config.name}: {why}")
            return {"model": content_id(checkpoint, remembered), **surroundings(engine)}
        case RecordedEngine() as engine:
            ran = {"ran": engine.ran.model_dump(mode="json")} if engine.ran else {}
            return {"kind": "recorded", "content": file_hash(engine.path), **ran}
        case StoredEngine():
            raise FidelityError(f"{config.name}: a stored run has its digest already")
        case unknown:
            assert_never(unknown)


def surroundings(engine: VllmEngine) -> dict[str, Any]:
    """All but the model that an output of vLLM depends on: options, version, device, environment.

    Raises:
        MissingPackageError: vLLM is not installed.
    """
    return {
        **engine.decisive(),
        "version": _vllm_version(),
        "device": _gpu_name() or _cpu_name(),
        "ambient": {
            key: value
            for key, value in sorted(os.environ.items())
            if (key.startswith("VLLM_") and not key.startswith(HARMLESS_ENV)) or key == "OMP_NUM_THREADS"
        },
    }


def _child_env(engine: VllmEngine) -> dict[str, str]:
    """The child's environment beside the inherited one; what the user sets wins."""
    kv_cache = os.environ.get("VLLM_CPU_KVCACHE_SPACE", CPU_KV_CACHE_GIB)
    return {**CHILD_ENV, "VLLM_CPU_KVCACHE_SPACE": kv_cache, **engine.env}


def _vllm_version() -> str:
    """The installed vLLM's version: `vllm` is the GPU build, `vllm-cpu` the CPU build of the same."""
    for package in ("vllm", "vllm-cpu"):
        try:
            found = version(package)
        except PackageNotFoundError:
            continue
        return f"{found}+cpu" if package == "vllm-cpu" else found
    raise MissingPackageError("vllm", extra="vllm", needed_by="the engine 'vllm'")


def _gpu_name() -> str | None:
    """The first GPU that the driver lists; None where vLLM is the CPU build or there is no driver."""
    if "cpu" in _vllm_version() or not shutil.which("nvidia-smi"):
        return None
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    listed = subprocess.run(query, capture_output=True, text=True, check=False).stdout.splitlines()
    return listed[0].strip() if listed else None


def _cpu_name() -> str:
    """Model and number of the processors: both change how BF16 sums are split."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else 'unknown CPU'} x{len(os.sched_getaffinity(0))}"
