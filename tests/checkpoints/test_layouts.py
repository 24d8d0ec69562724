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
