"""Checkpoints of a small Llama in the formats that GPUs serve, rounded to nearest with torch alone, without a network.

`write(base, folder, name)` makes one; NAMES are AWQ, GPTQ, compressed-tensors (W4A16, W8A16, W4A8-FP8, NVFP4, MXFP4),
FP8 in blocks, and an FP8 KV cache with scales. Kernels want widths in multiples of 128, which SmolLM2's 576 is not:
`pad` adds zeros, and computes what the model did but for the rounding of its norms' weights. Calibration (inputs of
NVFP4, keys and values) sees one text.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

MULTIPLE = 128
GROUP = 128
LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
FUSED = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
"""Layers that engines multiply as one: they must share the scales that are for a whole tensor."""
FP4 = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
TEXT = "The capital of France is Paris. Water boils at 100 degrees Celsius at sea level, and freezes at 0 degrees."
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
Tensors = dict[str, torch.Tensor]


def pad(base: Path, folder: Path) -> None:
    """The same model with all widths in multiples of 128: rows and columns of zeros, heads with an output of zero."""
    config = json.loads((base / "config.json").read_text())
    heads, kv_heads, size = (config[key] for key in ("num_attention_heads", "num_key_value_heads", "head_dim"))
    hidden, each = config["hidden_size"], heads // kv_heads
    more_kv = next(n for n in range(kv_heads, 10_000) if n * size % MULTIPLE == 0 and n * each * size % MULTIPLE == 0)
    wide = next(width for width in range(_up(hidden), 1 << 20, MULTIPLE) if width % (more_kv * each) == 0)
    rows = {"q_proj": more_kv * each * size, "k_proj": more_kv * size, "v_proj": more_kv * size, "o_proj": wide}
    rows |= {"down_proj": wide, **dict.fromkeys(("gate_proj", "up_proj"), _up(config["intermediate_size"]))}
    columns = {"o_proj": rows["q_proj"], "down_proj": rows["up_proj"]}
    tensors = {}
    for name, weight in load_file(base / "model.safetensors").items():
        layer = name.rsplit(".", 2)[-2]
        if "norm" in name:  # the mean of squares is over more numbers now
            tensors[name] = _zeros(weight * math.sqrt(hidden / wide), wide)
        else:
            tensors[name] = _zeros(weight, rows.get(layer, weight.shape[0]), columns.get(layer, wide))
    config |= {
        "hidden_size": wide,
        "intermediate_size": rows["up_proj"],
        "num_attention_heads": more_kv * each,
        "num_key_value_heads": more_kv,
        "rms_norm_eps": config["rms_norm_eps"] * hidden / wide,
    }
    _save(base, folder, tensors, config)


def write(base: Path, folder: Path, name: str) -> None:
    """One format of NAMES, from a model in BF16."""
    config = json.loads((base / "config.json").read_text())
    tensors = load_file(base / "model.safetensors")
    if name in ("nvfp4", "kv-fp8-scales"):
        amax, caches = _calibrate(base)
    if name == "kv-fp8-scales":
        for layer, (keys, values) in enumerate(caches):
            for side, highest in (("k", keys), ("v", values)):
                tensors[f"model.layers.{layer}.self_attn.{side}_scale"] = torch.tensor([highest / 448])
        _save(base, folder, tensors, {**config, "quantization_config": CONFIGS[name]})
        return
    packed: Tensors = {}
    for key, tensor in tensors.items():
        layer, last = key.removesuffix(".weight"), key.split(".")[-2]
        if last not in LINEAR:
            packed[key] = tensor
            continue
        weight = tensor.to(DEVICE).float()
        fused = next((names for names in FUSED if last in names), (last,))
        joined = max(float(tensors[key.replace(last, other)].abs().max()) for other in fused)
        made = PACKS[name](weight, joined)
        if name == "nvfp4":
            made["input_global_scale"] = torch.tensor([448 * 6 / max(amax[layer.replace(last, o)] for o in fused)])
        packed |= {f"{layer}.{role}": value.cpu().contiguous() for role, value in made.items()}
    _save(base, folder, packed, {**config, "quantization_config": CONFIGS[name]})


def _save(base: Path, folder: Path, tensors: Tensors, config: dict[str, Any]) -> None:
    shutil.copytree(base, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.safetensors", "config.json"))
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _up(length: int) -> int:
    return -(-length // MULTIPLE) * MULTIPLE


def _zeros(tensor: torch.Tensor, *shape: int) -> torch.Tensor:
    made = torch.zeros(shape, dtype=tensor.dtype)
    made[tuple(slice(length) for length in tensor.shape)] = tensor
    return made


def _calibrate(base: Path) -> tuple[dict[str, float], list[tuple[float, float]]]:
    """The largest input of each linear layer, and the largest key and value of each block, on one text."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    highest: dict[str, float] = {}
    for name, module in model.named_modules():
        if name.endswith(LINEAR):
            module.register_forward_pre_hook(
                lambda _, inputs, name=name: highest.update({name: float(inputs[0].abs().max())})
            )
    with torch.no_grad():
        cache = model(**AutoTokenizer.from_pretrained(base)(TEXT, return_tensors="pt"), use_cache=True).past_key_values
    return highest, [(float(one.keys.abs().max()), float(one.values.abs().max())) for one in cache.layers]


