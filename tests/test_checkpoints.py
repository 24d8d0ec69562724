import json
import struct

import pytest

from fidelity.checkpoints import Checkpoint, content_id, describe, local_directory
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
    group = {"weights": {"num_bits": bits, "type": kind, **weights}, "input_activations": activations}
    return {"quant_method": "compressed-tensors", "config_groups": {"group_0": group}}


def test_bf16(tmp_path):
    folder = checkpoint(
        tmp_path / "m", {"embed": ("BF16", [10, 4]), "layer.weight": ("BF16", [4, 4]), "n": ("F32", [4])}
    )
    assert describe(folder) == Checkpoint("BF16", 60, (folder / "model.safetensors").stat().st_size)


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


@pytest.mark.parametrize(
    ("quantization", "name"),
    [
        (compressed(8, activations={"num_bits": 8}), "W8A8-INT8"),
        (compressed(8, "float", {"num_bits": 8}), "W8A8-FP8"),
        (compressed(8), "W8A16-INT8"),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, "W4A16-INT4 g128 (awq)"),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, "W8A16-INT8 (gptq)"),
        ({"quant_method": "fp8"}, "W8A8-FP8"),
        ({"quant_method": "bitsandbytes"}, "bitsandbytes"),
    ],
)
def test_formats_are_named_from_the_config(tmp_path, quantization, name):
    assert (
        describe(checkpoint(tmp_path / "m", {"l.weight": ("I8", [4, 4])}, quantization_config=quantization)).format
        == name
    )


def test_without_safetensors_the_config_says_the_type(tmp_path):
    (tmp_path / "config.json").write_text('{"torch_dtype": "float16"}')
    assert describe(tmp_path) == Checkpoint("FP16", None, None)


@pytest.mark.parametrize("content", [b"", b"\x00" * 7, struct.pack("<Q", 1 << 60), struct.pack("<Q", 4) + b"{]}}"])
def test_a_damaged_header_is_named(tmp_path, content):
    folder = checkpoint(tmp_path / "m", {})
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ConfigError, match=r"model\.safetensors: damaged"):
        describe(folder)


def test_a_directory_that_is_no_model(tmp_path):
    with pytest.raises(ConfigError, match=r"not a model: it has no config\.json"):
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
        known = json.loads(remembered.read_text())
        assert len(known) == 2
        remembered.write_text(json.dumps(dict.fromkeys(known, "remembered")))
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
