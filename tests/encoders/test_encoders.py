import json
import multiprocessing
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fidelity.encoders import CachedEncoder, EncoderSource, cache, locate, open_encoder
from fidelity.encoders.texts import batches_by_length
from fidelity.errors import ConfigError, MissingPackageError, StoreError
from tests.encoders.fake_encoder import FakeEncoder


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "my-encoder"
    folder.mkdir()
    (folder / "modules.json").write_text("[]")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_a_directory_is_known_by_its_name_and_its_content(model, tmp_path):
    source = locate(str(model))
    assert source.name == "my-encoder"
    copy = tmp_path / "elsewhere" / "copy"
    copy.mkdir(parents=True)
    for file in model.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / "README.md").write_text("not part of the model")
    assert locate(str(copy)).revision == source.revision
    (copy / "model.safetensors").write_bytes(b"other weights")
    assert locate(str(copy)).revision != source.revision


def test_a_hub_id_in_the_local_cache_is_known_by_its_commit(model, monkeypatch):
    commit = model.rename(model.parent / "0123456789abcdef0123456789abcdef01234567")

    def snapshot_download(name, *, local_files_only, allow_patterns, ignore_patterns):
        assert (name, local_files_only) == ("owner/model", True)
        assert not [p for p in allow_patterns if p.endswith(("*", ".py", ".bin"))]
        return str(commit)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    assert locate("owner/model") == EncoderSource("owner/model", "0123456789ab", commit)


def test_a_hub_id_that_is_nowhere_says_what_to_do(monkeypatch):
    def snapshot_download(name, *, local_files_only, allow_patterns, ignore_patterns):
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    with pytest.raises(ConfigError, match="'owner/model' is neither a directory nor in the local Hub cache"):
        locate("owner/model")


@pytest.mark.parametrize("name", ["./no/such/directory", "/no/such/directory", "nothing"])
def test_a_path_that_is_not_there_is_never_looked_up_on_the_hub(name):
    with pytest.raises(ConfigError, match="neither a directory nor a Hub id"):
        locate(name)


def test_a_directory_that_holds_no_encoder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"holds no encoder .* name a directory with a sentence-transformers model"):
        locate(str(tmp_path))
    (tmp_path / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    with pytest.raises(ConfigError, match=r"a model that generates text \(LlamaForCausalLM\)"):
        locate(str(tmp_path))


def test_without_the_package_the_extra_is_named(model, monkeypatch):
    source = locate(str(model))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"llm-fidelity\[semantic\]"):
        open_encoder(source)


@pytest.mark.filterwarnings("default")
def test_a_directory_that_cannot_be_opened_is_a_config_error(model):
    pytest.importorskip("sentence_transformers")
    (model / "modules.json").write_text(
        '[{"idx": 0, "name": "0", "path": "gone", "type": "sentence_transformers.models.Nothing"}]'
    )
    with pytest.raises(ConfigError, match="can't be opened by sentence-transformers"):
        open_encoder(locate(str(model))).embed(["a"])


def test_finding_and_answering_from_the_cache_loads_no_torch(model, tmp_path):
    source = locate(str(model))
    CachedEncoder(source, tmp_path / "cache", opener=lambda _: FakeEncoder()).embed(["a b"])
    code = (
        "import sys; from pathlib import Path; from fidelity.encoders import *; "
        f"print(CachedEncoder(locate({str(model)!r}), Path({str(tmp_path / 'cache')!r})).embed(['a b']).shape); "
        "print({'torch', 'transformers', 'sentence_transformers'} & set(sys.modules))"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.splitlines() == ["(1, 16)", "set()"]


class Counting:
    """Opens fake encoders and remembers them."""

    def __init__(self):
        self.opened = []

    def __call__(self, source):
        self.opened.append(FakeEncoder())
        return self.opened[-1]


SOURCE = EncoderSource("owner/fake", "0", Path("nowhere"))


def test_the_cache_gives_back_what_the_encoder_said(tmp_path):
    texts = ["a b", "", "नमस्ते", "กรุงเทพ x", "\ud800 \x00", "a b", "c " * 1000]
    plain = FakeEncoder()
    for opener in (Counting(), Counting()):
        cached = CachedEncoder(SOURCE, tmp_path, opener=opener, block=2)
        assert cached.max_tokens == plain.max_tokens
        assert cached.count_tokens(texts) == plain.count_tokens(texts)
        assert cached.unknown_share(texts) == plain.unknown_share(texts)
        assert np.array_equal(cached.embed(texts), plain.embed(texts))
        assert cached.embed([]).shape[0] == 0
    assert opener.opened == []


def test_only_texts_that_are_missing_are_encoded_and_each_once(tmp_path):
    first, second = Counting(), Counting()
    CachedEncoder(SOURCE, tmp_path, opener=first).embed(["a", "b", "a"])
    CachedEncoder(SOURCE, tmp_path, opener=second).embed(["b", "c", "a"])
    assert sorted(first.opened[0].embedded) == ["a", "b"]
    assert second.opened[0].embedded == ["c"]


def test_another_revision_has_another_cache(tmp_path):
    opener = Counting()
    for revision in ("0", "1"):
        CachedEncoder(EncoderSource("fake", revision, tmp_path), tmp_path, opener=opener).embed(["a"])
    assert len(opener.opened) == 2


def test_a_killed_process_keeps_the_blocks_that_were_encoded(tmp_path):
    class Dying(FakeEncoder):
        def embed(self, texts):
            if self.embedded:
                raise KeyboardInterrupt
            return super().embed(texts)

    with pytest.raises(KeyboardInterrupt):
        CachedEncoder(SOURCE, tmp_path, opener=lambda _: Dying(), block=2).embed(["aaaa", "bbb", "cc", "d"])
    second = Counting()
    CachedEncoder(SOURCE, tmp_path, opener=second).embed(["aaaa", "bbb", "cc", "d"])
    assert second.opened[0].embedded == ["cc", "d"]


def _embed_many(folder, start):
    cached = CachedEncoder(SOURCE, folder, opener=Counting(), block=5)
    for i in range(start, start + 40):
        cached.embed([f"text {i}", f"text {i + 1}"])


def test_two_processes_may_write_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_embed_many, args=(tmp_path, start)) for start in (0, 20, 40)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    texts = [f"text {i}" for i in range(81)]
    opener = Counting()
    assert np.array_equal(CachedEncoder(SOURCE, tmp_path, opener=opener).embed(texts), FakeEncoder().embed(texts))
    assert opener.opened == []


