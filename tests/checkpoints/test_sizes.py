"""Bytes on disk, in memory and in the KV cache, from a checkpoint's headers; of a Hub id without its weights."""

import json
from types import SimpleNamespace

import pytest

from fidelity.checkpoints import dissect, dissect_on_hub, kv_cache
from fidelity.errors import ConfigError
from fidelity.inspection import inspect
from tests.checkpoints.test_checkpoints import compressed
from tests.conftest import ROOT

SMOLLM = {
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "hidden_size": 576,
    "dtype": "bfloat16",
}


def write_weights(folder, tensors, **config):
    """A checkpoint with real data: tensors are {name: (dtype, shape, bytes)}."""
    folder.mkdir()
    header, end = {}, 0
    for name, (dtype, shape, size) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(end))
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def w4a16(tmp_path):
    tensors = {
        "model.layers.0.mlp.up_proj.weight_packed": ("I32", [16, 8], 512),
        "model.layers.0.mlp.up_proj.weight_scale": ("BF16", [16, 2], 64),
        "model.embed_tokens.weight": ("BF16", [10, 4], 80),
        "model.norm.weight": ("F32", [4], 16),
    }
    return write_weights(tmp_path / "m", tensors, quantization_config=compressed(4, group_size=32), **SMOLLM)


def test_layers_and_headers_are_the_files_bytes(w4a16):
    anatomy = dissect(w4a16)
    assert {group.kind: group.bytes for group in anatomy.parts} == {"mlp": 576, "embedding": 80, "norm": 16}
    size = (w4a16 / "model.safetensors").stat().st_size
    header = int.from_bytes((w4a16 / "model.safetensors").read_bytes()[:8], "little")
    assert anatomy.checkpoint.bytes == size == anatomy.tensor_bytes + 8 + header
    assert anatomy.bits_per_weight == (576 + 80 + 16) * 8 / (16 * 64 + 40 + 4)


@pytest.mark.parametrize("model", ["smollm2-135m", "smollm2-135m-w8a8-int8", "smollm2-135m-w4a16"])
def test_so_are_those_of_real_models(model):
    folder = ROOT / "models" / model
    if not folder.exists():
        pytest.skip("no demo models: python examples/make_models.py")
    anatomy = dissect(folder)
    (file,) = folder.glob("*.safetensors")
    with file.open("rb") as stream:
        header = int.from_bytes(stream.read(8), "little")
    assert anatomy.tensor_bytes + 8 + header == anatomy.checkpoint.bytes == file.stat().st_size


def test_floats_are_loaded_as_the_engine_computes_and_quantized_weights_as_they_are(w4a16):
    loaded = {group.kind: group.bytes_loaded("float16") for group in dissect(w4a16).parts}
    assert loaded == {"mlp": 576, "embedding": 80, "norm": 8}
    assert {group.kind: group.bytes_loaded("float32") for group in dissect(w4a16).parts}["embedding"] == 160
    assert dissect(w4a16).parts[0].bytes_loaded(None) == 576


