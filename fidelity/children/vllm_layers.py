"""How vLLM loaded a model's layers, from the loaded model, since its log is incomplete.

It runs in the engine's process (with tensor parallelism, in each worker) and imports neither vLLM nor torch. It reads
attributes that vLLM 0.26 and 0.32 share.
"""

import re
from collections import Counter
from typing import Any

from fidelity.children.wire import LayerRecord, layer_records

FLOATS = {"bfloat16": "BF16", "float16": "FP16", "float32": "FP32", "float64": "FP64"}
NO_LAYERS = ("Attention", "KVCache", "RotaryEmbedding")
"""Modules with a `quant_method` but without weights: they have the scales of the KV cache."""


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
        kernel_name = type(kernel).__name__ if kernel is not None else None
        groups[(_kind(name), number_format, kernel_name, type(method).__name__, quantized)] += 1
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
        eight = getattr(module, "use_w4a8", False) or "8" in str(config.act_type) or "W4A8" in scheme
        group = int(getattr(config, "group_size", -1))
        return f"W{bits}A{8 if eight else 16}-{kind}{bits}" + (f" g{group}" if group > 0 else "")
    weights_alone = "Marlin" in name or "A16" in name
    for word, width, inputs in (("MXFP8", 8, 8), ("NVFP4", 4, 4), ("MXFP4", 4, 4), ("FP8", 8, 8), ("INT8", 8, 8)):
        if word in name.upper():
            return f"W{width}A{16 if weights_alone else inputs}-{word}"
    if match := re.search(r"W(\d+)A(\d+)_?(\w*)", scheme):
        return f"W{match[1]}A{match[2]}" + (f"-{match[3].upper()}" if match[3] else "")
    return scheme


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
