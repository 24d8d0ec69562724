"""The names of CPU and GPU. Both affect how BF16 sums are split, and so the outputs."""

import math
import os
import shutil
import subprocess
from pathlib import Path

from fidelity.config import RunConfig, VllmSettings


def gpu_name() -> str | None:
    """The first GPU that the driver lists; None without a driver."""
    return next(iter(gpu_names()), None)


def gpu_names() -> list[str]:
    """The GPUs that the driver lists; empty without a driver."""
    if not shutil.which("nvidia-smi"):
        return []
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    listed = subprocess.run(query, capture_output=True, text=True, check=False).stdout  # noqa: S603 - a list, no shell
    return [name.strip() for name in listed.splitlines() if name.strip()]


def visible_gpus() -> tuple[str, ...]:
    """The GPUs that this process may use, as in CUDA_VISIBLE_DEVICES; empty without a driver."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    listed = tuple(str(number) for number in range(len(gpu_names())))
    if chosen is None or not listed:
        return listed
    return tuple(name.strip() for name in chosen.split(",") if name.strip() not in ("", "-1"))


def gpus_of(config: RunConfig) -> int:
    """The number of GPUs that a run's engine needs: with vLLM those of tensor, pipeline and data parallelism."""
    if not isinstance(config.engine, VllmSettings):
        return 1
    sizes = [config.engine.options.get(f"{kind}_parallel_size") for kind in ("tensor", "pipeline", "data")]
    return math.prod(size for size in sizes if isinstance(size, int) and size > 0)


def cpu_name() -> str:
    """Model and number of the CPUs. Both affect how BF16 sums are split."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else 'unknown CPU'} x{len(os.sched_getaffinity(0))}"
