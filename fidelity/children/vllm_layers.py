"""How vLLM loaded a model's layers, from the loaded model, since its log is incomplete.

It runs in the engine's process (with tensor parallelism, in each worker) and imports neither vLLM nor torch. It reads
attributes that vLLM 0.26 and 0.32 share.
"""

import re
from collections import Counter
from enum import Enum
from typing import Any

from fidelity.children.wire import LayerRecord, layer_records

FLOATS = {"bfloat16": "BF16", "float16": "FP16", "float32": "FP32", "float64": "FP64"}
NO_LAYERS = ("Attention", "KVCache", "RotaryEmbedding")
"""Modules with a `quant_method` but without weights: they have the scales of the KV cache."""
QUANTIZE_INPUTS = ("Dynamic4bit", "W4A8", "Humming")
"""Kernels that can quantize 16-bit inputs themselves. Others, such as Marlin, ignore the checkpoint's activations."""


def layer_groups(model: Any) -> list[LayerRecord]:
    """The layers of a loaded model, grouped by kind, format and kernel: the arguments of `LayerGroup`."""
    groups: Counter[tuple[str, str, str | None, str, bool]] = Counter()
    for module in model.modules():
        method = getattr(module, "quant_method", None)
        name = type(module).__name__
        if method is None or any(word in name for word in NO_LAYERS):
            continue
        kernel = _kernel(module, method)
        number_format, quantized = _format(module, method, kernel)
        kernel_name = type(kernel).__name__ if kernel is not None else _backend(method) if quantized else None
        groups[(_kind(name), number_format, kernel_name, type(method).__name__, quantized)] += 1
    return layer_records(groups)


def of_all_stages(workers: list[list[LayerRecord]], *, shares: int) -> list[LayerRecord]:
    """The layers of a model from those of its workers.

    Args:
        workers: The groups of each worker, in the order of their ranks: the workers of a pipeline stage follow each
            other, and each has a share of all layers of its stage.
        shares: The number of workers of a stage (`tensor_parallel_size`).
    """
    groups: Counter[tuple[str, str, str | None, str, bool]] = Counter()
    for stage in workers[::shares]:
        for group in stage:
            key = (group["kind"], group["format"], group["kernel"], group["method"], group["quantized"])
            groups[key] += group["count"]
    return layer_records(groups)


def attention_backend(model: Any) -> str | None:
    """The engine's name of the attention backend; None if unknown."""
    for module in model.modules():
        if (backend := getattr(module, "attn_backend", None)) is not None:
            return str(backend.get_name())
    return None


def _kind(module: str) -> str:
    for word, kind in {"LMHead": "lm_head", "Embedding": "embedding", "MoE": "experts"}.items():
        if word in module:
            return kind
    return "linear"


def _kernel(module: Any, method: Any) -> Any:
    """The kernel: an attribute of the layer's scheme or method whose class is called ...Kernel."""
    for owner in (getattr(module, "scheme", None), method):
        for value in vars(owner).values() if hasattr(owner, "__dict__") else ():
            if type(value).__name__.endswith("Kernel"):
                return value
    return None


def _backend(method: Any) -> str | None:
    """The backend of a method without a kernel object (experts, older versions): `MARLIN`, `FLASHINFER_CUTLASS`."""
    for name, value in vars(method).items() if hasattr(method, "__dict__") else ():
        if name.endswith("backend") and isinstance(value, Enum | str) and value != "auto":
            return str(value.name if isinstance(value, Enum) else value)
    return None


def _format(module: Any, method: Any, kernel: Any) -> tuple[str, bool]:
    """The format that the layer computes in, in the terms of `checkpoints.describe`, and whether it is quantized."""
    weight = getattr(module, "weight", None)
    if type(method).__name__.startswith("Unquantized"):
        return float_name(getattr(weight, "dtype", None)), False
    if type(method).__name__.startswith("TorchAO"):
        return torchao_format(weight)
    if type(method).__name__.startswith("GGUF"):
        return _gguf(module)
    return _scheme(module, method, kernel), True


def float_name(dtype: Any) -> str:
    name = str(dtype).removeprefix("torch.")
    return FLOATS.get(name, name)