def _groups(weight: torch.Tensor, size: int) -> torch.Tensor:
    return weight.unflatten(-1, (-1, size))


def _pack(numbers: torch.Tensor, bits: int, order: tuple[int, ...] | None = None) -> torch.Tensor:
    """Unsigned numbers of the last dimension into 32-bit integers, the first in the lowest bits."""
    each = numbers.to(torch.int64).unflatten(-1, (-1, 32 // bits))[..., list(order or range(32 // bits))]
    whole = (each << (torch.arange(32 // bits, device=numbers.device) * bits)).sum(-1)
    return torch.where(whole >= 1 << 31, whole - (1 << 32), whole).to(torch.int32)


def _integers(bits: int, size: int | None) -> Callable[[torch.Tensor, float], Tensors]:
    """compressed-tensors: symmetric, rows packed, a scale for each group or row."""

    def pack(weight: torch.Tensor, _: float) -> Tensors:
        grouped = _groups(weight, size or weight.shape[1])
        half = 1 << (bits - 1)
        scale = (grouped.abs().amax(-1, keepdim=True) / (half - 0.5)).clamp(min=1e-8).bfloat16().float()
        rounded = (grouped / scale).round().clamp(-half, half - 1) + half
        return {
            "weight_packed": _pack(rounded.flatten(-2), bits),
            "weight_scale": scale.squeeze(-1).bfloat16(),
            "weight_shape": torch.tensor(weight.shape),
        }

    return pack


def _awq(weight: torch.Tensor, _: float) -> Tensors:
    grouped = _groups(weight, GROUP)
    low, high = grouped.amin(-1, keepdim=True), grouped.amax(-1, keepdim=True)
    scale = ((high - low) / 15).clamp(min=1e-6).half().float()
    zero = (-low / scale).round().clamp(0, 15)
    rounded = ((grouped / scale).round() + zero).clamp(0, 15).flatten(-2)
    return {
        "qweight": _pack(rounded.T.contiguous(), 4, AWQ_ORDER),
        "qzeros": _pack(zero.squeeze(-1).T.contiguous(), 4, AWQ_ORDER),
        "scales": scale.squeeze(-1).T.half(),
    }


def _gptq(weight: torch.Tensor, _: float) -> Tensors:
    grouped = _groups(weight, GROUP)
    scale = (grouped.abs().amax(-1, keepdim=True) / 7.5).clamp(min=1e-6).half().float()
    rounded = ((grouped / scale).round() + 8).clamp(0, 15).flatten(-2)
    groups = weight.shape[1] // GROUP
    return {
        "qweight": _pack(rounded, 4).T,
        "qzeros": _pack(torch.full((groups, weight.shape[0]), 7), 4),  # one less than the zero point, as GPTQ has it
        "scales": scale.squeeze(-1).T.half(),
        "g_idx": (torch.arange(weight.shape[1]) // GROUP).to(torch.int32),
    }


def _fp8_blocks(weight: torch.Tensor, _: float) -> Tensors:
    blocks = weight.unflatten(0, (-1, 128)).unflatten(-1, (-1, 128))
    scale = (blocks.abs().amax((1, 3), keepdim=True) / 448).clamp(min=1e-8)
    rounded = (blocks / scale).flatten(2).flatten(0, 1).to(torch.float8_e4m3fn)
    return {"weight": rounded, "weight_scale_inv": scale[:, 0, :, 0]}


def _nibbles(scaled: torch.Tensor) -> torch.Tensor:
    """Numbers rounded to 4-bit floats, two a byte."""
    nearest = torch.bucketize(scaled.abs(), ((FP4[1:] + FP4[:-1]) / 2).to(scaled.device)) + 8 * (scaled < 0)
    return (nearest[..., ::2] + 16 * nearest[..., 1::2]).to(torch.uint8)


def _nvfp4(weight: torch.Tensor, joined: float) -> Tensors:
    whole = 448 * 6 / joined
    grouped = _groups(weight, 16)
    scale = (grouped.abs().amax(-1, keepdim=True) / 6 * whole).clamp(min=2**-9, max=448).to(torch.float8_e4m3fn)
    return {
        "weight_packed": _nibbles((grouped / (scale.float() / whole)).flatten(-2)),
        "weight_scale": scale.squeeze(-1),
        "weight_global_scale": torch.tensor([whole]),
    }


def _mxfp4(weight: torch.Tensor, _: float) -> Tensors:
    grouped = _groups(weight, 32)
    exponent = (grouped.abs().amax(-1, keepdim=True).clamp(min=2**-100).log2().floor() - 2).clamp(-127, 127)
    return {
        "weight_packed": _nibbles((grouped / 2**exponent).flatten(-2)),
        "weight_scale": (exponent + 127).squeeze(-1).to(torch.uint8),
    }


def compressed(format_: str, weights: dict[str, Any], inputs: dict[str, Any] | None = None) -> dict[str, Any]:
    stated = {"symmetric": True, "dynamic": False, **weights}
    group = {"targets": ["Linear"], "weights": stated, "input_activations": inputs, "output_activations": None}
    return {
        "quant_method": "compressed-tensors",
        "format": format_,
        "quantization_status": "compressed",
        "ignore": ["lm_head"],
        "config_groups": {"group_0": {**group, "format": format_}},
    }


INT4 = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": GROUP}
TOKENS = {"num_bits": 8, "type": "float", "strategy": "token", "dynamic": True, "symmetric": True}
FP4_16 = {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16}
CACHE = {"num_bits": 8, "type": "float", "strategy": "tensor", "symmetric": True, "dynamic": False}
CONFIGS: dict[str, dict[str, Any]] = {
    "w4a16": compressed("pack-quantized", INT4),
    "w8a16": compressed("pack-quantized", {"num_bits": 8, "type": "int", "strategy": "channel"}),
    "w4a8-fp8": compressed("pack-quantized", INT4, TOKENS),
    "nvfp4": compressed("nvfp4-pack-quantized", FP4_16, {**FP4_16, "symmetric": True, "dynamic": "local"}),
    "nvfp4a16": compressed("nvfp4-pack-quantized", FP4_16),
    "mxfp4": compressed("mxfp4-pack-quantized", {**FP4_16, "strategy": "group", "group_size": 32}),
    "awq": {"quant_method": "awq", "bits": 4, "group_size": GROUP, "version": "gemm", "zero_point": True},
    "gptq": {"quant_method": "gptq", "bits": 4, "group_size": GROUP, "sym": True, "desc_act": False},
    "fp8-block": {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]},
    "kv-fp8-scales": {**compressed("dense", INT4), "config_groups": {}, "kv_cache_scheme": CACHE},
}
PACKS: dict[str, Callable[[torch.Tensor, float], Tensors]] = {
    "w4a16": _integers(4, GROUP),
    "w8a16": _integers(8, None),
    "w4a8-fp8": _integers(4, GROUP),
    "nvfp4": _nvfp4,
    "nvfp4a16": _nvfp4,
    "mxfp4": _mxfp4,
    "awq": _awq,
    "gptq": _gptq,
    "fp8-block": _fp8_blocks,
}
NAMES = tuple(CONFIGS)
