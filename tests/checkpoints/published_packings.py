"""How published checkpoints deviate from the known packings, and variants of whole checkpoints."""

import math
from dataclasses import replace

from tests.checkpoints.compressed_tensors_layouts import MOE, M
from tests.checkpoints.layouts import build, stored
from tests.checkpoints.packings import int_packed, modelopt_int4


def with_act_order(bits, size):
    """Weights in the order of their activations, with the group of each input."""

    def pack(outputs, inputs):
        index = {".weight_g_idx": stored("I32", inputs)}
        return {**int_packed(bits, size, zeros=True)(outputs, inputs), **index}

    return pack


def static_int8(outputs, inputs):
    return {
        ".weight": stored("I8", outputs, inputs),
        ".weight_scale": stored("BF16", 1),
        ".input_scale": stored("BF16", 1),
        ".input_zero_point": stored("I8", 1),
    }


def gptq_dense(bits, size, dtype):
    """GPTQModel's `pack_dtype`: the same bits in other integers."""
    wide = {"I8": 8, "I16": 16, "I64": 64}[dtype]

    def pack(outputs, inputs):
        return {
            ".qweight": stored(dtype, inputs * bits // wide, outputs),
            ".qzeros": stored(dtype, inputs // size, outputs * bits // wide),
            ".scales": stored("F16", inputs // size, outputs),
            ".g_idx": stored("I32", inputs),
        }

    return pack


def awq_marlin(size):
    """AutoAWQ's Marlin: tiles of 16 inputs, symmetric."""

    def pack(outputs, inputs):
        return {
            ".qweight": stored("I32", inputs // 16, outputs * 16 // 8),
            ".scales": stored("F16", inputs // size, outputs),
        }

    return pack


def awq_gemv_fast(size):
    """AutoAWQ's gemv_fast: 16-bit integers of four weights, four rows interleaved, groups padded to eight."""

    def pack(outputs, inputs):
        groups = math.ceil(inputs / size / 8) * 8
        return {
            ".qweight": stored("I16", outputs // 4, inputs // 4 * 4),
            ".qzeros": stored("F16", groups, outputs),
            ".scales": stored("F16", groups, outputs),
        }

    return pack


def fp8_ministral(outputs, inputs):
    return {
        ".weight": stored("F8_E4M3", outputs, inputs),
        ".weight_scale_inv": stored("BF16"),
        ".activation_scale": stored("BF16"),
    }


def w4a8_awq(outputs, inputs):
    return {
        **modelopt_int4(128)(outputs, inputs),
        ".weight_scale_2": stored("F32"),
        ".input_scale": stored("F32"),
    }


def fused_experts(model, dtype, *, scale, bias=False):
    """All experts of a layer in one tensor; `scale` gives the shape of the scales."""
    tensors = {}
    for layer in range(model.layers):
        for name, outputs, inputs in (
            ("gate_up_proj", 2 * model.intermediate, model.hidden),
            ("down_proj", model.hidden, model.intermediate),
        ):
            experts = f"model.layers.{layer}.mlp.experts.{name}"
            tensors[experts] = stored(dtype, model.experts, outputs, inputs)
            if scale:
                end, shape = scale(outputs, inputs)
                tensors[experts + end] = stored("F32", model.experts, *shape)
            if bias:
                tensors[f"{experts}_bias"] = stored("BF16", model.experts, outputs)
    return tensors


def attention(model, pack):
    return {
        name + end: tensor
        for name, outputs, inputs in model.linears
        if "self_attn" in name
        for end, tensor in pack(outputs, inputs).items()
    }


def plain(outputs, inputs):
    return {".weight": stored("BF16", outputs, inputs)}


def with_fused_experts(quantization, experts, attention_pack, headline, **more):
    """A mixture of experts whose experts are in one tensor for each layer."""
    layout = build(MOE, quantization, {}, "", headline, **more)
    return replace(layout, tensors={**MOE.others, **experts, **attention(MOE, attention_pack)}, schemes={})


def renamed(layout, old, new, **more):
    """A layout under other names."""
    return replace(
        layout,
        tensors={name.replace(old, new): tensor for name, tensor in layout.tensors.items()},
        schemes={name.replace(old, new): scheme for name, scheme in layout.schemes.items()},
        **more,
    )


def quantized_head(layout, pack, model=M):
    tensors = {name: tensor for name, tensor in layout.tensors.items() if name != "lm_head.weight"}
    head = {f"lm_head{end}": tensor for end, tensor in pack(model.vocabulary, model.hidden).items()}
    return replace(layout, tensors={**tensors, **head})


def quantized_embedding(layout, pack, model=M):
    tensors = {name: tensor for name, tensor in layout.tensors.items() if name != "model.embed_tokens.weight"}
    own = {f"model.embed_tokens{end}": tensor for end, tensor in pack(model.vocabulary, model.hidden).items()}
    return replace(layout, tensors={**own, **tensors})


VISION = {
    "model.visual.patch_embed.proj.weight": stored("BF16", 32, 3, 2, 4, 4),
    "model.visual.blocks.0.attn.qkv.weight": stored("BF16", 96, 32),
    "model.visual.blocks.0.attn.qkv.bias": stored("BF16", 96),
    "model.visual.blocks.0.mlp.fc1.weight": stored("BF16", 64, 32),
    "model.visual.blocks.0.norm1.weight": stored("BF16", 32),
}
VISION_PARAMETERS = sum(math.prod(shape) for _, shape, _ in VISION.values())
QUARK_FP8 = {"dtype": "fp8_e4m3", "qscheme": "per_tensor", "is_dynamic": False}
MODELOPT_NVFP4_GROUPS = {
    "config_groups": {
        "group_0": {
            "input_activations": {"dynamic": False, "num_bits": 4, "type": "float", "group_size": 16},
            "weights": {"dynamic": False, "num_bits": 4, "type": "float", "group_size": 16},
            "targets": ["Linear"],
        }
    },
    "ignore": ["lm_head", "model.layers.0.self_attn*"],
    "quant_algo": "NVFP4",
    "producer": {"name": "modelopt", "version": "0.47.0"},
    "quant_method": "modelopt",
}