def _scheme(module: Any, method: Any, kernel: Any) -> str:
    """The format from the kernel's configuration (mixed precision), else from its name and the scheme's."""
    name = type(kernel).__name__ if kernel is not None else ""
    scheme = type(getattr(module, "scheme", None) or method).__name__
    config: Any = getattr(kernel, "config", None)
    if (weight_type := getattr(config, "weight_type", None)) is not None:
        bits = int(weight_type.size_bits)
        kind = "FP" if weight_type.is_floating_point() else "INT"
        group = int(getattr(config, "group_size", -1))
        inputs = _input_bits(module, name, scheme, str(config.act_type))
        return f"W{bits}A{inputs}-{kind}{bits}" + (f" g{group}" if group > 0 else "")
    for word in ("MXFP8", "NVFP4", "MXFP4", "FP8", "INT8"):
        if word in name.upper() or (not name and word in scheme.upper()):
            bits = 4 if "4" in word else 8
            weights_alone = ("A16" in scheme and not name) or _weights_alone(module, name, word, _backend(method))
            return f"W{bits}A{16 if weights_alone else bits}-{word}"
    if match := re.search(r"W(\d+)A(\d+)_?(\w*)", scheme):
        return f"W{match[1]}A{match[2]}" + (f"-{match[3].upper()}" if match[3] else "")
    return _by_config(getattr(method, "quant_config", None)) or scheme


def _weights_alone(module: Any, kernel: str, number: str, backend: str | None) -> bool:
    """Whether a kernel or backend of FP8 or 4-bit floats multiplies inputs in 16 bits."""
    if "Humming" in kernel:
        return "Fp4" in kernel and not hasattr(module, "input_scale_2")
    words = r"MARLIN|A16|BF16|TRITON" if number == "MXFP4" else r"MARLIN|A16"
    return re.search(words, (kernel or backend or "").upper()) is not None


def _input_bits(module: Any, kernel: str, scheme: str, act_type: str) -> int:
    """The bits of a mixed-precision kernel's inputs.

    A scheme's `A8` counts only if its kernel quantizes inputs, since Marlin runs W4A8-INT checkpoints as W4A16.
    """
    if width := re.search(r"(?:^|\.)(?:int|float)([48])(?![0-9])", act_type):
        return int(width[1])
    if getattr(module, "use_w4a8", False):
        return 8
    stated = re.search(r"W(?:\d|N)A([48])", scheme)
    return int(stated[1]) if stated and any(word in kernel for word in QUANTIZE_INPUTS) else 16


def _by_config(config: Any) -> str | None:
    """The format of a method without a kernel, by vLLM's quantization config: AWQ, GPTQ, bitsandbytes."""
    if getattr(config, "load_in_4bit", None) is True:
        return f"W4A16-{str(getattr(config, 'bnb_4bit_quant_type', 'fp4')).upper()}"
    if getattr(config, "load_in_8bit", None) is True:
        return "W8A8-INT8"
    bits, group = getattr(config, "weight_bits", None), getattr(config, "group_size", -1)
    if not isinstance(bits, int):
        return None
    return f"W{bits}A16-INT{bits}" + (f" g{group}" if isinstance(group, int) and group > 0 else "")


def torchao_format(weight: Any) -> tuple[str, bool]:
    """Torchao's name of a scheme (`8da4w`: 8-bit dynamic activations, 4-bit weights), from the weight's tensor."""
    name = type(weight.data if weight is not None else None).__name__
    match = re.search(r"(Intx|Int4|Int8|Float8)", name)
    if match is None:
        return float_name(getattr(weight, "dtype", None)), False
    weight = weight.data
    target = re.search(r"int(\d)", str(getattr(weight, "target_dtype", "")))
    bits = int(target[1]) if target else 4 if match[1] == "Int4" else 8
    word = "f" if match[1] == "Float8" else ""
    dynamic = getattr(weight, "activation_quantization", None) or getattr(weight, "act_quant_kwargs", None)
    scheme = f"8da{bits}w{word}" if dynamic else f"{'fp' if word else 'int'}{bits}wo"
    group = (getattr(weight, "block_size", None) or [0])[-1]
    whole_row = group <= 1 or group >= weight.shape[-1]
    return scheme + ("" if whole_row else f" g{group}"), True


def _gguf(module: Any) -> tuple[str, bool]:
    """The GGUF type of a layer's weights: Q4_1, Q6_K; several if a fused layer mixes them."""
    types = getattr(getattr(module, "qweight_type", None), "shard_weight_type", None) or {
        0: getattr(getattr(module, "qweight_type", None), "weight_type", None)
    }
    names = sorted({gguf_name(number) for number in types.values()})
    return "+".join(names), not set(names) <= {"F32", "F16", "BF16"}


def gguf_name(number: Any) -> str:
    try:
        from gguf import GGMLQuantizationType

        return str(GGMLQuantizationType(int(number)).name)
    except (ImportError, TypeError, ValueError):
        return f"GGML type {number}"
