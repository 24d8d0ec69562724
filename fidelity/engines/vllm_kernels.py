"""Asking the installed vLLM, in a separate process, which kernels it would use on this machine.

`pick_kernels` runs `python -m fidelity.engines.vllm_kernels`; only that process loads vLLM.
"""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec

PATIENCE_S = 180.0


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear layer of a checkpoint."""

    kind: str
    """"INT" or "FP"."""
    bits: int
    activation_bits: int
    group_size: int | None
    rows: int
    """Outputs."""
    columns: int
    """Inputs."""


def pick_kernels(layers: Sequence[Linear]) -> list[dict[str, str | None]] | None:
    """For each layer `{"kernel", "note"}`: vLLM's kernel, else why there is none; None without vLLM."""
    if find_spec("vllm") is None:
        return None
    done = subprocess.run(
        [sys.executable, "-P", "-m", "fidelity.engines.vllm_kernels"],
        input=json.dumps([asdict(layer) for layer in layers]),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env={**os.environ, "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR"},
    )
    try:
        picked: list[dict[str, str | None]] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        detail = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return [{"kernel": None, "note": f"vLLM could not be asked ({detail})"}] * len(layers)
    return picked


def main() -> None:
    """Read layers from stdin, and write their kernels as the last line of stdout."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # output of libraries goes to stderr
    layers = json.loads(sys.stdin.read())
    from vllm.config import VllmConfig, set_current_vllm_config

    with set_current_vllm_config(VllmConfig()):
        picked = [_pick(**layer) for layer in layers]
    answers.write(json.dumps(picked) + "\n")
    answers.flush()


def _pick(
    kind: str, bits: int, activation_bits: int, group_size: int | None, rows: int, columns: int
) -> dict[str, str | None]:
    try:
        if activation_bits == 16 and kind == "INT":
            kernel = _mixed_precision(bits, group_size or -1, (columns, rows))
            if kernel == "CPUWNA16LinearKernel" and _runs_as_w4a8():
                return {"kernel": kernel, "note": "on this CPU (AMX) it runs as W4A8"}
        elif (kind, bits, activation_bits) == ("INT", 8, 8):
            from vllm.model_executor.kernels.linear import init_int8_linear_kernel

            kernel = type(init_int8_linear_kernel(True, False, True, "fidelity")).__name__
        elif (kind, bits, activation_bits) == ("FP", 8, 8):
            kernel = _fp8((rows, columns))
        else:
            return {"kernel": None, "note": "fidelity doesn't know how to ask vLLM for this format"}
    except Exception as error:  # vLLM's exception states why no kernel fits; its type differs by kernel
        return {"kernel": None, "note": " ".join(str(error).split())}
    return {"kernel": kernel, "note": None}


def _mixed_precision(bits: int, group_size: int, shape: tuple[int, int]) -> str:
    import torch
    from vllm.model_executor.kernels.linear import MPLinearLayerConfig, choose_mp_linear_kernel
    from vllm.scalar_type import scalar_types

    given = {
        "full_weight_shape": shape,
        "partition_weight_shape": shape,
        "weight_type": {4: scalar_types.uint4b8, 8: scalar_types.uint8b128}[bits],
        "act_type": torch.bfloat16,
        "group_size": group_size,
        "zero_points": False,
    }
    if any(field.name == "has_g_idx" for field in dataclasses.fields(MPLinearLayerConfig)):  # vLLM 0.26
        given["has_g_idx"] = False
    return str(choose_mp_linear_kernel(MPLinearLayerConfig(**given)).__name__)


def _runs_as_w4a8() -> bool:
    """The condition in `CPUWNA16LinearKernel` for BF16, which vLLM's log doesn't report."""
    import torch
    from vllm import envs

    return bool(envs.VLLM_CPU_INT4_W4A8 and torch.cpu._is_amx_tile_supported())


def _fp8(shape: tuple[int, int]) -> str:
    import torch
    from vllm.model_executor.kernels.linear import init_fp8_linear_kernel
    from vllm.model_executor.layers.quantization.utils.quant_utils import kFp8DynamicTokenSym, kFp8StaticChannelSym

    kernel = init_fp8_linear_kernel(
        activation_quant_key=kFp8DynamicTokenSym,
        weight_quant_key=kFp8StaticChannelSym,
        input_dtype=torch.bfloat16,
        out_dtype=torch.bfloat16,
        weight_shape=shape,
    )
    return type(kernel).__name__


if __name__ == "__main__":
    main()
