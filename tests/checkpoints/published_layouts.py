"""Checkpoints as they are published: variants of the known layouts that change names, shapes or the config's form."""

import json
import math
from dataclasses import replace

from tests.checkpoints.compressed_tensors_layouts import MOE, NVFP4_GROUP, M
from tests.checkpoints.layouts import Model, build, stored
from tests.checkpoints.packings import (
    FP8_CACHE,
    TOKEN_FP8,
    TOKEN_INT8,
    awq,
    bitmask,
    compressed,
    fp8_blocks,
    fp8_rows,
    fp8_tensor,
    gptq,
    group,
    int8,
    int_packed,
    kv_scales,
    llm_int8,
    mlx,
    modelopt_nvfp4,
    nvfp4,
)
from tests.checkpoints.published_packings import (
    MODELOPT_NVFP4_GROUPS,
    QUARK_FP8,
    VISION,
    VISION_PARAMETERS,
    attention,
    awq_gemv_fast,
    awq_marlin,
    fp8_ministral,
    fused_experts,
    gptq_dense,
    plain,
    quantized_embedding,
    quantized_head,
    renamed,
    static_int8,
    w4a8_awq,
    with_act_order,
    with_fused_experts,
)

INT4_G64 = group(4, strategy="group", group_size=64)


PUBLISHED = {
    "compressed-tensors W4A16 with the order of activations": build(
        M,
        compressed(group(4, strategy="group", group_size=64, actorder="group", symmetric=False)),
        with_act_order(4, 64),
        "INT4 g64",
        "W4A16-INT4 g64",
    ),
    "compressed-tensors W4A8-FP8": build(
        M,
        compressed(group(4, strategy="group", group_size=128, inputs=TOKEN_FP8)),
        int_packed(4, 128),
        "INT4 g128",
        "W4A8-INT4 g128",
    ),
    "compressed-tensors W4A8-INT, packed": build(
        M, compressed(group(4, inputs=TOKEN_INT8)), int_packed(4), "INT4", "W4A8-INT4"
    ),
    "compressed-tensors W8A8-INT8, static and per tensor": build(
        M,
        compressed(
            group(8, strategy="tensor", inputs={"num_bits": 8, "type": "int", "strategy": "tensor", "dynamic": False}),
            format="int-quantized",
        ),
        static_int8,
        "INT8",
        "W8A8-INT8",
    ),
    "compressed-tensors, 2:4 sparse INT8": build(
        M,
        compressed(
            group(8, inputs=TOKEN_INT8),
            format="int-quantized",
            sparsity_config={"format": "sparse-24-bitmask", "sparsity_structure": "2:4", "targets": ["Linear"]},
        ),
        lambda o, i: {**bitmask(o, i, "I8"), ".weight_scale": stored("BF16", o, 1)},
        "INT8 2:4",
        "W8A8-INT8, 2:4 sparse",
    ),
    "compressed-tensors, compression_config of SparseML": build(
        M,
        None,
        int_packed(4, 64),
        "INT4 g64",
        "W4A16-INT4 g64",
        config={
            "compression_config": {
                "quantization_config": compressed(INT4_G64),
                "sparsity_config": {"format": "dense", "sparsity_structure": "0:0"},
            }
        },
    ),
    "compressed-tensors, older KV scales": build(
        M,
        compressed(group(8, "float", inputs=TOKEN_FP8), kv_cache_scheme=FP8_CACHE),
        fp8_rows,
        "FP8",
        "W8A8-FP8, KV cache FP8 (calibrated)",
        extra_tensors=kv_scales(M, "{attention}.{side}_proj.output_scale"),
    ),
    "compressed-tensors, quantized lm_head": quantized_head(
        build(M, compressed(INT4_G64, ignore=[]), int_packed(4, 64), "INT4 g64", "W4A16-INT4 g64"), int_packed(4, 64)
    ),
    "compressed-tensors, quantized embedding": quantized_embedding(
        build(
            M,
            compressed(group(8, targets=["Embedding"]), INT4_G64),
            int_packed(4, 64),
            "INT4 g64",
            "W4A16-INT4 g64",
        ),
        int_packed(8),
    ),
    "compressed-tensors, a vision tower that is left out": renamed(
        build(
            M,
            compressed(INT4_G64, ignore=["re:.*lm_head", "re:model.visual.*"]),
            int_packed(4, 64),
            "INT4 g64",
            "W4A16-INT4 g64",
            config={"text_config": M.config, "architectures": ["Qwen3VLForConditionalGeneration"]},
            extra_tensors=VISION,
            extra_parameters=VISION_PARAMETERS,
        ),
        "model.layers",
        "model.language_model.layers",
    ),
    "compressed-tensors NVFP4 experts": build(
        MOE,
        compressed(NVFP4_GROUP, format="nvfp4-pack-quantized", ignore=["lm_head", "re:.*mlp.gate$"]),
        nvfp4,
        "NVFP4 g16",
        "W4A4-NVFP4 g16",
    ),
    "compressed-tensors in llm_config": build(
        M,
        None,
        int_packed(4, 64),
        "INT4 g64",
        "W4A16-INT4 g64",
        config={"llm_config": {**M.config, "quantization_config": compressed(INT4_G64)}},
    ),
    "awq, modules left out": build(
        M,
        {
            "quant_method": "awq",
            "bits": 4,
            "group_size": 32,
            "version": "gemm",
            "zero_point": True,
            "modules_to_not_convert": ["visual"],
        },
        awq(4, 32),
        "INT4 g32",
        "W4A16-INT4 g32 (awq)",
        extra_tensors=VISION,
        extra_parameters=VISION_PARAMETERS,
    ),
    "awq, Marlin": build(
        M,
        {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "marlin", "zero_point": False},
        awq_marlin(128),
        "INT4 g128",
        "W4A16-INT4 g128 (awq)",
    ),
    "awq, gemv_fast": build(
        M,
        {"quant_method": "awq", "bits": 4, "group_size": 64, "version": "gemv_fast", "zero_point": True},
        awq_gemv_fast(64),
        "INT4 g64",
        "W4A16-INT4 g64 (awq)",
    ),
    "llm-awq's names": build(
        M,
        {"quant_method": "awq", "w_bit": 4, "q_group_size": 128, "version": "GEMM", "zero_point": True},
        awq(4, 128),
        "INT4 g128",
        "W4A16-INT4 g128 (awq)",
    ),
    "gptq v2, asymmetric": build(
        M,
        {
            "quant_method": "gptq",
            "bits": 4,
            "group_size": 32,
            "sym": False,
            "desc_act": True,
            "checkpoint_format": "gptq_v2",
            "pack_dtype": "int32",
            "meta": {"quantizer": ["gptqmodel:7.7.0"]},
        },
        gptq(4, 32),
        "INT4 g32",
        "W4A16-INT4 g32 (gptq)",
    ),
    **{
        f"gptq in {dtype}": build(
            M,
            {"quant_method": "gptq", "bits": 4, "group_size": 64, "pack_dtype": dtype.replace("I", "int")},
            gptq_dense(4, 64, dtype),
            "INT4 g64",
            "W4A16-INT4 g64 (gptq)",
        )
        for dtype in ("I8", "I16", "I64")
    },
    "gptq, quantized lm_head": quantized_head(
        build(
            M,
            {"quant_method": "gptq", "bits": 4, "group_size": 64, "lm_head": True},
            gptq(4, 64),
            "INT4 g64",
            "W4A16-INT4 g64 (gptq)",
        ),
        gptq(4, 64),
    ),
    "gptq, experts left out by dynamic": build(
        MOE,
        {"quant_method": "gptq", "bits": 8, "group_size": 128, "dynamic": {r"-:.*\.experts\..*": {}}},
        {"self_attn": gptq(8, 128)},
        {"self_attn": "INT8 g128"},
        "8-bit attention only: most of the weights are BF16",
    ),
    "auto-round, FP8 with static inputs": build(
        M,
        {
            "quant_method": "auto-round",
            "bits": 8,
            "group_size": -1,
            "data_type": "fp",
            "act_bits": 8,
            "act_data_type": "fp",
            "act_dynamic": False,
            "packing_format": "auto_round:fp8_static",
        },
        fp8_tensor,
        "FP8",
        "W8A8-FP8 (auto-round)",
    ),
    "Model Optimizer NVFP4 with config_groups": build(
        M,
        MODELOPT_NVFP4_GROUPS,
        modelopt_nvfp4,
        "NVFP4 g16",
        "W4A4-NVFP4 g16",
        plain=lambda name: name.startswith("model.layers.0.self_attn"),
    ),
    "Model Optimizer W4A8 AWQ": build(
        M,
        {"quant_method": "modelopt", "quant_algo": "W4A8_AWQ", "group_size": 128, "exclude_modules": ["*lm_head*"]},
        w4a8_awq,
        "INT4 g128",
        "W4A8-INT4 g128",
    ),
    "Model Optimizer, FP8 KV cache in kv_cache_scheme": build(
        M,
        {
            "quant_method": "modelopt",
            "quant_algo": "FP8",
            "ignore": ["lm_head"],
            "kv_cache_scheme": {"dynamic": False, "num_bits": 8, "type": "float"},
        },
        fp8_tensor,
        "FP8",
        "W8A8-FP8, KV cache FP8",
        extra_tensors=kv_scales(M, "{attention}.{side}_proj.{side}_scale"),
    ),
    "Model Optimizer, mixed with exclusions in hf_quant_config.json": build(
        M,
        None,
        {"self_attn": fp8_tensor, "mlp": w4a8_awq},
        {"self_attn": "FP8", "mlp": "INT4 g128"},
        "mixed: INT4 g128 (MLP), FP8 (attention)",
        files={
            "hf_quant_config.json": json.dumps(
                {
                    "producer": {"name": "modelopt"},
                    "quantization": {
                        "quant_algo": "MIXED_PRECISION",
                        "kv_cache_quant_algo": None,
                        "quantized_layers": {
                            name: {"quant_algo": "FP8"}
                            if "self_attn" in name
                            else {"quant_algo": "W4A8_AWQ", "group_size": 128, "has_zero_point": False}
                            for name, _, _ in M.linears
                        },
                    },
                }
            )
        },
    ),
    "FP8 with activation_scale (Ministral)": build(
        M,
        {"quant_method": "fp8", "activation_scheme": "static", "weight_block_size": None, "dequantize": False},
        fp8_ministral,
        "FP8",
        "W8A8-FP8",
    ),
    "FP8 in blocks, fused experts": with_fused_experts(
        {"quant_method": "fp8", "weight_block_size": [128, 128], "modules_to_not_convert": ["lm_head"]},
        fused_experts(MOE, "F8_E4M3", scale=lambda o, i: ("_scale_inv", (o // 128, i // 128))),
        fp8_blocks(),
        "W8A8-FP8 block 128x128",
    ),
    "fbgemm_fp8, fused experts": with_fused_experts(
        {"quant_method": "fbgemm_fp8", "modules_to_not_convert": ["lm_head", "self_attn"]},
        fused_experts(MOE, "F8_E4M3", scale=lambda o, i: ("_scale", (o, 1))),
        plain,
        "W8A8-FP8 (experts)",
    ),
    "BF16, fused experts": with_fused_experts(None, fused_experts(MOE, "BF16", scale=None), plain, "BF16"),
    "FP8 in blocks with powers of two": build(
        M,
        {"quant_method": "fp8", "fmt": "e4m3", "scale_fmt": "ue8m0", "weight_block_size": [128, 128]},
        lambda o, i: {
            ".weight": stored("F8_E4M3", o, i),
            ".weight_scale_inv": stored("F8_E8M0", math.ceil(o / 128), math.ceil(i / 128)),
        },
        "FP8 block 128x128",
        "W8A8-FP8 block 128x128",
    ),
    "bitsandbytes LLM.int8, experts": build(
        MOE, {"quant_method": "bitsandbytes", "load_in_8bit": True}, llm_int8, "INT8", "W8A8-INT8 (bitsandbytes)"
    ),
    "mlx, quantized embedding and lm_head": quantized_embedding(
        quantized_head(
            build(
                M,
                {"bits": 4, "group_size": 64, "lm_head": {"bits": 6, "group_size": 64}},
                mlx(4, 64),
                "INT4 g64",
                "W4A16-INT4 g64 (mlx)",
            ),
            mlx(6, 64),
        ),
        mlx(4, 64),
    ),
    "mlx, stacked experts": replace(
        build(MOE, None, {}, "", "W4A16-INT4 g64 (mlx)", config={"quantization": {"bits": 4, "group_size": 64}}),
        tensors={
            **MOE.others,
            **attention(MOE, mlx(4, 64)),
            **{
                f"model.layers.{layer}.mlp.switch_mlp.{name}.{role}": stored(dtype, 4, rows, columns // each)
                for layer in range(2)
                for name, rows, columns in (("gate_proj", 256, 128), ("up_proj", 256, 128), ("down_proj", 128, 256))
                for role, dtype, each in (("weight", "U32", 8), ("scales", "BF16", 64), ("biases", "BF16", 64))
            },
        },
        schemes={},
    ),
    "Quark FP8 with an FP8 KV cache": build(
        M,
        {
            "quant_method": "quark",
            "global_quant_config": {"weight": QUARK_FP8, "input_tensors": QUARK_FP8},
            "layer_quant_config": {
                f"*{side}_proj": {"weight": QUARK_FP8, "input_tensors": QUARK_FP8, "output_tensors": QUARK_FP8}
                for side in "kv"
            },
            "exclude": ["lm_head"],
            "export": {"kv_cache_group": ["*k_proj", "*v_proj"]},
        },
        fp8_tensor,
        "FP8",
        "W8A8-FP8 (quark), KV cache FP8 (calibrated)",
        extra_tensors=kv_scales(M, "{attention}.{side}_proj.output_scale"),
    ),
    "plain, Mistral's names": renamed(
        build(Model(dtype="BF16"), None, {}, "", "BF16"), "model.embed_tokens", "tok_embeddings"
    ),
    "compressed-tensors INT8 experts, not the router": build(
        MOE,
        compressed(group(8, inputs=TOKEN_INT8), format="int-quantized", ignore=["lm_head", "re:.*gate$"]),
        int8,
        "INT8",
        "W8A8-INT8",
    ),
}
