"""How each format packs one linear layer, and what it states in config.json.

Written from the formats' own descriptions, without fidelity's resolvers.
"""

import json
import math
import struct

from tests.checkpoints.layouts import ITEM, Tensors, stored, whole_numbers


def group(bits, kind="int", strategy="channel", inputs=None, targets=("Linear",), **more):
    weights = {"num_bits": bits, "type": kind, "strategy": strategy, "symmetric": True, "dynamic": False, **more}
    return {"targets": list(targets), "weights": weights, "input_activations": inputs, "output_activations": None}


def compressed(*groups, format="pack-quantized", ignore=("lm_head",), **more):
    return {
        "quant_method": "compressed-tensors",
        "format": format,
        "quantization_status": "compressed",
        "ignore": list(ignore),
        "config_groups": {f"group_{n}": one for n, one in enumerate(groups)},
        **more,
    }


TOKEN_INT8 = {"num_bits": 8, "type": "int", "strategy": "token", "dynamic": True}
TOKEN_FP8 = {**TOKEN_INT8, "type": "float"}
LOCAL_FP4 = {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16, "dynamic": "local"}


def int_packed(bits, size=None, *, shape=True, zeros=False):
    """32 // bits weights an integer, the last of a row padded; scales per group or row."""

    def pack(outputs, inputs):
        groups = inputs // size if size else 1
        tensors = {
            ".weight_packed": stored("I32", outputs, math.ceil(inputs / (32 // bits))),
            ".weight_scale": stored("BF16", outputs, groups),
            ".weight_shape": whole_numbers(outputs, inputs) if shape else stored("I64", 2),
        }
        if zeros:
            tensors[".weight_zero_point"] = stored("I32", math.ceil(outputs / (32 // bits)), groups)
        return tensors

    return pack


def int8(outputs, inputs):
    return {".weight": stored("I8", outputs, inputs), ".weight_scale": stored("BF16", outputs, 1)}


def fp8_rows(outputs, inputs):
    return {".weight": stored("F8_E4M3", outputs, inputs), ".weight_scale": stored("BF16", outputs, 1)}


def fp8_tensor(outputs, inputs):
    return {
        ".weight": stored("F8_E4M3", outputs, inputs),
        ".weight_scale": stored("F32"),
        ".input_scale": stored("F32"),
    }


def fp8_blocks(rows=128, columns=128, name="weight_scale_inv"):
    def pack(outputs, inputs):
        scale = stored("F32", math.ceil(outputs / rows), math.ceil(inputs / columns))
        return {".weight": stored("F8_E4M3", outputs, inputs), f".{name}": scale}

    return pack


def nvfp4(outputs, inputs):
    return {
        ".weight_packed": stored("U8", outputs, inputs // 2),
        ".weight_scale": stored("F8_E4M3", outputs, inputs // 16),
        ".weight_global_scale": stored("F32", 1),
        ".input_global_scale": stored("F32", 1),
    }


def mxfp4(outputs, inputs):
    return {".weight_packed": stored("U8", outputs, inputs // 2), ".weight_scale": stored("U8", outputs, inputs // 32)}


def mxfp8(outputs, inputs):
    return {".weight": stored("F8_E4M3", outputs, inputs), ".weight_scale": stored("U8", outputs, inputs // 32)}


def bitmask(outputs, inputs, dtype="F8_E4M3"):
    scale = {".weight_scale": stored("BF16", outputs, 1)} if dtype == "F8_E4M3" else {}
    return {
        ".compressed": stored(dtype, outputs, inputs // 2),
        ".bitmask": stored("U8", outputs, math.ceil(inputs / 8)),
        ".shape": stored("I64", 2, 1, content=struct.pack("<2q", outputs, inputs)),
        **scale,
    }


def marlin_24(bits, size):
    """vLLM's gptq_marlin_24: half of the inputs in tiles of 16, 32 // bits weights an integer."""

    def pack(outputs, inputs):
        return {
            ".weight_packed": stored("I32", inputs // 16 // 2, outputs * 16 // (32 // bits)),
            ".scale_packed": stored("F16", inputs // size if size else 1, outputs),
            ".meta": stored("I16", inputs // 8 // 2 // 2, outputs * 2),
        }

    return pack


def awq(bits, size, version="gemm"):
    def pack(outputs, inputs):
        each = 32 // bits
        if version == "gemv":
            return {
                ".qweight": stored("I32", outputs, inputs // each),
                ".qzeros": stored("I32", outputs, max(1, inputs // size // each)),
                ".scales": stored("F16", outputs, max(each, inputs // size)),
            }
        return {
            ".qweight": stored("I32", inputs, outputs // each),
            ".qzeros": stored("I32", inputs // size, outputs // each),
            ".scales": stored("F16", inputs // size, outputs),
        }

    return pack


def gptq(bits, size=None, *, g_idx=True):
    def pack(outputs, inputs):
        groups = math.ceil(inputs / size) if size else 1
        tensors = {
            ".qweight": stored("I32", inputs * bits // 32, outputs),
            ".qzeros": stored("I32", groups, outputs * bits // 32),
            ".scales": stored("F16", groups, outputs),
        }
        return {**tensors, ".g_idx": stored("I32", inputs)} if g_idx else tensors

    return pack


def modelopt_nvfp4(outputs, inputs):
    return {
        ".weight": stored("U8", outputs, inputs // 2),
        ".weight_scale": stored("F8_E4M3", outputs, inputs // 16),
        ".weight_scale_2": stored("F32"),
        ".input_scale": stored("F32"),
    }


def modelopt_int4(size):
    """Model Optimizer's AWQ: two outputs a byte."""

    def pack(outputs, inputs):
        return {
            ".weight": stored("U8", outputs // 2, inputs),
            ".weight_scale": stored("F32", outputs, inputs // size),
            ".pre_quant_scale": stored("BF16", inputs),
        }

    return pack


def quark_mxfp4(outputs, inputs):
    return {".weight": stored("U8", outputs, inputs // 2), ".weight_scale": stored("U8", outputs, inputs // 32)}


def bitsandbytes(kind="nf4", size=64, *, nested=True, storage="U8", noted=True):
    def pack(outputs, inputs):
        count = outputs * inputs
        scales = math.ceil(count / size)
        state = json.dumps({"quant_type": kind, "blocksize": size, "dtype": "bfloat16", "shape": [outputs, inputs]})
        tensors = {
            ".weight": stored(storage, count // 2 // ITEM.get(storage, 1), 1),
            ".weight.absmax": stored("U8" if nested else "F32", scales),
            ".weight.quant_map": stored("F32", 16),
            f".weight.quant_state.bitsandbytes__{kind}": stored(
                "U8", len(state), content=state.encode() if noted else None
            ),
        }
        if nested:
            tensors[".weight.nested_absmax"] = stored("F32", math.ceil(scales / 256))
            tensors[".weight.nested_quant_map"] = stored("F32", 256)
        return tensors

    return pack


def llm_int8(outputs, inputs):
    return {
        ".weight": stored("I8", outputs, inputs),
        ".SCB": stored("F32", outputs),
        ".weight_format": stored("U8"),
    }


def mlx(bits, size, *, mode="affine"):
    def pack(outputs, inputs):
        scale = "BF16" if mode == "affine" else "U8"
        tensors = {
            ".weight": stored("U32", outputs, inputs * bits // 32),
            ".scales": stored(scale, outputs, inputs // size),
        }
        return {**tensors, ".biases": stored("BF16", outputs, inputs // size)} if mode == "affine" else tensors

    return pack


def fused_mxfp4(model):
    """gpt-oss: all experts of a layer in one tensor, blocks and scales, with biases."""
    tensors: Tensors = {}
    for layer in range(model.layers):
        experts = f"model.layers.{layer}.mlp.experts."
        for name, outputs, inputs in (
            ("gate_up_proj", 2 * model.intermediate, model.hidden),
            ("down_proj", model.hidden, model.intermediate),
        ):
            tensors[f"{experts}{name}_blocks"] = stored("U8", model.experts, outputs, inputs // 32, 16)
            tensors[f"{experts}{name}_scales"] = stored("U8", model.experts, outputs, inputs // 32)
            tensors[f"{experts}{name}_bias"] = stored("BF16", model.experts, outputs)
    return tensors


def kv_scales(model, form="{attention}.{side}_scale", value=0.5):
    """One scale a side of every layer's cache."""
    content = struct.pack("<f", value)
    return {
        form.format(attention=f"model.layers.{layer}.self_attn", side=side): stored("F32", 1, content=content)
        for layer in range(model.layers)
        for side in "kv"
    }


FP8_CACHE = {"num_bits": 8, "type": "float", "strategy": "tensor", "dynamic": False}


def torchao_notes(model, kind, size=None, **attributes):
    """What torchao writes into the header, a JSON for each tensor; without `size` a scale is for a row."""
    return {
        f"{name}.weight": json.dumps(
            {
                "_type": kind,
                "_data": {"block_size": [1, size or inputs], **attributes},
                "_tensor_data_names": ["qdata", "scale"],
            }
        )
        for name, _, inputs in model.linears
    }


def torchao_bytes(size=None, dtype="I8"):
    def pack(outputs, inputs):
        return {
            "._weight_qdata": stored(dtype, outputs, inputs),
            "._weight_scale": stored("F32", outputs, inputs // size if size else 1),
            "._weight_zero_point": stored("I8", outputs, inputs // size if size else 1),
        }

    return pack
