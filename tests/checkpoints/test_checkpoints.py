import json
import struct

import numpy as np
import pytest

from fidelity.checkpoints import Checkpoint, content_id, describe, dissect, local_directory, refuse_faults
from fidelity.checkpoints.remembered import read_remembered, remember
from fidelity.errors import ConfigError


def checkpoint(folder, tensors, **config):
    """A checkpoint with headers as given and no weights behind them: tensors are {name: (dtype, shape)}."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    header = {
        name: {"dtype": dtype, "shape": shape, "data_offsets": [0, 0]} for name, (dtype, shape) in tensors.items()
    }
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    return folder


def compressed(bits, kind="int", activations=None, **weights):
    weights = {"num_bits": bits, "type": kind, **weights}
    group = {"targets": ["Linear"], "weights": weights, "input_activations": activations}
    return {"quant_method": "compressed-tensors", "config_groups": {"group_0": group}}


def test_a_plain_checkpoint_is_bf16(tmp_path):
    folder = checkpoint(
        tmp_path / "m", {"embed": ("BF16", [10, 4]), "layer.weight": ("BF16", [4, 4]), "n": ("F32", [4])}
    )
    assert describe(folder) == Checkpoint(
        "BF16", 60, (folder / "model.safetensors").stat().st_size, composition="93.3% BF16, 6.67% FP32"
    )


def test_w4a16_counts_weights_not_integers(tmp_path):
    # A 16 x 64 layer at 4 bits is 16 x 8 packed int32; its scales (one per group of 32) and shape are no parameters.
    tensors = {
        "l.weight_packed": ("I32", [16, 8]),
        "l.weight_scale": ("BF16", [16, 2]),
        "l.weight_shape": ("I64", [2]),
        "embed": ("BF16", [10, 4]),
    }
    folder = checkpoint(tmp_path / "m", tensors, quantization_config=compressed(4, group_size=32))
    assert describe(folder).format == "W4A16-INT4 g32"
    assert describe(folder).parameters == 16 * 64 + 40


def test_without_safetensors_the_type_is_the_configs(tmp_path):
    (tmp_path / "config.json").write_text('{"torch_dtype": "float16"}')
    assert describe(tmp_path) == Checkpoint("FP16", None, None)


@pytest.mark.parametrize("content", [b"", b"\x00" * 7, struct.pack("<Q", 1 << 60), struct.pack("<Q", 4) + b"{]}}"])
def test_a_damaged_header_is_named(tmp_path, content):
    folder = checkpoint(tmp_path / "m", {})
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ConfigError, match=r"model\.safetensors: damaged"):
        describe(folder)


def test_a_directory_that_is_no_model(tmp_path):
    with pytest.raises(ConfigError, match=r"not a model: config\.json is missing"):
        local_directory(str(tmp_path), None)
    with pytest.raises(ConfigError, match="no such directory"):
        local_directory(str(tmp_path / "none"), None)


class TestContentId:
    def test_changes_with_any_file_and_not_with_the_place(self, tmp_path):
        one = checkpoint(tmp_path / "one", {"a": ("BF16", [1])})
        two = checkpoint(tmp_path / "two", {"a": ("BF16", [1])})
        remembered = tmp_path / "hashes.json"
        assert content_id(one, remembered) == content_id(two, remembered)
        (two / "chat_template.jinja").write_text("x")
        assert content_id(one, remembered) != content_id(two, remembered)

    def test_a_file_is_read_once(self, tmp_path):
        folder, remembered = checkpoint(tmp_path / "m", {}), tmp_path / "hashes.json"
        first = content_id(folder, remembered)
        known = read_remembered(remembered)
        assert len(known) == 2
        remember(remembered, dict.fromkeys(known, "remembered"))
        assert content_id(folder, remembered) != first

    def test_a_damaged_memory_is_forgotten(self, tmp_path):
        folder, remembered = checkpoint(tmp_path / "m", {}), tmp_path / "hashes.json"
        first = content_id(folder, remembered)
        remembered.write_text("{")
        assert content_id(folder, remembered) == first

    def test_a_hub_snapshot_is_known_by_its_commit(self, tmp_path):
        folder = tmp_path / "snapshots" / "abc123"
        folder.mkdir(parents=True)
        assert content_id(folder, tmp_path / "hashes.json") == "abc123"


class TestFaults:
    def refused(self, folder, match, **keys):
        with pytest.raises(ConfigError, match=match):
            refuse_faults(folder, **keys)

    def test_a_whole_checkpoint_is_not_refused(self, tmp_path):
        refuse_faults(checkpoint(tmp_path / "m", {"l.weight": ("BF16", [4, 4])}))

    def test_shards_that_the_index_names_and_are_not_there(self, tmp_path):
        folder = checkpoint(tmp_path / "m", {"l.weight": ("BF16", [4, 4])})
        names = ["model.safetensors", "model-2.safetensors", "model-3.safetensors"]
        index = {"weight_map": {f"t{n}": name for n, name in enumerate(names)}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        self.refused(folder, r"2 of its 3 weight files are missing \(model-2.safetensors, model-3.safetensors\)")

    def test_shards_that_the_numbers_in_the_names_miss(self, tmp_path):
        folder = checkpoint(tmp_path / "m", {"l.weight": ("BF16", [4, 4])})
        (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
        self.refused(folder, r"1 of its 2 weight files are missing \(model-00002-of-00002.safetensors\)")

    def test_a_file_that_was_cut_short(self, tmp_path):
        folder = checkpoint(tmp_path / "m", {})
        header = json.dumps({"l.weight": {"dtype": "BF16", "shape": [4, 4], "data_offsets": [0, 32]}}).encode()
        whole = struct.pack("<Q", len(header)) + header + bytes(32)
        (folder / "model.safetensors").write_bytes(whole)
        refuse_faults(folder)
        (folder / "model.safetensors").write_bytes(whole[:-1])
        self.refused(
            folder, rf"truncated: it has {len(whole) - 1} of its {len(whole)} bytes; download the checkpoint again"
        )

    def test_pickles_are_read_only_if_asked_for(self, tmp_path):
        (tmp_path / "config.json").write_text("{}")
        (tmp_path / "pytorch_model.bin").write_bytes(b"")
        self.refused(tmp_path, r"Python pickles \(pytorch_model.bin\).* engine: \{allow_pickle: true\}")
        refuse_faults(tmp_path, allow_pickle=True)

    @pytest.mark.parametrize(
        ("tensors", "config", "match"),
        [
            (
                {"l.weight_packed": ("I32", [4, 4])},
                {},
                r"\(l.weight_packed\), but its config.json has no quant",
            ),
            ({"l.weight": ("I8", [4, 4])}, {}, "are quantized"),
            ({"l.weight": ("BF16", [4, 4])}, compressed(8), "none of its tensors is"),
            ({"l.weight": ("BF16", [4, 4])}, {"quant_method": "gptq", "bits": 4}, "none of its tensors is"),
            (
                {"l.weight": ("I8", [4, 4])},
                compressed(8, "float"),
                "l.weight is I8, but config.json states 8-bit float",
            ),
            ({"l.weight": ("F8_E4M3", [4, 4])}, compressed(8), "l.weight is F8_E4M3, but config.json states 8-bit int"),
            # 8 packed integers a row are 64 weights of 4 bits or 32 of 8, and 2 scales in groups of 32 are for 64.
            (
                {"l.weight_packed": ("I32", [16, 8]), "l.weight_scale": ("BF16", [16, 2])},
                compressed(8, group_size=32),
                "at the 8 bits that config.json states it has 32 weights per row, but scales for 64",
            ),
        ],
    )
    def test_a_config_that_contradicts_the_tensors(self, tmp_path, tensors, config, match):
        self.refused(checkpoint(tmp_path / "m", tensors, **({"quantization_config": config} if config else {})), match)

    def test_four_bits_that_fit_are_not_refused(self, tmp_path):
        tensors = {"l.weight_packed": ("I32", [16, 8]), "l.weight_scale": ("BF16", [16, 2])}
        refuse_faults(checkpoint(tmp_path / "m", tensors, quantization_config=compressed(4, group_size=32)))

    def test_a_vocabulary_that_the_embedding_does_not_hold(self, tmp_path):
        tensors = {"model.embed_tokens.weight": ("BF16", [100, 4])}
        refuse_faults(checkpoint(tmp_path / "m", tensors, vocab_size=100))
        folder = checkpoint(tmp_path / "m", tensors, vocab_size=128)
        self.refused(folder, "has 100 rows, but config.json has vocab_size 128: they belong to different models")


class TestAnatomy:
    def test_layers_by_kind_and_scheme(self, tmp_path):
        tensors = {f"model.layers.{n}.self_attn.q_proj.weight_packed": ("I32", [16, 8]) for n in range(3)}
        tensors |= {f"model.layers.{n}.self_attn.q_proj.weight_scale": ("BF16", [16, 2]) for n in range(3)}
        tensors |= {"model.layers.0.mlp.up_proj.weight": ("BF16", [8, 4]), "model.norm.weight": ("BF16", [4])}
        tensors |= {"model.embed_tokens.weight": ("BF16", [10, 4])}
        scheme = compressed(4, activations={"num_bits": 8, "dynamic": True, "strategy": "token"}, group_size=32)
        anatomy = dissect(
            checkpoint(tmp_path / "m", tensors, quantization_config=scheme, architectures=["LlamaForCausalLM"])
        )
        parts = {group.kind: (group.scheme, group.layers, group.parameters, group.names) for group in anatomy.parts}
        assert parts == {
            "attention": ("INT4 g32", 3, 3 * 16 * 64, ("model.layers.*.self_attn.q_proj",)),
            "mlp": ("BF16", 1, 32, ("model.layers.*.mlp.up_proj",)),
            "norm": ("BF16", 1, 4, ("model.norm",)),
            "embedding": ("BF16", 1, 40, ("model.embed_tokens",)),
        }
        assert set(anatomy.unquantized) == {"model.layers.*.mlp.up_proj", "model.embed_tokens"}
        assert (anatomy.architecture, anatomy.activations) == ("LlamaForCausalLM", "8-bit, dynamic, token")

    def test_bits_per_weight_count_the_scales(self, tmp_path):
        # 1 x 32 weights in 16 bytes and a scale in 2: 144 bits for 32 weights.
        folder = checkpoint(tmp_path / "m", {}, quantization_config=compressed(4, group_size=32))
        header = {
            "l.weight_packed": {"dtype": "I32", "shape": [1, 4], "data_offsets": [0, 16]},
            "l.weight_scale": {"dtype": "BF16", "shape": [1, 1], "data_offsets": [16, 18]},
        }
        text = json.dumps(header).encode()
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(18))
        (group,) = dissect(folder).parts
        assert group.bits_per_weight == 144 / 32


def test_a_gguf_is_read_by_its_own_words(tmp_path):
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
    weight = gguf.quants.quantize(np.ones((4, 32), dtype=np.float32), gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("blk.0.attn_q.weight", weight, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    file = local_directory(str(tmp_path / "m.gguf"), None)
    anatomy = dissect(file)
    assert anatomy.checkpoint == Checkpoint("GGUF Q8_0", 128, file.stat().st_size)
    assert [(group.kind, group.scheme, group.bits_per_weight) for group in anatomy.parts] == [
        ("attention", "Q8_0", 8.5)
    ]
    refuse_faults(file)
    assert content_id(file, tmp_path / "hashes.json")
    file.write_bytes(b"no GGUF")
    with pytest.raises(ConfigError, match="damaged, or not a GGUF file"):
        refuse_faults(file)