def test_a_damaged_cache_says_what_to_do(tmp_path):
    CachedEncoder(SOURCE, tmp_path, opener=Counting()).embed(["a"])
    (file,) = tmp_path.glob("*.sqlite")
    file.write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match="delete that file"):
        CachedEncoder(SOURCE, tmp_path, opener=Counting()).embed(["a"])


def test_a_full_disk_is_a_store_error(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(cache.sqlite3, "connect", full)
    with pytest.raises(StoreError, match="disk is full"):
        CachedEncoder(SOURCE, tmp_path, opener=Counting()).embed(["a"])


def test_batches_hold_similar_lengths_within_the_budget():
    assert list(batches_by_length([1, 8, 2, 8], tokens=20)) == [[1, 3], [2, 0]]
    assert list(batches_by_length([50], tokens=20)) == [[0]]
    assert list(batches_by_length([])) == []


EVIL = "import pathlib\npathlib.Path({marker!r}).write_text('ran')\nclass Evil: pass\n"


@pytest.mark.parametrize(
    "modules",
    [
        [{"type": "evil.Evil", "path": ""}],
        [{"type": "sentence_transformers.models.Pooling", "path": ""}, {"type": "evil.Evil", "path": ""}],
        [{"type": "sentence_transformers_evil.Evil", "path": ""}],
        [{"type": "sentence_transformers.", "path": ""}],
        [{"type": 7, "path": ""}],
        [{"path": ""}],
        [{"type": "sentence_transformers.models.Pooling", "path": "../elsewhere"}],
        [{"type": "sentence_transformers.models.Pooling", "path": "/etc"}],
        ["evil.Evil"],
        {"type": "evil.Evil"},
    ],
)
def test_an_encoder_that_brings_code_is_refused_before_it_is_loaded(model, tmp_path, modules):
    marker = tmp_path / "ran"
    (model / "evil.py").write_text(EVIL.format(marker=str(marker)))
    (model / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ConfigError, match=r"modules\.json"):
        locate(str(model))
    assert not marker.exists()


def test_an_activation_function_is_one_of_torch(model):
    (model / "2_Dense").mkdir()
    config = model / "2_Dense" / "config.json"
    config.write_text('{"activation_function": "torch.nn.modules.activation.Tanh"}')
    assert locate(str(model))
    for function in ("os.abort", "torch.hub.load", "evil.f"):
        config.write_text(json.dumps({"activation_function": function}))
        with pytest.raises(ConfigError, match=r"activation function .* which is not one of torch\.nn"):
            locate(str(model))


@pytest.mark.parametrize("place", ["", "1_Dense"])
def test_pickled_weights_are_refused_where_they_would_be_read(model, place):
    (model / place).mkdir(exist_ok=True)
    (model / place / "pytorch_model.bin").write_bytes(b"\x80")
    (model / "training_args.bin").write_bytes(b"\x80")  # nobody reads it
    if not place:
        assert locate(str(model))  # safetensors lie beside it
        (model / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"pytorch_model\.bin are a Python pickle"):
        locate(str(model))


def test_deeply_nested_modules_are_refused_in_words(model):
    (model / "modules.json").write_text("[" * 100_000)
    with pytest.raises(ConfigError, match=r"no readable modules\.json"):
        locate(str(model))
