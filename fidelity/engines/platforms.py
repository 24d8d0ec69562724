"""Formats that are known not to run on a platform. They are refused before loading, with an alternative.

Each line was observed with the named version. Other versions are not refused, since kernels change.
"""

from dataclasses import dataclass

from fidelity.config import VllmSettings

INT8_INSTEAD = "a W8A8-INT8 checkpoint, or torchao: {scheme: 8da8w}"


@dataclass(frozen=True, slots=True)
class Impossible:
    """A format that doesn't run on a platform."""

    asked: str
    """A value of vLLM's `quantization` argument, or the start of a checkpoint's format."""
    why: str
    instead: str


MEASURED_ON_CPU = "0.32."
INVARIANT_SINCE = (0, 12)
"""The first version of vLLM whose batch-invariant kernels work with torch.compile (vllm-project/vllm#27660)."""
ON_CPU = (
    Impossible("fp8", "the operators for FP8 quantization while loading are missing", INT8_INSTEAD),
    Impossible("fp8_per_tensor", "the operators for FP8 quantization while loading are missing", INT8_INSTEAD),
    Impossible("W8A16-INT8", "there is no kernel for 8-bit weights with 16-bit activations", INT8_INSTEAD),
    Impossible("GGUF", "the GGUF plugin's kernels are for GPUs", "llama.cpp, or the GGUF as a BF16 checkpoint"),
)


def why_not_invariant(vllm_version: str) -> str | None:
    """Why this vLLM has no batch-invariant kernels; None if it has. Which formats have one, only a run can tell."""
    number, _, build = vllm_version.partition("+")
    if build == "cpu":
        return "vLLM has batch-invariant kernels for GPUs only; use batching: continuous, with controls"
    version = tuple(int(digits) for digits in number.split(".")[:2] if digits.isdigit())
    if version < INVARIANT_SINCE:
        oldest = ".".join(map(str, INVARIANT_SINCE))
        return f"vLLM {number} has no batch-invariant kernels for compiled models; install {oldest} or later"
    return None


def refusal(engine: VllmSettings, *, checkpoint_format: str | None, vllm_version: str) -> str | None:
    """Why a run can't work on this platform, with an alternative; None if there is no known problem."""
    number, _, build = vllm_version.partition("+")
    if build != "cpu" or not number.startswith(MEASURED_ON_CPU):
        return None
    asked = {str(engine.options.get("quantization") or ""), (checkpoint_format or "").partition(" ")[0]}
    for impossible in ON_CPU:
        if impossible.asked in asked:
            return (
                f"{impossible.asked} doesn't run on a CPU with vLLM {number}: {impossible.why}; "
                f"use instead: {impossible.instead}"
            )
    return None
