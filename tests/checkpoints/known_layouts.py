"""A checkpoint in every layout that fidelity reads."""

import json

from tests.checkpoints.compressed_tensors_layouts import COMPRESSED_TENSORS, M
from tests.checkpoints.layouts import Model, build
from tests.checkpoints.packings import (
    awq,
    bitsandbytes,
    compressed,
    fp8_blocks,
    fp8_rows,
    fp8_tensor,
    gptq,
    group,
    int_packed,
    kv_scales,
    llm_int8,
    mlx,
    modelopt_int4,
    modelopt_nvfp4,
    mxfp8,
    quark_mxfp4,
    torchao_bytes,
    torchao_notes,
)

NF4 = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
TORCHAO_INT8 = {"quant_method": "torchao", "quant_type": {"default": {"_type": "Int8WeightOnlyConfig", "_data": {}}}}


def by_layer(model, **scheme):
    """Model Optimizer's `quantized_layers`."""
    return {name: {"quant_algo": scheme["attention" if "self_attn" in name else "mlp"]} for name, _, _ in model.linears}


LAYOUTS = {
    "plain": build(M, None, {}, "", "BF16"),
    "plain FP32, tied": build(Model(tied=True, dtype="F32"), None, {}, "", "FP32"),
    **COMPRESSED_TENSORS,
    "awq": build(
        M,
        {"quant_method": "awq", "bits": 4, "group_size": 64, "version": "gemm"},
        awq(4, 64),
        "INT4 g64",
        "W4A16-INT4 g64 (awq)",
    ),
    "awq, packed along rows": build(
        M, {"quant_method": "awq", "bits": 4, "group_size": 64, "version": "gemv"}, awq(4, 64, "gemv"), "INT4 g64"
    ),
    **{
        f"gptq {bits} bits": build(
            M,
            {"quant_method": "gptq", "bits": bits, "group_size": 64, "desc_act": True},
            gptq(bits, 64),
            f"INT{bits} g64",
            f"W{bits}A16-INT{bits} g64 (gptq)",
        )
        for bits in (2, 3, 4, 8)
    },
    "gptq, a scale per row": build(
        M, {"quant_method": "gptq", "bits": 4, "group_size": -1}, gptq(4, g_idx=False), "INT4", "W4A16-INT4 (gptq)"
    ),
    "gptq with dynamic": build(
        M,
        {
            "quant_method": "gptq",
            "bits": 4,
            "group_size": 64,
            "dynamic": {r"+:.*\.mlp\..*": {"bits": 8, "group_size": 32}, r"-:.*\.o_proj$": {}},
        },
        {"self_attn": gptq(4, 64), "mlp": gptq(8, 32)},
        {"self_attn": "INT4 g64", "mlp": "INT8 g32"},
        "mixed: INT8 g32 (MLP), INT4 g64 (attention)",
        plain=lambda name: name.endswith("o_proj"),
    ),
    "auto-round": build(
        M,
        {"quant_method": "auto-round", "bits": 2, "group_size": 32, "packing_format": "auto_round:auto_gptq"},
        gptq(2, 32),
        "INT2 g32",
        "W2A16-INT2 g32 (auto-round)",
    ),
    "auto-round with extra_config": build(
        M,
        {
            "quant_method": "auto-round",
            "bits": 4,
            "group_size": 64,
            "packing_format": "auto_round:auto_awq",
            "extra_config": {
                **{name: {"bits": 8} for name, _, _ in M.linears if "mlp" in name},
                "model.layers.0.self_attn.q_proj": {"bits": 16},
            },
        },
        {"self_attn": awq(4, 64), "mlp": awq(8, 64)},
        {"self_attn": "INT4 g64", "mlp": "INT8 g64"},
        "mixed: INT8 g64 (MLP), INT4 g64 (attention)",
        plain=lambda name: name == "model.layers.0.self_attn.q_proj",
    ),
    "Model Optimizer FP8": build(
        M, {"quant_method": "modelopt", "quant_algo": "FP8", "ignore": ["lm_head"]}, fp8_tensor, "FP8", "W8A8-FP8"
    ),
    "Model Optimizer NVFP4 in hf_quant_config.json": build(
        M,
        None,
        modelopt_nvfp4,
        "NVFP4 g16",
        "W4A4-NVFP4 g16, KV cache FP8",
        files={
            "hf_quant_config.json": json.dumps(
                {
                    "producer": {"name": "modelopt"},
                    "quantization": {
                        "quant_algo": "NVFP4",
                        "kv_cache_quant_algo": "FP8",
                        "group_size": 16,
                        "exclude_modules": ["lm_head"],
                    },
                }
            )
        },
        extra_tensors=kv_scales(M, "{attention}.{side}_proj.{side}_scale"),
    ),
    "Model Optimizer, mixed": build(
        M,
        {
            "quant_method": "modelopt",
            "quant_algo": "MIXED_PRECISION",
            "ignore": ["lm_head"],
            "quantized_layers": by_layer(M, attention="FP8", mlp="NVFP4"),
        },
        {"self_attn": fp8_tensor, "mlp": modelopt_nvfp4},
        {"self_attn": "FP8", "mlp": "NVFP4 g16"},
        "mixed: NVFP4 g16 (MLP), FP8 (attention)",
    ),
    "Model Optimizer AWQ": build(
        M,
        {"quant_method": "modelopt", "quant_algo": "W4A16_AWQ", "group_size": 64},
        modelopt_int4(64),
        "INT4 g64",
        "W4A16-INT4 g64",
    ),
    "Model Optimizer MXFP8": build(
        M, {"quant_method": "modelopt", "quant_algo": "MXFP8"}, mxfp8, "MXFP8 g32", "W8A8-MXFP8 g32"
    ),
    "Model Optimizer FP8 in blocks": build(
        M,
        {"quant_method": "modelopt", "quant_algo": "FP8_PB_WO"},
        fp8_blocks(name="weight_scale"),
        "FP8 block 128x128",
        "W8A16-FP8 block 128x128",
    ),
    **{
        f"bitsandbytes {kind}": build(
            M,
            {**NF4, "bnb_4bit_quant_type": kind},
            bitsandbytes(kind),
            f"{kind.upper()} g64",
            f"W4A16-{kind.upper()} g64 (bitsandbytes)",
        )
        for kind in ("nf4", "fp4")
    },
    "bitsandbytes, stored as BF16": build(M, NF4, bitsandbytes(storage="BF16", nested=False), "NF4 g64"),
    "bitsandbytes, notes not readable": build(M, NF4, bitsandbytes(noted=False), "NF4 g64"),
    "bitsandbytes LLM.int8": build(
        M, {"quant_method": "bitsandbytes", "load_in_8bit": True}, llm_int8, "INT8", "W8A8-INT8 (bitsandbytes)"
    ),
    "torchao int8": build(
        M,
        TORCHAO_INT8,
        torchao_bytes(),
        "INT8",
        "W8A16-INT8 (torchao)",
        metadata=torchao_notes(M, "Int8Tensor", act_quant_kwargs=None),
    ),
    "torchao 8da4w": build(
        M,
        {"quant_method": "torchao", "quant_type": {"default": {"_type": "Int8DynamicActivationIntxWeightConfig"}}},
        torchao_bytes(32),
        "INT4 g32",
        "W4A8-INT4 g32 (torchao)",
        metadata=torchao_notes(
            M,
            "IntxUnpackedToInt8Tensor",
            size=32,
            target_dtype={"_type": "torch.dtype", "_data": "int4"},
            activation_quantization="int8_asym_per_token",
        ),
    ),
    "torchao float8": build(
        M,
        {"quant_method": "torchao", "quant_type": "float8_weight_only"},
        torchao_bytes(dtype="F8_E4M3"),
        "FP8",
        "W8A16-FP8 (torchao)",
        metadata=torchao_notes(M, "Float8Tensor", act_quant_kwargs=None),
    ),
    **{
        f"mlx {bits} bits": build(
            M,
            None,
            mlx(bits, 64),
            f"INT{bits} g64",
            f"W{bits}A16-INT{bits} g64 (mlx)",
            config={"quantization": {"bits": bits, "group_size": 64}},
        )
        for bits in (2, 3, 4, 5, 6, 8)
    },
    "mlx mxfp4": build(
        M,
        {"bits": 4, "group_size": 32, "mode": "mxfp4"},
        mlx(4, 32, mode="mxfp4"),
        "MXFP4 g32",
        "W4A16-MXFP4 g32 (mlx)",
    ),
    "mlx with overrides": build(
        M,
        {"bits": 4, "group_size": 64, **{n: {"bits": 6, "group_size": 32} for n, _, _ in M.linears if "mlp" in n}},
        {"self_attn": mlx(4, 64), "mlp": mlx(6, 32)},
        {"self_attn": "INT4 g64", "mlp": "INT6 g32"},
        "mixed: INT6 g32 (MLP), INT4 g64 (attention)",
    ),
    "FP8 in blocks (DeepSeek)": build(
        Model(hidden=192, heads=3),
        {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]},
        fp8_blocks(),
        "FP8 block 128x128",
        "W8A8-FP8 block 128x128",
    ),
    "FP8 per tensor": build(M, {"quant_method": "fp8", "activation_scheme": "static"}, fp8_tensor, "FP8", "W8A8-FP8"),
    "fbgemm_fp8": build(M, {"quant_method": "fbgemm_fp8"}, fp8_rows, "FP8", "W8A8-FP8"),
    "Quark FP8": build(
        M,
        {
            "quant_method": "quark",
            "global_quant_config": {
                "weight": {"dtype": "fp8_e4m3", "qscheme": "per_tensor"},
                "input_tensors": {"dtype": "fp8_e4m3", "qscheme": "per_tensor", "is_dynamic": False},
            },
            "exclude": ["lm_head"],
        },
        fp8_tensor,
        "FP8",
        "W8A8-FP8 (quark)",
    ),
    "Quark MXFP4": build(
        M,
        {
            "quant_method": "quark",
            "global_quant_config": {
                "weight": {"dtype": "fp4", "qscheme": "per_group", "group_size": 32},
                "input_tensors": {"dtype": "fp4", "qscheme": "per_group", "group_size": 32, "is_dynamic": True},
            },
        },
        quark_mxfp4,
        "MXFP4 g32",
        "W4A4-MXFP4 g32 (quark)",
    ),
    "in text_config": build(
        M,
        None,
        int_packed(4, 64),
        "INT4 g64",
        "W4A16-INT4 g64",
        config={
            "text_config": {**M.config, "quantization_config": compressed(group(4, strategy="group", group_size=64))}
        },
    ),
}
