"""What is wrong with a checkpoint, found before a model loads: an engine would crash on it, or read garbage."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from fidelity.checkpoints.formats import bits_of, quantization_of, read_config, scheme_of
from fidelity.checkpoints.source import PICKLES
from fidelity.checkpoints.tensors import ModelJson, Tensor, read_tensors, safetensors_header, weight_files
from fidelity.errors import ConfigError

QUANTIZED_ON_DISK = ("compressed-tensors", "awq", "gptq", "fp8", "fbgemm_fp8", "modelopt")
"""Methods whose checkpoints hold scales beside quantized weights."""
QUANTIZED_NAMES = ("weight_packed", "qweight")
QUANTIZED_TYPES = ("I8", "F8_E4M3", "F8_E5M2")
AGAIN = "fetch the checkpoint again"


def refuse_faults(checkpoint: Path, *, allow_pickle: bool = False) -> None:
    """Do nothing if the files agree with each other.

    Raises:
        ConfigError: Files are missing or cut short, they say different things, or they would have to be unpickled.
    """
    if checkpoint.is_file():
        read_tensors(checkpoint)
        return
    config = read_config(checkpoint)
    _refuse_missing_files(checkpoint)
    files = weight_files(checkpoint)
    for file in files:
        size = safetensors_header(file)[1]
        if file.stat().st_size < size:
            raise ConfigError(f"{file}: cut short: it has {file.stat().st_size} of its {size} bytes; {AGAIN}")
    pickles = sorted(found.name for pattern in PICKLES for found in checkpoint.glob(pattern))
    if not files and pickles and not allow_pickle:
        raise ConfigError(
            f"{checkpoint}: its weights are Python pickles ({pickles[0]}), which can run code when read; convert "
            f"them to safetensors, or trust them with engine: {{allow_pickle: true}}"
        )
    if files:
        tensors = read_tensors(checkpoint)
        _refuse_contradictions(checkpoint, quantization_of(config), tensors)
        _refuse_another_vocabulary(checkpoint, config, tensors)


def _refuse_missing_files(checkpoint: Path) -> None:
    """By the index, else by the numbers in the files' names (`model-00001-of-00003.safetensors`)."""
    expected: set[str] = set()
    index = checkpoint / "model.safetensors.index.json"
    if index.is_file():
        try:
            expected = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"{index}: can't be read ({error}); {AGAIN}") from error
    else:
        for file in weight_files(checkpoint):
            if numbered := re.fullmatch(r"(.+-)\d+-of-(\d+)\.safetensors", file.name):
                total = numbered[2]
                every = range(1, int(total) + 1)
                expected |= {f"{numbered[1]}{n:0{len(total)}d}-of-{total}.safetensors" for n in every}
    if missing := sorted(name for name in expected if not (checkpoint / name).is_file()):
        raise ConfigError(
            f"{checkpoint}: {len(missing)} of its {len(expected)} weight files are missing ({', '.join(missing[:3])}); "
            f"{AGAIN}"
        )


def _refuse_contradictions(checkpoint: Path, quantization: ModelJson, tensors: Mapping[str, Tensor]) -> None:
    marked = [name for name, tensor in tensors.items() if _is_quantized(name, tensor)]
    if marked and not quantization and not (checkpoint / "hf_quant_config.json").is_file():
        raise ConfigError(
            f"{checkpoint}: its weights are quantized ({marked[0]}), but its config.json has no quantization_config; "
            f"an engine would read them as plain numbers"
        )
    weights, _ = scheme_of(quantization)
    method = str(quantization.get("quant_method", ""))
    scales = any(name.endswith(("scale", "scales", "scale_inv")) for name in tensors)
    if method in QUANTIZED_ON_DISK and (weights or method != "compressed-tensors") and not marked and not scales:
        raise ConfigError(
            f"{checkpoint}: its config.json says that it is quantized ({method}), but none of its tensors is: it is "
            f"the unquantized model with another config"
        )
    if weights and len(quantization["config_groups"]) == 1:
        for name in marked:
            _refuse_other_numbers(checkpoint, name, weights, bits_of(quantization), tensors)


def _is_quantized(name: str, tensor: Tensor) -> bool:
    last = name.rpartition(".")[2]
    return last in QUANTIZED_NAMES or (last == "weight" and tensor.dtype in QUANTIZED_TYPES)


def _refuse_other_numbers(
    checkpoint: Path, name: str, weights: ModelJson, bits: int, tensors: Mapping[str, Tensor]
) -> None:
    """Bits, group size and type of one layer (compressed-tensors: rows are packed, scales lie beside them)."""
    layer, _, last = name.rpartition(".")
    tensor, scale = tensors[name], tensors.get(f"{layer}.weight_scale")
    if last == "weight_packed" and tensor.dtype == "I32" and scale and (group := weights.get("group_size") or -1) > 0:
        columns, scaled = tensor.shape[-1] * 32 // bits, scale.shape[-1] * group
        if columns != scaled:
            raise ConfigError(
                f"{checkpoint}: {layer}: at the {bits} bits that config.json states it has {columns} weights a row, "
                f"and scales for {scaled}; its quantization_config belongs to another checkpoint"
            )
    is_float = str(weights.get("type", "int")).startswith("float")
    if last == "weight" and (tensor.dtype == "I8") is is_float:
        raise ConfigError(
            f"{checkpoint}: {name} is {tensor.dtype}, and config.json says {weights['num_bits']}-bit "
            f"{weights.get('type', 'int')}; its quantization_config belongs to another checkpoint"
        )


def _refuse_another_vocabulary(checkpoint: Path, config: ModelJson, tensors: Mapping[str, Tensor]) -> None:
    stated = (config.get("text_config") or config).get("vocab_size")
    for name, tensor in tensors.items():
        if name.endswith("embed_tokens.weight") and isinstance(stated, int) and tensor.shape[0] < stated:
            raise ConfigError(
                f"{checkpoint}: {name} has {tensor.shape[0]} rows, and config.json says vocab_size {stated}: they "
                f"belong to different models"
            )