class TestKVCache:
    def test_of_the_demo_model(self):
        # 30 layers x 3 heads x 64 x 2 x 2 bytes; vLLM 0.32 itself reserves 4,293,918,720 bytes for 1,456 blocks of 128
        cache = kv_cache(SMOLLM)
        assert cache.bytes_per_token == 23_040 == 4_293_918_720 // 1_456 // 128
        assert cache.window is None
        assert cache.bytes_per_token_beyond_window == 23_040

    def test_of_another_type(self):
        assert kv_cache(SMOLLM, dtype="fp8").bytes_per_token == 11_520

    def test_without_grouped_queries_every_head_has_its_own(self):
        config = {"n_layer": 12, "n_head": 12, "n_embd": 768, "torch_dtype": "float32"}  # GPT-2
        assert kv_cache(config).bytes_per_token == 12 * 12 * 64 * 2 * 4

    def test_a_multimodal_model_is_counted_by_its_text_model(self):
        assert kv_cache({"text_config": SMOLLM, "num_hidden_layers": 99}).bytes_per_token == 23_040

    def test_sliding_windows_as_they_are_listed(self):
        types = ["sliding_attention"] * 25 + ["full_attention"] * 5
        cache = kv_cache({**SMOLLM, "layer_types": types, "sliding_window": 512})
        assert (cache.bytes_per_token, cache.bytes_per_token_beyond_window) == (23_040, 23_040 // 6)
        assert cache.window == 512
        assert "25 of the layers store at most 512 tokens" in cache.counted

    @pytest.mark.parametrize(
        ("older", "full"),
        [
            ({"sliding_window": 512, "sliding_window_pattern": 6}, 5),  # Gemma 3: each sixth
            ({"sliding_window": 4096, "model_type": "gemma2"}, 15),
            ({"sliding_window": 4096}, 0),  # Mistral 7B v0.1
            ({"sliding_window": 4096, "max_window_layers": 28}, 28),  # Qwen2
            ({"sliding_window": 4096, "max_window_layers": 28, "use_sliding_window": False}, 30),
        ],
    )
    def test_sliding_windows_as_older_configs_say_it(self, older, full):
        cache = kv_cache({**SMOLLM, **older})
        assert cache.bytes_per_token == 23_040
        assert cache.bytes_per_token_beyond_window == 23_040 * full // 30

    def test_latent_attention_keeps_one_vector_for_all_heads(self):
        # DeepSeek-V3: 61 layers x (512 + 64) x 2 bytes
        config = {"num_hidden_layers": 61, "kv_lora_rank": 512, "qk_rope_head_dim": 64, "torch_dtype": "bfloat16"}
        assert kv_cache(config).bytes_per_token == 70_272

    def test_layers_without_attention_and_shared_ones_are_named(self):
        cache = kv_cache({**SMOLLM, "layer_types": ["linear_attention"] * 20 + ["full_attention"] * 10})
        assert cache.bytes_per_token == 23_040 // 3
        assert "20 layers without attention" in cache.counted
        shared = kv_cache({**SMOLLM, "num_kv_shared_layers": 10})
        assert shared.bytes_per_token == 23_040 * 2 // 3
        assert "10 layers share another's" in shared.counted

    def test_what_the_config_does_not_say_is_not_guessed(self):
        assert kv_cache({}) is None
        assert kv_cache({**SMOLLM, "dtype": "posit8"}) is None


class Hub:
    """Answers for huggingface_hub's HfApi with the metadata of a local checkpoint."""

    folder = None

    def get_safetensors_metadata(self, model, revision):
        files = {}
        for file in self.folder.glob("*.safetensors"):
            data = file.read_bytes()
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            files[file.name] = SimpleNamespace(tensors={n: SimpleNamespace(**t) for n, t in header.items()})
        return SimpleNamespace(files_metadata=files)

    def model_info(self, model, revision, files_metadata):
        files = [SimpleNamespace(rfilename=f.name, size=f.stat().st_size) for f in self.folder.iterdir()]
        return SimpleNamespace(siblings=files)

    def snapshot_download(self, model, revision, allow_patterns, local_dir):
        assert not any("safetensors" in pattern for pattern in allow_patterns)
        for name in allow_patterns:
            if (self.folder / name).exists():
                (type(self.folder)(local_dir) / name).write_bytes((self.folder / name).read_bytes())


def test_a_hub_id_is_known_by_its_metadata_alone(w4a16, monkeypatch):
    huggingface_hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    monkeypatch.setattr(Hub, "folder", w4a16)
    assert dissect_on_hub("org/m") == dissect(w4a16)
    assert inspect("org/not-in-the-cache", ask_vllm=False).anatomy == dissect(w4a16)


def test_a_hub_that_can_not_be_reached_is_an_error(monkeypatch):
    huggingface_hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(huggingface_hub.HfApi, "get_safetensors_metadata", unreachable)
    with pytest.raises(
        ConfigError,
        match=r"neither a directory .* nor available from the Hub, which can't be reached.*ConnectionError: no net",
    ):
        dissect_on_hub("org/m")


def unreachable(*_, **__):
    raise ConnectionError("no net")
