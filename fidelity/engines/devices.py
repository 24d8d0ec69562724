"""The names of CPU and GPU. Both affect how BF16 sums are split, and so the outputs."""

import os
import shutil
import subprocess
from pathlib import Path


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


def cpu_name() -> str:
    """Model and number of the CPUs. Both affect how BF16 sums are split."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else 'unknown CPU'} x{len(os.sched_getaffinity(0))}"
