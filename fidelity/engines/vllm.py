"""The engine `vllm`, in a child process, and what vLLM's outputs depend on besides the model."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fidelity.checkpoints import content_id, describe, local_directory, refuse_faults
from fidelity.config import RunConfig, VllmEngine, VllmServeEngine, VllmSettings
from fidelity.engines.base import ANYWHERE, OnProgress, Placement
from fidelity.engines.devices import cpu_name, gpu_name
from fidelity.engines.notes import run_notes
from fidelity.engines.platforms import refusal, why_not_invariant
from fidelity.engines.timing import StreamingChild
from fidelity.engines.vllm_settings import check, settings
from fidelity.errors import ConfigError, MissingPackageError
from fidelity.outside.environment import HARMLESS_ENV, kernel_environment
from fidelity.records import EngineInfo
from fidelity.schema import JsonObject

NO_REPORTS = {"VLLM_NO_USAGE_STATS": "1"}
"""Switches the engine's telemetry off."""
IN_PROCESS = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
"""Runs vLLM's core in fidelity's child process rather than in another process."""
BATCH_INVARIANT = {"VLLM_BATCH_INVARIANT": "1", "VLLM_USE_FLASHINFER_SAMPLER": "0"}
"""Selects batch-invariant kernels; with FlashInfer's sampler log-probabilities would still depend on the batch."""
CPU_KV_CACHE_GIB = "4"
"""The default size of the KV cache for vLLM's CPU build, which would otherwise use nearly all memory."""


@contextmanager
def open_vllm(
    config: RunConfig, engine: VllmEngine, *, log: Path, on_progress: OnProgress, placement: Placement = ANYWHERE
) -> Iterator[StreamingChild]:
    """See `engines.open_engine`."""
    with StreamingChild(
        "fidelity.children.vllm",
        settings(config, engine),
        env=child_env(engine, batch_invariant=config.batch_invariant),
        log=log,
        on_progress=on_progress,
        deadline=engine.deadline,
        placement=placement,
    ) as child:
        info = on_this_machine(child.info, engine, batch_invariant=config.batch_invariant)
        child.info = replace(info, notes=(*info.notes, *_notes(config, engine, info)))
        yield child


def vllm_identity(config: RunConfig, engine: VllmEngine | VllmServeEngine, remembered: Path) -> JsonObject:
    """The checkpoint's content and the `surroundings`; see `engines.identity`."""
    checkpoint = local_directory(str(config.model), config.revision)
    refuse_faults(checkpoint, allow_pickle=engine.allow_pickle)
    check(config.file_or_name, engine)
    version = vllm_version()
    if why := refusal(engine, checkpoint_format=describe(checkpoint).format, vllm_version=version):
        raise ConfigError(f"{config.file_or_name}: {why}")
    if config.batch_invariant and (why := why_not_invariant(version)):
        raise ConfigError(f"{config.file_or_name}: batching: invariant is not possible here: {why}")
    return {"model": content_id(checkpoint, remembered), **surroundings(engine)}


def surroundings(engine: VllmEngine | VllmServeEngine) -> JsonObject:
    """Everything except the model that vLLM's outputs depend on: options, version, device, environment.

    Raises:
        MissingPackageError: vLLM is not installed.
    """
    return {
        **engine.decisive(),
        "version": vllm_version(),
        "device": _device(),
        "ambient": {
            key: value
            for key, value in sorted(os.environ.items())
            if (key.startswith("VLLM_") and not key.startswith(HARMLESS_ENV)) or key == "OMP_NUM_THREADS"
        },
    }


def child_env(engine: VllmSettings, *, batch_invariant: bool = False) -> dict[str, str]:
    """The environment variables to add for a process that runs vLLM. The user's values take precedence."""
    kv_cache = os.environ.get("VLLM_CPU_KVCACHE_SPACE", CPU_KV_CACHE_GIB)
    in_process = IN_PROCESS if isinstance(engine, VllmEngine) else {}
    invariant = BATCH_INVARIANT if batch_invariant else {}
    return {**NO_REPORTS, **in_process, **invariant, "VLLM_CPU_KVCACHE_SPACE": kv_cache, **engine.env}


def on_this_machine(info: EngineInfo, engine: VllmSettings, *, batch_invariant: bool = False) -> EngineInfo:
    """The engine's report, completed with vLLM's version, the device and the variables that choose kernels."""
    environment = kernel_environment(child_env(engine, batch_invariant=batch_invariant))
    return replace(info, version=vllm_version(), device=_device(), environment=environment)


def vllm_version() -> str:
    """The installed vLLM's version: `vllm` is the GPU build, `vllm-cpu` the CPU build of the same.

    Raises:
        MissingPackageError: Neither is installed.
    """
    for package in ("vllm", "vllm-cpu"):
        try:
            installed = version(package)
        except PackageNotFoundError:
            continue
        return f"{installed}+cpu" if package == "vllm-cpu" else installed
    raise MissingPackageError("vllm", extra="vllm", needed_by="the engine 'vllm'")


def _notes(config: RunConfig, engine: VllmEngine, info: EngineInfo) -> list[str]:
    stored = describe(local_directory(str(config.model), config.revision)).format
    asked = bool(engine.options.get("quantization") or engine.torchao)
    return run_notes(stored, info, asked=asked, options=engine.options)


def _device() -> str:
    """The device that vLLM uses: the first GPU, unless there is none or vLLM is the CPU build."""
    return ("cpu" not in vllm_version() and gpu_name()) or cpu_name()
