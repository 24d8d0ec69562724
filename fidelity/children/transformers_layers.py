"""How transformers loaded a model's layers, from their modules: each quantization method has its own class."""

import re
from collections import Counter
from typing import Any

from fidelity.children.vllm_layers import float_name, gguf_name, torchao_format
from fidelity.children.wire import LayerRecord, layer_records

HOLDERS = ("Linear", "Embedding", "Conv1D", "Experts")
"""Words in the names of modules with weights."""


def layer_groups(model: Any) -> list[LayerRecord]:
    """The layers of a loaded model, grouped by kind and format: the arguments of `LayerGroup`.

    The method is the module's class, or torchao's tensor class; the kernel depends on PyTorch and that class.
    """
    head = model.get_output_embeddings()
    groups: Counter[tuple[str, str, str | None, str, bool]] = Counter()
    for module in model.modules():
        name = type(module).__name__
        if any(holder in name for holder in HOLDERS) and _has_weights(module):
            kind = "lm_head" if module is head else _kind(name)
            number_format, quantized, method = _format(module, name)
            groups[(kind, number_format, None, method, quantized)] += 1
    return layer_records(groups)


def _has_weights(module: Any) -> bool:
    """Whether a module has its own weights: parameters or (GPTQ, AWQ) packed integers. Rotary embeddings have none."""
    return any(True for _ in module.parameters(recurse=False)) or hasattr(module, "qweight")


def _kind(name: str) -> str:
    return "embedding" if "Embedding" in name else "experts" if "Experts" in name else "linear"


def _format(module: Any, name: str) -> tuple[str, bool, str]:
    """The format in the terms of `checkpoints.describe`, whether it is quantized, and the method."""
    weight = getattr(module, "weight", None)
    if (scheme := getattr(module, "quantization_scheme", None)) is not None and scheme.weights is not None:
        return _compressed_tensors(scheme), True, f"{name} of compressed-tensors"
    if (ggml_type := getattr(module, "ggml_type", None)) is not None:
        return gguf_name(ggml_type), True, name
    if name == "Linear4bit":
        return str(getattr(weight, "quant_type", "INT4")).upper(), True, "bitsandbytes"
    if name == "Linear8bitLt":
        return "LLM.int8", True, "bitsandbytes"
    if "FP8" in name:
        return "W8A8-FP8", True, name
    if (bits := getattr(module, "bits", None)) is not None and hasattr(module, "qweight"):  # GPTQ, AWQ
        group = int(getattr(module, "group_size", -1) or -1)
        return f"W{bits}A16-INT{bits}" + (f" g{group}" if group > 0 else ""), True, name
    number_format, quantized = torchao_format(weight)
    if weight is not None and quantized:
        return number_format, True, f"TorchAO {type(weight.data).__name__}"
    if weight is not None and not weight.is_floating_point():  # an unknown quantization method, named by its class
        return re.sub("Linear|Embedding", "", name) or name, True, name
    return float_name(getattr(weight, "dtype", None)), False, name


def _compressed_tensors(scheme: Any) -> str:
    weights, inputs = scheme.weights, scheme.input_activations
    kind = "FP" if str(getattr(weights.type, "value", weights.type)).startswith("float") else "INT"
    group = f" g{weights.group_size}" if weights.group_size and weights.group_size > 0 else ""
    return f"W{weights.num_bits}A{inputs.num_bits if inputs else 16}-{kind}{weights.num_bits}{group}"
