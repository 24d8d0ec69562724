"""Every layout is read right: format, parameters, bits, KV cache, layer by layer; else what is wrong is named."""

import json
import struct
from collections import Counter
from dataclasses import replace

import pytest

from fidelity.checkpoints import describe, dissect, local_directory, refuse_faults
from fidelity.checkpoints.config import read_config
from fidelity.checkpoints.resolution import resolve
from fidelity.checkpoints.tensors import read_weights
from fidelity.errors import ConfigError
from tests.checkpoints.layouts import (
    FP8_CACHE,
    LOCAL_FP4,
    TOKEN_FP8,
    TOKEN_INT8,
    Model,
    awq,
    bitmask,
    bitsandbytes,
    build,
    compressed,
    fp8_blocks,
    fp8_rows,
    fp8_tensor,
    fused_mxfp4,
    gptq,
    group,
    int8,
    int_packed,
    kv_scales,
    llm_int8,
    marlin_24,
    mlx,
    modelopt_int4,
    modelopt_nvfp4,
    mxfp4,
    mxfp8,
    nvfp4,
    quark_mxfp4,
    stored,
    torchao_bytes,
    torchao_notes,
    without,
    write_safetensors,
)

M = Model()
MOE = Model(experts=4)
NVFP4_GROUP = group(4, "float", "tensor_group", LOCAL_FP4, group_size=16)
MLP_ONLY = ["re:.*mlp.*"]
ATTENTION_ONLY = ["re:.*self_attn.*"]
NF4 = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
TORCHAO_INT8 = {"quant_method": "torchao", "quant_type": {"default": {"_type": "Int8WeightOnlyConfig", "_data": {}}}}


def by_layer(model, **scheme):
    """Model Optimizer's `quantized_layers`."""
    return {name: {"quant_algo": scheme["attention" if "self_attn" in name else "mlp"]} for name, _, _ in model.linears}


