"""What is wrong with a checkpoint is named: missing scales, contradictions, unknown layouts, hostile headers."""

import json
import struct
from dataclasses import replace

import pytest

from fidelity.checkpoints import describe, dissect, refuse_faults
from fidelity.errors import ConfigError
from tests.checkpoints.known_layouts import LAYOUTS, NF4, M
from tests.checkpoints.layouts import Model, build, stored, without
from tests.checkpoints.packings import (
    FP8_CACHE,
    TOKEN_FP8,
    compressed,
    fp8_rows,
    group,
    int_packed,
    kv_scales,
)


class TestKVCache:
    def asked(self, tmp_path, **more):
        layout = build(
            M, compressed(group(8, "float", inputs=TOKEN_FP8), kv_cache_scheme=FP8_CACHE), fp8_rows, "FP8", **more
        )
        return dissect(layout.write(tmp_path / "m"))

    def test_scales_make_it_a_calibrated_cache_of_one_byte_a_number(self, tmp_path):
        anatomy = self.asked(tmp_path, extra_tensors=kv_scales(M))
        assert (anatomy.kv_cache.dtype, anatomy.kv_cache.scales, anatomy.kv_cache.fault) == ("FP8", "calibrated", None)
        assert anatomy.kv_cache.bytes_per_token == 2 * 2 * 32 * 2  # layers x heads x size x sides
        assert anatomy.kv_scale_bytes == 4 * 4
        assert not any(stored.parameters == 0 for stored in anatomy.parts)

    @pytest.mark.parametrize(
        ("tensors", "fault"),
        [
            ({}, "no scales: servers use 1.0, a known accuracy problem"),
            (kv_scales(M, value=1.0), "its scales are all 1.0, as without scales: a known accuracy problem"),
            (kv_scales(replace(M, layers=1)), "servers use 1.0 in the others, a known accuracy problem"),
        ],
    )
    def test_missing_scales_are_a_known_fault(self, tmp_path, tensors, fault):
        anatomy = self.asked(tmp_path, extra_tensors=tensors)
        assert fault in anatomy.kv_cache.fault
        assert any(fault in note for note in anatomy.notes)
        assert anatomy.checkpoint.format == "W8A8-FP8, KV cache FP8"
        assert anatomy.kv_cache.bytes_per_token == 256

    def test_scales_that_nobody_asks_for(self, tmp_path):
        layout = build(M, compressed(group(8, "float", inputs=TOKEN_FP8)), fp8_rows, "FP8", extra_tensors=kv_scales(M))
        anatomy = dissect(layout.write(tmp_path / "m"))
        assert anatomy.kv_cache.bytes_per_token == 512
        assert anatomy.notes == ("it has scales for an 8-bit KV cache, but doesn't configure one",)


class TestContradictions:
    @pytest.mark.parametrize(
        ("layout", "match"),
        [
            (without(M, LAYOUTS["compressed-tensors W4A16"]), "none of its tensors is quantized: it is the"),
            (without(M, LAYOUTS["awq"]), "none of its tensors is"),
            (without(M, LAYOUTS["Model Optimizer FP8"]), "none of its tensors is"),
            (replace(LAYOUTS["awq"], quantization=None), r"are quantized \(model.layers.0.self_attn.q_proj.qweight\)"),
            (replace(LAYOUTS["FP8 per tensor"], quantization=None), "has no quantization_config"),
            (
                replace(LAYOUTS["gptq 4 bits"], quantization={"quant_method": "gptq", "bits": 8, "group_size": 64}),
                "at the 8 bits that config.json states it has 64 weights per row, but scales for 128",
            ),
            (
                replace(LAYOUTS["gptq, a scale per row"], quantization={"quant_method": "gptq", "bits": 8}),
                r"\[1, 16\] qzeros aren't zero points of 8 bits, which config.json states, for 128 outputs",
            ),
            (
                replace(LAYOUTS["awq"], quantization={"quant_method": "awq", "bits": 4, "group_size": 128}),
                "it has 128 weights per row, but scales for 256",
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
                "stored as NVFP4, but config.json states FP8",
            ),
            (
                replace(
                    LAYOUTS["Model Optimizer FP8"], quantization={"quant_method": "modelopt", "quant_algo": "NVFP4"}
                ),
                "stored as FP8, but config.json states NVFP4 g16",
            ),
            (
                replace(LAYOUTS["bitsandbytes nf4"], quantization={**NF4, "bnb_4bit_quant_type": "fp4"}),
                "is stored as nf4, but config.json has bnb_4bit_quant_type fp4",
            ),
            (
                replace(LAYOUTS["mlx 4 bits"], config={"quantization": {"bits": 8, "group_size": 64}}),
                "it has 64 weights per row, but scales for 128",
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
                "model.layers.1.mlp.up_proj is BF16, but config.json states INT4 g64 for it",
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
        with pytest.raises(ConfigError, match=r"the quantization FP8, but hf_quant_config.json states NVFP4"):
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
        anatomy = dissect(folder.write(tmp_path / "m"))
        assert anatomy.checkpoint.format == f"layout not known ({why})"
        assert anatomy.checkpoint.parameters is None
        assert anatomy.bits_per_weight is None
        assert anatomy.checkpoint.bytes > anatomy.tensor_bytes > 0
        refuse_faults(tmp_path / "m")  # an engine may know it

    def test_a_tensor_that_nothing_explains(self, tmp_path):
        layout = LAYOUTS["compressed-tensors W4A16"]
        odd = {"model.layers.0.mlp.up_proj.weight_codebook": stored("F16", 16, 8)}
        described = describe(replace(layout, tensors={**layout.tensors, **odd}).write(tmp_path / "m"))
        assert described.format == "layout not known (model.layers.0.mlp.up_proj: unexpected weight_codebook)"
        assert described.parameters is None
        beside = {"model.layers.0.mlp.up_proj.scales": stored("F16", 16, 8)}
        described = describe(replace(layout, tensors={**layout.tensors, **beside}).write(tmp_path / "m2"))
        assert described.parameters is None or described.parameters == layout.parameters


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
