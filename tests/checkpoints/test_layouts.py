"""Every layout is read right: format, parameters, bits, layer by layer."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from fidelity.checkpoints import describe, dissect, local_directory, refuse_faults
from fidelity.checkpoints.config import read_config
from fidelity.checkpoints.resolution import resolve
from fidelity.checkpoints.tensors import read_weights
from fidelity.errors import ConfigError
from tests.checkpoints.compressed_tensors_layouts import MOE, M
from tests.checkpoints.known_layouts import LAYOUTS, TORCHAO_INT8
from tests.checkpoints.layouts import Model, build, stored, without, write_safetensors
from tests.checkpoints.packings import (
    compressed,
    fused_mxfp4,
    group,
    int_packed,
)
from tests.checkpoints.published_layouts import PUBLISHED


def schemes_of(folder):
    resolution = resolve(read_config(folder), read_weights(folder))
    return {one.layer.name: one.scheme.label for one in resolution.layers if one.scheme}


EVERY = {**LAYOUTS, **PUBLISHED}


@pytest.mark.parametrize("name", EVERY)
def test_a_layout_is_read_right(name, tmp_path):
    layout = EVERY[name]
    folder = layout.write(tmp_path / "m")
    anatomy = dissect(folder)
    assert anatomy.checkpoint.parameters == layout.parameters
    assert anatomy.tensor_bytes == layout.tensor_bytes
    assert anatomy.bits_per_weight == 8 * layout.tensor_bytes / layout.parameters
    labels = schemes_of(folder)
    for linear, scheme in layout.schemes.items():
        assert labels[linear] == scheme
    if layout.headline:
        assert anatomy.checkpoint.format == layout.headline
    assert describe(folder) == anatomy.checkpoint
    refuse_faults(folder)


def test_gpt_oss_experts_are_weights_and_their_scales_are_not(tmp_path):
    model = Model(experts=4)
    layout = replace(build(model, {"quant_method": "mxfp4"}, {}, ""), tensors={**model.others, **fused_mxfp4(model)})
    attention = {f"{name}.weight": stored("BF16", o, i) for name, o, i in model.linears if "self_attn" in name}
    folder = replace(layout, tensors={**layout.tensors, **attention}).write(tmp_path / "m")
    anatomy = dissect(folder)
    biases = 2 * 4 * (512 + 128)
    assert anatomy.checkpoint.parameters == layout.parameters + biases
    assert anatomy.checkpoint.format == "W4A16-MXFP4 g32 (experts)"
    experts = next(stored for stored in anatomy.parts if stored.kind == "experts")
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


def test_weights_that_loading_quantizes(tmp_path):
    layout = without(M, LAYOUTS["bitsandbytes nf4"])
    folder = layout.write(tmp_path / "m")
    refuse_faults(folder)
    anatomy = dissect(folder)
    assert anatomy.checkpoint.format == "BF16"
    assert anatomy.notes == ("its weights aren't quantized; bitsandbytes quantizes them to NF4 g64 while loading",)


def test_a_tied_lm_head_that_is_stored_counts_once(tmp_path):
    model = Model(tied=True)
    layout = build(model, None, {}, "", "BF16")
    copy = {"lm_head.weight": stored("BF16", 160, 128)}
    anatomy = dissect(replace(layout, tensors={**layout.tensors, **copy}).write(tmp_path / "m"))
    assert anatomy.checkpoint.parameters == layout.parameters
    assert anatomy.notes == ("lm_head is stored, although it is tied to the embedding",)


def test_biases_of_quantized_layers_are_parameters(tmp_path):
    layout = LAYOUTS["awq"]
    biases = {f"{name}.bias": stored("F16", outputs) for name, outputs, _ in M.linears}
    described = describe(replace(layout, tensors={**layout.tensors, **biases}).write(tmp_path / "m"))
    assert described.parameters == layout.parameters + sum(outputs for _, outputs, _ in M.linears)


class TestShares:
    def test_a_mixed_checkpoint_in_full(self, tmp_path):
        anatomy = dissect(LAYOUTS["Model Optimizer, mixed"].write(tmp_path / "m"))
        # 196,608 of the MLP, 98,304 of attention, and 2 x 160 x 128 embeddings with 640 of norms, of 336,512
        assert anatomy.checkpoint.composition == "58.4% W4A4-NVFP4 g16, 29.2% W8A8-FP8, 12.4% BF16"
        assert sum(share for _, share in anatomy.shares) == pytest.approx(1)

    def test_few_layers_in_other_bits_are_named_in_full_and_not_in_the_headline(self, tmp_path):
        anatomy = dissect(LAYOUTS["compressed-tensors, 8 bits in a few layers"].write(tmp_path / "m"))
        assert anatomy.checkpoint.format == "W4A16-INT4 g64"
        assert "W8A16-INT8 g64" in anatomy.checkpoint.composition

    def test_embeddings_can_be_most_of_a_small_model(self, tmp_path):
        model = replace(M, vocabulary=4000)
        layout = build(model, compressed(group(4, strategy="group", group_size=64)), int_packed(4, 64), "INT4 g64")
        assert describe(layout.write(tmp_path / "m")).format == "W4A16-INT4 g64 (22% of the weights; most are BF16)"


class TestMakersOwnFormats:
    def test_metas_checkpoint_is_named_and_its_pickle_never_read(self, tmp_path):
        params = {"dim": 128, "n_layers": 2, "quantization_args": {"scheme": "spinquant", "group_size": 32}}
        (tmp_path / "params.json").write_text(json.dumps(params))
        (tmp_path / "consolidated.00.pth").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
        with pytest.raises(
            ConfigError,
            match=r"Meta's own format \(2 layers, width 128, SpinQuant g32 by params.json, 25 bytes of .pth\), which "
            r"vLLM and transformers can't load, but ExecuTorch can; see docs/mobile.md",
        ):
            local_directory(str(tmp_path), None)

    def test_mistrals_checkpoint_lacks_a_config(self, tmp_path):
        (tmp_path / "params.json").write_text('{"dim": 4096, "n_layers": 32}')
        write_safetensors(tmp_path / "consolidated.safetensors", {"a": stored("BF16", 1)})
        with pytest.raises(ConfigError, match=r"Mistral's own format .* download the repository's config.json too"):
            local_directory(str(tmp_path), None)

    @pytest.mark.parametrize("config", [None, "{}"])
    @pytest.mark.parametrize(
        ("file", "words"),
        [
            ("model.onnx", r"it is an ONNX model \(model.onnx\), which neither vLLM nor transformers loads"),
            ("onnx/model_q4.onnx", r"it is an ONNX model \(model_q4.onnx\)"),
            ("openvino_model.xml", "it is an OpenVINO model"),
            ("model.pte", r"contains an ExecuTorch program \(model.pte\); see docs/mobile.md"),
            ("rank0.engine", "it is a TensorRT engine"),
            ("rank0.safetensors", "it is a TensorRT-LLM checkpoint"),
            ("mlc-chat-config.json", "it is an MLC model"),
            ("model.tflite", "it is a LiteRT model"),
            ("tf_model.h5", "it is a TensorFlow model"),
            ("model-Q8_0.gguf", r"it contains GGUF files; give one of them \(model-Q8_0.gguf\)"),
        ],
    )
    def test_weights_of_other_software_are_named(self, tmp_path, file, words, config):
        (tmp_path / "onnx").mkdir()
        (tmp_path / file).write_bytes(b"")
        for beside in ("openvino_model.bin", "training_args.bin"):
            (tmp_path / beside).write_bytes(b"")
        if config is not None:
            (tmp_path / "config.json").write_text(config)
        with pytest.raises(ConfigError, match=words):
            local_directory(str(tmp_path), None)

    @pytest.mark.parametrize("config", [None, "{}"])
    def test_an_adapter_is_not_a_model(self, tmp_path, config):
        adapter = {"peft_type": "LORA", "r": 16, "base_model_name_or_path": "org/base"}
        (tmp_path / "adapter_config.json").write_text(json.dumps(adapter))
        write_safetensors(tmp_path / "adapter_model.safetensors", {"base_model.lora_A.weight": stored("F32", 16, 8)})
        if config is not None:
            (tmp_path / "config.json").write_text(config)
        with pytest.raises(ConfigError, match="it is only a LORA adapter of rank 16 for org/base, not a whole model"):
            local_directory(str(tmp_path), None)

    def test_files_of_other_software_beside_weights_change_nothing(self, tmp_path):
        folder = LAYOUTS["plain"].write(tmp_path / "m")
        (folder / "model.onnx").write_bytes(b"")
        (folder / "training_args.bin").write_bytes(b"")
        assert local_directory(str(folder), None) == folder
        refuse_faults(folder)

    def test_a_folder_of_ggufs(self, tmp_path):
        (tmp_path / "m-Q4_K_M.gguf").write_bytes(b"")
        with pytest.raises(ConfigError, match=r"contains GGUF files; give one of them \(m-Q4_K_M.gguf\)"):
            local_directory(str(tmp_path), None)


def test_pickled_weights_have_the_size_of_their_files_and_the_format_of_their_config(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": TORCHAO_INT8}))
    (tmp_path / "pytorch_model.bin").write_bytes(bytes(100))
    described = describe(tmp_path)
    assert (described.format, described.parameters, described.bytes) == ("W8A16-INT8 (torchao)", None, 100)


@pytest.mark.parametrize(
    ("group", "format"),
    [
        ({"weights": {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128}}, "W4A16-INT4 g128"),
        (
            {
                "weights": {"num_bits": 8, "type": "float", "strategy": "channel"},
                "input_activations": {"num_bits": 8, "type": "float", "strategy": "token", "dynamic": True},
            },
            "W8A8-FP8",
        ),
    ],
)
def test_a_config_without_weights_names_its_format(tmp_path, group, format):
    """As `load_format: dummy` serves it: no tensor has a shape."""
    groups = {"group_0": {"targets": ["Linear"], **group}}
    quantization = {"quant_method": "compressed-tensors", "ignore": ["lm_head"], "config_groups": groups}
    (tmp_path / "config.json").write_text(json.dumps({"dtype": "bfloat16", "quantization_config": quantization}))
    assert describe(tmp_path).format == format


def test_every_kind_of_layer_has_its_name(tmp_path):
    layout = build(MOE, None, {}, "")
    anatomy = dissect(layout.write(tmp_path / "m"))
    assert Counter(stored.kind for stored in anatomy.parts) == Counter(
        ["embedding", "lm_head", "norm", "router", "attention", "experts"]
    )
