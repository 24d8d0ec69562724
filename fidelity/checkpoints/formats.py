"""What a checkpoint is, read from its config and its tensors' headers without loading it: parameters, format, bytes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fidelity.checkpoints.tensors import ModelJson, Tensor, read_tensors, weight_files
from fidelity.errors import ConfigError
from fidelity.records import REFUSE_UNKNOWN_KEYS

FLOATS = {"BF16": "BF16", "F16": "FP16", "F32": "FP32"}
PACKED = ("weight_packed", "qweight")
"""Tensors that hold several quantized weights in each integer."""
NO_PARAMETERS = ("scale", "scales", "zero_point", "qzeros", "g_idx", "weight_shape")
"""Endings of tensors that describe quantized weights and aren't parameters of the model."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint as its files describe it; None where they don't say."""

    __pydantic_config__ = REFUSE_UNKNOWN_KEYS

    format: str | None = None
    """`BF16`, `W8A8-INT8`, `W4A16-INT4 g64`, `W8A8-FP8`, ..."""
    parameters: int | None = None
    """Weights of the model as it was before it was packed; a tied lm_head counts once."""
    bytes: int | None = None
    """Of all weight files on disk."""
    kv_cache: str | None = None
    """The format that the checkpoint itself asks for its KV cache (`FP8`); None where it leaves that to the engine."""
    weights: str | None = None
    """What the weights alone are known by (`weights_id`); not read by `describe`."""


def describe(checkpoint: Path) -> Checkpoint:
    """Read what the checkpoint is.

    Raises:
        ConfigError: Its config.json or a safetensors header is damaged.
    """
    size = sum(file.stat().st_size for file in weight_files(checkpoint))
    return described(read_config(checkpoint), read_tensors(checkpoint), size=size, gguf=checkpoint.is_file())


def described(config: ModelJson, tensors: Mapping[str, Tensor], *, size: int, gguf: bool = False) -> Checkpoint:
    """The same from what was read of a checkpoint, wherever it lies; `size` is that of its weight files, in bytes."""
    bits = bits_of(quantization_of(config))
    return Checkpoint(
        format=_format(config, tensors, gguf=gguf),
        parameters=sum(parameters_of(name, tensor, bits) for name, tensor in tensors.items()) or None,
        bytes=size or None,
        kv_cache=_kv_cache_format(quantization_of(config)),
    )


def read_config(checkpoint: Path) -> ModelJson:
    """The checkpoint's config.json; empty for a GGUF, which has none.

    Raises:
        ConfigError: It can't be read as JSON.
    """
    if checkpoint.is_file():
        return {}
    try:
        config: ModelJson = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{checkpoint / 'config.json'}: can't be read as JSON ({error})") from error
    return config


def quantization_of(config: ModelJson) -> ModelJson:
    """What the config says of quantization; empty where it says nothing."""
    return config.get("quantization_config") or config.get("compression_config") or {}


def scheme_of(quantization: ModelJson) -> tuple[ModelJson | None, ModelJson | None]:
    """Weights and input activations of a compressed-tensors config's first group."""
    for group in (quantization.get("config_groups") or {}).values():
        if group.get("weights"):
            return group["weights"], group.get("input_activations")
    return None, None


def bits_of(quantization: ModelJson) -> int:
    """Of each weight that is packed into integers."""
    weights = scheme_of(quantization)[0]
    return int(weights["num_bits"] if weights else quantization.get("bits", 4))


def parameters_of(name: str, tensor: Tensor, bits: int) -> int:
    """How many of the model's weights a tensor holds: none if it describes others, several in each packed integer."""
    last = name.rpartition(".")[2]
    if last.endswith(NO_PARAMETERS):
        return 0
    return tensor.elements * (32 // bits if last in PACKED and tensor.dtype == "I32" else 1)


def _format(config: ModelJson, tensors: Mapping[str, Tensor], *, gguf: bool) -> str | None:
    if quantization := quantization_of(config):
        return _quantized_format(quantization)
    stored = _most_common_type(tensors)
    if gguf and stored:
        return f"GGUF {stored}"
    if stored:
        return FLOATS.get(stored, stored)
    named = config.get("dtype") or config.get("torch_dtype")
    return {"bfloat16": "BF16", "float16": "FP16", "float32": "FP32"}.get(str(named))


def _kv_cache_format(quantization: ModelJson) -> str | None:
    """Of compressed-tensors (`kv_cache_scheme`) and of ModelOpt (`kv_cache_quant_algo`)."""
    scheme = quantization.get("kv_cache_scheme")
    if isinstance(scheme, Mapping):
        kind = "FP" if str(scheme.get("type", "float")).startswith("float") else "INT"
        return f"{kind}{scheme.get('num_bits', 8)}"
    named = quantization.get("kv_cache_quant_algo")
    return str(named) if named else None


def _most_common_type(tensors: Mapping[str, Tensor]) -> str | None:
    """The type that most weights are stored in."""
    weight: dict[str, int] = {}
    for tensor in tensors.values():
        weight[tensor.dtype] = weight.get(tensor.dtype, 0) + tensor.elements
    return max(weight, key=lambda dtype: weight[dtype]) if weight else None


def _quantized_format(quantization: ModelJson) -> str:
    """`W4A16-INT4 g64` from a quantization_config (compressed-tensors, AWQ, GPTQ, FP8); else its method's name."""
    weights, activations = scheme_of(quantization)
    if weights:
        kind = "FP" if str(weights.get("type", "int")).startswith("float") else "INT"
        bits = weights["num_bits"]
        inputs = activations["num_bits"] if activations else 16
        group = weights.get("group_size")
        return f"W{bits}A{inputs}-{kind}{bits}" + (f" g{group}" if group and group > 0 else "")
    method = str(quantization.get("quant_method", "unknown"))
    if method in {"awq", "gptq", "auto-round"}:
        bits, group = quantization.get("bits", 4), quantization.get("group_size", -1)
        return f"W{bits}A16-INT{bits}" + (f" g{group}" if group > 0 else "") + f" ({method})"
    return "W8A8-FP8" if method in {"fp8", "fbgemm_fp8"} else method
