"""Recording the environment variables that can select an engine's kernels."""

import os
import re
from collections.abc import Mapping

HARMLESS_ENV = (
    "VLLM_NO_USAGE_STATS",
    "VLLM_DO_NOT_TRACK",
    "VLLM_LOGGING",
    "VLLM_CONFIG_ROOT",
    "VLLM_CACHE_ROOT",
    "VLLM_LOG",
    "VLLM_API_KEY",
)
"""Prefixes of vLLM's environment variables that can't change an output."""
OF_ONE_MACHINE = re.compile(
    r"KEY|TOKEN\b|SECRET|PASSWORD|CREDENTIAL|HOST|PORT|_IP\b|_DIR\b|PATH|FOLDER|CACHE_SIZE|KVCACHE_SPACE|TIMEOUT|USAGE|"
    r"MEDIA|IMAGE|AUDIO|VIDEO|DEBUG|TRACE|NVTX|BUILD|DOCKER|RAY_|MULTIPROCESSING|MULTIPROC_METHOD|SERVER_DEV|PLUGINS"
)
"""Words in the names of variables with secrets or paths, or unrelated to kernels. Never recorded."""
KERNELS = re.compile(
    r"VLLM_|ONEDNN_|DNNL_|MKL_|GGML_|TORCHINDUCTOR_|CUBLAS_WORKSPACE_CONFIG|ATEN_CPU_CAPABILITY|OMP_NUM_THREADS|"
    r"NVIDIA_TF32_OVERRIDE|TORCH_ALLOW_TF32_CUBLAS_OVERRIDE|TRANSFORMERS_ATTN"
)
"""Prefixes of variables that select kernels or their precision."""


def picks_kernels(name: str) -> bool:
    """Whether a variable can affect kernels or precision, and is safe to record."""
    return bool(KERNELS.match(name)) and not name.startswith(HARMLESS_ENV) and not OF_ONE_MACHINE.search(name)


def kernel_environment(more: Mapping[str, str]) -> dict[str, str]:
    """The recorded variables of a child process: those of this process, overridden by `more`."""
    return {name: value for name, value in sorted({**os.environ, **more}.items()) if picks_kernels(name)}