LAYOUTS = {
    "plain": build(M, None, {}, "", "BF16"),
    "plain FP32, tied": build(Model(tied=True, dtype="F32"), None, {}, "", "FP32"),
    **{
        f"compressed-tensors W{bits}A16": build(
            M,
            compressed(group(bits, strategy="group", group_size=64)),
            int_packed(bits, 64),
            f"INT{bits} g64",
            f"W{bits}A16-INT{bits} g64",
        )
        for bits in (2, 3, 4, 5, 6, 8)
    },
    "compressed-tensors W3A16, shapes not readable": build(
        M, compressed(group(3, strategy="group", group_size=128)), int_packed(3, 128, shape=False), "INT3 g128"
    ),
    "compressed-tensors W4A16 per row": build(M, compressed(group(4)), int_packed(4), "INT4", "W4A16-INT4"),
    "compressed-tensors W3A16 per row, shapes not readable": build(
        M, compressed(group(3)), int_packed(3, shape=False), "INT3", "W3A16-INT3"
    ),
    "compressed-tensors W4A16 asymmetric": build(
        M, compressed(group(4, strategy="group", group_size=32)), int_packed(4, 32, zeros=True), "INT4 g32"
    ),
    "compressed-tensors W8A8-INT8": build(
        M, compressed(group(8, inputs=TOKEN_INT8), format="int-quantized"), int8, "INT8", "W8A8-INT8"
    ),
    "compressed-tensors W8A16 in bytes": build(M, compressed(group(8)), int8, "INT8", "W8A16-INT8"),
    "compressed-tensors W4A8 in bytes": build(
        M, compressed(group(4, inputs=TOKEN_INT8), format="int-quantized"), int8, "INT4", "W4A8-INT4"
    ),
    "compressed-tensors W8A8-FP8": build(
        M, compressed(group(8, "float", inputs=TOKEN_FP8)), fp8_rows, "FP8", "W8A8-FP8"
    ),
    "compressed-tensors FP8 in blocks": build(
        M,
        compressed(group(8, "float", "block", TOKEN_FP8, block_structure=[128, 128])),
        fp8_blocks(name="weight_scale"),
        "FP8 block 128x128",
        "W8A8-FP8 block 128x128",
    ),
    "compressed-tensors NVFP4": build(
        M, compressed(NVFP4_GROUP, format="nvfp4-pack-quantized"), nvfp4, "NVFP4 g16", "W4A4-NVFP4 g16"
    ),
    "compressed-tensors NVFP4, weights only": build(
        M, compressed(group(4, "float", "tensor_group", group_size=16)), nvfp4, "NVFP4 g16", "W4A16-NVFP4 g16"
    ),
    "compressed-tensors MXFP4": build(
        M, compressed(group(4, "float", "group", group_size=32)), mxfp4, "MXFP4 g32", "W4A16-MXFP4 g32"
    ),
    "compressed-tensors MXFP8": build(
        M,
        compressed(group(8, "float", "group", TOKEN_FP8, group_size=32), format="mxfp8-quantized"),
        mxfp8,
        "MXFP8 g32",
        "W8A8-MXFP8 g32",
    ),
    "compressed-tensors FP8 attention and NVFP4 MLP": build(
        M,
        compressed(
            group(8, "float", inputs=TOKEN_FP8, targets=ATTENTION_ONLY),
            {**NVFP4_GROUP, "targets": MLP_ONLY},
            format="mixed-precision",
        ),
        {"self_attn": fp8_rows, "mlp": nvfp4},
        {"self_attn": "FP8", "mlp": "NVFP4 g16"},
        "mixed: NVFP4 g16 (MLP), FP8 (attention)",
    ),
    "compressed-tensors, 8 bits in a few layers": build(
        Model(layers=8),
        compressed(
            group(8, strategy="group", group_size=64, targets=["re:.*k_proj$"]),
            group(4, strategy="group", group_size=64),
        ),
        {"k_proj": int_packed(8, 64), "": int_packed(4, 64)},
        {"k_proj": "INT8 g64", "": "INT4 g64"},
        "W4A16-INT4 g64",
    ),
    "compressed-tensors, experts left out": build(
        replace(MOE, experts=8),
        compressed(group(4, strategy="group", group_size=32, targets=["re:.*self_attn.*"])),
        {"self_attn": int_packed(4, 32)},
        {"self_attn": "INT4 g32"},
        "4-bit attention only: most of the weights are BF16",
    ),
    "compressed-tensors, 2:4 sparse FP8": build(
        M,
        compressed(
            group(8, "float", inputs=TOKEN_FP8),
            format="float-quantized",
            sparsity_config={"format": "sparse-24-bitmask", "sparsity_structure": "2:4", "targets": ["Linear"]},
        ),
        bitmask,
        "FP8 2:4",
        "W8A8-FP8, 2:4 sparse",
    ),
    "compressed-tensors, 2:4 sparse and not quantized": build(
        M,
        compressed(
            format="dense",
            sparsity_config={"format": "sparse-24-bitmask", "sparsity_structure": "2:4", "targets": ["Linear"]},
        ),
        lambda outputs, inputs: bitmask(outputs, inputs, "BF16"),
        "BF16 2:4",
        "BF16, 2:4 sparse",
    ),
    "marlin-24": build(
        M,
        compressed(group(4, strategy="group", group_size=128), format="marlin-24"),
        marlin_24(4, 128),
        "INT4 g128 2:4",
        "W4A16-INT4 g128, 2:4 sparse",
    ),
    "FP8 with FP8 KV scales": build(
        M,
        compressed(group(8, "float", inputs=TOKEN_FP8), kv_cache_scheme=FP8_CACHE),
        fp8_rows,
        "FP8",
        "W8A8-FP8, KV cache FP8 (calibrated)",
        extra_tensors=kv_scales(M),
    ),
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


def schemes_of(folder):
    resolution = resolve(read_config(folder), read_weights(folder))
    return {one.layer.name: one.scheme.label for one in resolution.layers if one.scheme}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_read_right(name, tmp_path):
    layout = LAYOUTS[name]
    folder = layout.write(tmp_path / "m")
    found = dissect(folder)
    assert found.checkpoint.parameters == layout.parameters
    assert found.tensor_bytes == layout.tensor_bytes
    assert found.bits_per_weight == 8 * layout.tensor_bytes / layout.parameters
    labels = schemes_of(folder)
    for linear, scheme in layout.schemes.items():
        assert labels[linear] == scheme
    if layout.headline:
        assert found.checkpoint.format == layout.headline
    assert describe(folder) == found.checkpoint
    refuse_faults(folder)


def test_gpt_oss_experts_are_weights_and_their_scales_are_not(tmp_path):
    model = Model(experts=4)
    layout = replace(build(model, {"quant_method": "mxfp4"}, {}, ""), tensors={**model.others, **fused_mxfp4(model)})
    attention = {f"{name}.weight": stored("BF16", o, i) for name, o, i in model.linears if "self_attn" in name}
    folder = replace(layout, tensors={**layout.tensors, **attention}).write(tmp_path / "m")
    found = dissect(folder)
    biases = 2 * 4 * (512 + 128)
    assert found.checkpoint.parameters == layout.parameters + biases
    assert found.checkpoint.format == "W4A16-MXFP4 g32 (experts)"
    experts = next(stored for stored in found.parts if stored.kind == "experts")
    # 4.25 bits a weight and 16 a bias
    assert experts.bytes * 8 == 4.25 * (experts.parameters - biases) + 16 * biases


def test_the_index_decides_which_files_count(tmp_path):
    folder = LAYOUTS["plain"].write(tmp_path / "m")
    single = folder / "model.safetensors"
    whole = dissect(folder)
    single.rename(folder / "model-00001-of-00001.safetensors")
    write_safetensors(folder / "consolidated.safetensors", {"tok_embeddings.weight": stored("BF16", 160, 128)})
    assert dissect(folder).checkpoint == whole.checkpoint  # without an index: all but the copy
    names = dict.fromkeys(LAYOUTS["plain"].tensors, "model-00001-of-00001.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    write_safetensors(folder / "model-extra.safetensors", {"model.norm.weight": stored("BF16", 4096)})
    assert dissect(folder).checkpoint == whole.checkpoint
    assert describe(folder).bytes == (folder / "model-00001-of-00001.safetensors").stat().st_size


def test_an_index_that_leaves_the_folder_is_refused(tmp_path):
    folder = LAYOUTS["plain"].write(tmp_path / "m")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../other.safetensors"}}')
    with pytest.raises(ConfigError, match="names a file outside the checkpoint"):
        describe(folder)


class TestKVCache:
    def asked(self, tmp_path, **more):
        layout = build(
            M, compressed(group(8, "float", inputs=TOKEN_FP8), kv_cache_scheme=FP8_CACHE), fp8_rows, "FP8", **more
        )
        return dissect(layout.write(tmp_path / "m"))

    def test_scales_make_it_a_calibrated_cache_of_one_byte_a_number(self, tmp_path):
        found = self.asked(tmp_path, extra_tensors=kv_scales(M))
        assert (found.kv_cache.dtype, found.kv_cache.scales, found.kv_cache.fault) == ("FP8", "calibrated", None)
        assert found.kv_cache.bytes_per_token == 2 * 2 * 32 * 2  # layers x heads x size x sides
        assert found.kv_scale_bytes == 4 * 4
        assert not any(stored.parameters == 0 for stored in found.parts)

    @pytest.mark.parametrize(
        ("tensors", "fault"),
        [
            ({}, "no scales: servers take 1.0, a known accuracy fault"),
            (kv_scales(M, value=1.0), "its scales are all 1.0, as if there were none: a known accuracy fault"),
            (kv_scales(replace(M, layers=1)), "servers take 1.0 in the others, a known accuracy fault"),
        ],
    )
    def test_missing_scales_are_a_known_fault(self, tmp_path, tensors, fault):
        found = self.asked(tmp_path, extra_tensors=tensors)
        assert fault in found.kv_cache.fault
        assert any(fault in note for note in found.notes)
        assert found.checkpoint.format == "W8A8-FP8, KV cache FP8"
        assert found.kv_cache.bytes_per_token == 256

    def test_scales_that_nobody_asks_for(self, tmp_path):
        layout = build(M, compressed(group(8, "float", inputs=TOKEN_FP8)), fp8_rows, "FP8", extra_tensors=kv_scales(M))
        found = dissect(layout.write(tmp_path / "m"))
        assert found.kv_cache.bytes_per_token == 512
        assert found.notes == ("it has scales for a KV cache in 8 bits, and doesn't ask for one",)


class TestContradictions:
    @pytest.mark.parametrize(
        ("layout", "match"),
        [
            (without(M, LAYOUTS["compressed-tensors W4A16"]), "none of its tensors is: it is the unquantized model"),
            (without(M, LAYOUTS["awq"]), "none of its tensors is"),
            (without(M, LAYOUTS["Model Optimizer FP8"]), "none of its tensors is"),
            (replace(LAYOUTS["awq"], quantization=None), r"are quantized \(model.layers.0.self_attn.q_proj.qweight\)"),
            (replace(LAYOUTS["FP8 per tensor"], quantization=None), "has no quantization_config"),
            (
                replace(LAYOUTS["gptq 4 bits"], quantization={"quant_method": "gptq", "bits": 8, "group_size": 64}),
                "at the 8 bits that config.json states it has 64 weights a row, and scales for 128",
            ),
            (
                replace(LAYOUTS["gptq, a scale per row"], quantization={"quant_method": "gptq", "bits": 8}),
                "at the 8 bits that config.json states it has 64 weights a row, and the model's are 128",
            ),
            (
                replace(LAYOUTS["awq"], quantization={"quant_method": "awq", "bits": 4, "group_size": 128}),
                "it has 128 weights a row, and scales for 256",
            ),
            (
                replace(
                    LAYOUTS["compressed-tensors W4A16"],
                    quantization=compressed(group(4, strategy="group", group_size=64), ignore=["re:.*down_proj$"]),
                ),
                "model.layers.0.mlp.down_proj is quantized .* lists it in ignore",
            ),
            (
                replace(
                    LAYOUTS["compressed-tensors NVFP4"],
                    quantization=compressed(group(8, "float", "tensor", inputs=TOKEN_FP8)),
                ),
                "stored as NVFP4, and config.json says FP8",
            ),
            (
                replace(
                    LAYOUTS["Model Optimizer FP8"], quantization={"quant_method": "modelopt", "quant_algo": "NVFP4"}
                ),
                "stored as FP8, and config.json says NVFP4 g16",
            ),
            (
                replace(LAYOUTS["bitsandbytes nf4"], quantization={**NF4, "bnb_4bit_quant_type": "fp4"}),
                "is stored as nf4, and config.json says bnb_4bit_quant_type fp4",
            ),
            (
                replace(LAYOUTS["mlx 4 bits"], config={"quantization": {"bits": 8, "group_size": 64}}),
                "it has 64 weights a row, and scales for 128",
            ),
            (
                replace(
                    LAYOUTS["FP8 in blocks (DeepSeek)"],
                    quantization={"quant_method": "fp8", "weight_block_size": [64, 64]},
                ),
                "aren't the 64 x 64 weights a scale that config.json states",
            ),
            (
                replace(LAYOUTS["gptq 4 bits"], quantization={"quant_method": "gptq", "bits": "four"}),
                "quantization_config: bits is 'four'",
            ),
            (
                build(
                    Model(layers=3),
                    compressed(group(4, strategy="group", group_size=64)),
                    int_packed(4, 64),
                    "INT4 g64",
                    plain=lambda name: name == "model.layers.1.mlp.up_proj",
                ),
                "model.layers.1.mlp.up_proj is BF16, and config.json states INT4 g64 for it",
            ),
        ],
    )
    def test_it_is_named_and_a_run_refused(self, tmp_path, layout, match):
        folder = layout.write(tmp_path / "m")
        with pytest.raises(ConfigError, match=match):
            refuse_faults(folder)
        assert describe(folder).format == "layout not known (its files contradict each other)"

    def test_a_block_beyond_the_models_own_may_stay_as_it_is(self, tmp_path):
        layout = build(
            Model(layers=3),
            compressed(group(4, strategy="group", group_size=64)),
            int_packed(4, 64),
            "INT4 g64",
            plain=lambda name: ".2." in name,
            config={"num_hidden_layers": 2},
        )
        refuse_faults(layout.write(tmp_path / "m"))

    def test_two_configs_of_model_optimizer(self, tmp_path):
        layout = LAYOUTS["Model Optimizer FP8"]
        beside = json.dumps({"quantization": {"quant_algo": "NVFP4"}})
        folder = replace(layout, files={"hf_quant_config.json": beside}).write(tmp_path / "m")
        with pytest.raises(ConfigError, match=r"quantized as FP8, and hf_quant_config.json as NVFP4"):
            refuse_faults(folder)


class TestLayoutsThatAreNotKnown:
    @pytest.mark.parametrize(
        ("quantization", "why"),
        [
            ({"quant_method": "hqq"}, "hqq"),
            ({"quant_method": "aqlm"}, "aqlm"),
            ({"bits": 4}, "no quant_method"),
            ({"quant_method": "modelopt", "quant_algo": "NVFP9"}, "Model Optimizer's NVFP9"),
        ],
    )
    def test_nothing_is_guessed(self, tmp_path, quantization, why):
        folder = replace(LAYOUTS["Model Optimizer NVFP4 in hf_quant_config.json"], quantization=quantization, files={})
        found = dissect(folder.write(tmp_path / "m"))
        assert found.checkpoint.format == f"layout not known ({why})"
        assert found.checkpoint.parameters is None
        assert found.bits_per_weight is None
        assert found.checkpoint.bytes > found.tensor_bytes > 0
        refuse_faults(tmp_path / "m")  # an engine may know it

    def test_a_tensor_that_nothing_explains(self, tmp_path):
        layout = LAYOUTS["compressed-tensors W4A16"]
        odd = {"model.layers.0.mlp.up_proj.weight_codebook": stored("F16", 16, 8)}
        found = describe(replace(layout, tensors={**layout.tensors, **odd}).write(tmp_path / "m"))
        assert found.parameters is not None  # a parameter of its own, as its name isn't one of the layer's
        beside = {"model.layers.0.mlp.up_proj.scales": stored("F16", 16, 8)}
        found = describe(replace(layout, tensors={**layout.tensors, **beside}).write(tmp_path / "m2"))
        assert found.parameters is None or found.parameters == layout.parameters


def test_weights_that_loading_quantizes(tmp_path):
    layout = without(M, LAYOUTS["bitsandbytes nf4"])
    folder = layout.write(tmp_path / "m")
    refuse_faults(folder)
    found = dissect(folder)
    assert found.checkpoint.format == "BF16"
    assert found.notes == ("its weights aren't quantized; bitsandbytes makes them NF4 g64 while loading",)


def test_a_tied_lm_head_that_is_stored_counts_once(tmp_path):
    model = Model(tied=True)
    layout = build(model, None, {}, "", "BF16")
    copy = {"lm_head.weight": stored("BF16", 160, 128)}
    found = dissect(replace(layout, tensors={**layout.tensors, **copy}).write(tmp_path / "m"))
    assert found.checkpoint.parameters == layout.parameters
    assert found.notes == ("lm_head is stored, although it is tied to the embedding",)


def test_biases_of_quantized_layers_are_parameters(tmp_path):
    layout = LAYOUTS["awq"]
    biases = {f"{name}.bias": stored("F16", outputs) for name, outputs, _ in M.linears}
    found = describe(replace(layout, tensors={**layout.tensors, **biases}).write(tmp_path / "m"))
    assert found.parameters == layout.parameters + sum(outputs for _, outputs, _ in M.linears)


class TestShares:
    def test_a_mixed_checkpoint_in_full(self, tmp_path):
        found = dissect(LAYOUTS["Model Optimizer, mixed"].write(tmp_path / "m"))
        # 196,608 of the MLP, 98,304 of attention, and 2 x 160 x 128 embeddings with 640 of norms, of 336,512
        assert found.checkpoint.composition == "58.4 % W4A4-NVFP4 g16, 29.2 % W8A8-FP8, 12.4 % BF16"
        assert sum(share for _, share in found.shares) == pytest.approx(1)

    def test_few_layers_in_other_bits_are_named_in_full_and_not_in_the_headline(self, tmp_path):
        found = dissect(LAYOUTS["compressed-tensors, 8 bits in a few layers"].write(tmp_path / "m"))
        assert found.checkpoint.format == "W4A16-INT4 g64"
        assert "W8A16-INT8 g64" in found.checkpoint.composition

    def test_embeddings_can_be_most_of_a_small_model(self, tmp_path):
        model = replace(M, vocabulary=4000)
        layout = build(model, compressed(group(4, strategy="group", group_size=64)), int_packed(4, 64), "INT4 g64")
        assert describe(layout.write(tmp_path / "m")).format == "W4A16-INT4 g64 (22 % of the weights; most are BF16)"


class TestMakersOwnFormats:
    def test_metas_checkpoint_is_named_and_its_pickle_never_read(self, tmp_path):
        params = {"dim": 128, "n_layers": 2, "quantization_args": {"scheme": "spinquant", "group_size": 32}}
        (tmp_path / "params.json").write_text(json.dumps(params))
        (tmp_path / "consolidated.00.pth").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
        with pytest.raises(
            ConfigError,
            match=r"Meta's own format \(2 layers, width 128, SpinQuant g32 by params.json, 25 bytes of .pth\), which "
            r"vLLM and transformers don't load; ExecuTorch does, see docs/mobile.md",
        ):
            local_directory(str(tmp_path), None)

    def test_mistrals_checkpoint_lacks_a_config(self, tmp_path):
        (tmp_path / "params.json").write_text('{"dim": 4096, "n_layers": 32}')
        write_safetensors(tmp_path / "consolidated.safetensors", {"a": stored("BF16", 1)})
        with pytest.raises(ConfigError, match=r"Mistral's own format .* fetch the repository's config.json too"):
            local_directory(str(tmp_path), None)

    def test_a_folder_of_ggufs(self, tmp_path):
        (tmp_path / "m-Q4_K_M.gguf").write_bytes(b"")
        with pytest.raises(ConfigError, match=r"holds GGUF files; name one of them \(m-Q4_K_M.gguf\)"):
            local_directory(str(tmp_path), None)


def test_pickled_weights_have_the_size_of_their_files_and_the_format_of_their_config(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": TORCHAO_INT8}))
    (tmp_path / "pytorch_model.bin").write_bytes(bytes(100))
    found = describe(tmp_path)
    assert (found.format, found.parameters, found.bytes) == ("W8A16-INT8 (torchao)", None, 100)


def test_every_kind_of_layer_has_its_name(tmp_path):
    layout = build(MOE, None, {}, "")
    found = dissect(layout.write(tmp_path / "m"))
    assert Counter(stored.kind for stored in found.parts) == Counter(
        ["embedding", "lm_head", "norm", "router", "attention", "experts"]
    )


def test_hostile_headers_are_refused(tmp_path):
    folder = LAYOUTS["plain"].write(tmp_path / "m")
    for entry in (
        {"dtype": "BF16", "shape": [-1], "data_offsets": [0, 2]},
        {"dtype": "BF16", "shape": ["x"], "data_offsets": [0, 2]},
        {"dtype": "BF16", "shape": [1], "data_offsets": [4, 2]},
        {"dtype": "BF16", "shape": [1.5], "data_offsets": [0, 2]},
        7,
    ):
        text = json.dumps({"a": entry}).encode()
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
        with pytest.raises(ConfigError, match="damaged"):
            describe(folder)
