"""Names from outside don't leave their root: manifests, exported baselines, symbolic links."""

import json
import shutil

import pytest

from fidelity import baselines
from fidelity.comparison.stored import load_comparison
from fidelity.errors import StoreError
from fidelity.files import read_parquet
from fidelity.outside.paths import inside, plain_name
from fidelity.records import Generation, Prompt
from fidelity.store.comparisons import Comparison
from fidelity.store.runs import Run
from fidelity.store.store import Store
from tests.manifests import comparison_manifest, edited, run_draft

HOSTILE = ["../x", "a/b", "/etc/x", "..", ".", "", "a\0b", "a\nb", "a\\b", "a" * 256, "é" * 128, "\u202ex", "\ud800"]
PROMPTS = (Prompt("a", "A?"), Prompt("b", "B?"))
ANSWERS = (Generation("a", "one", (1,), (-0.5,)), Generation("b", "two", (2,), (-0.5,)))


@pytest.fixture
def run(tmp_path):
    with Store(tmp_path / "store").writing("base", "0123456789abcdef") as writer:
        writer.add_chunk(0, PROMPTS, ANSWERS)
        return writer.complete(PROMPTS, run_draft("base", digest="0123456789abcdef"))


@pytest.fixture
def exported(run, tmp_path):
    baselines.export([run], tmp_path / "exported")
    return tmp_path / "exported"


def everything(folder):
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_name_becomes_no_path(name, tmp_path):
    with pytest.raises(ValueError, match="can't be the name of a file"):
        plain_name(name)
    with pytest.raises(StoreError, match="can't be the name of a file"):
        inside(tmp_path, "runs", name)


@pytest.mark.parametrize("name", ["base-0123", "..x", "-x", "with space", "ünï-文字", "[a-z]*", "a" * 255])
def test_other_names_do(name, tmp_path):
    assert inside(tmp_path, "runs", name) == tmp_path / "runs" / name


def test_a_link_may_point_within_the_root_and_nowhere_else(tmp_path):
    root, other = tmp_path / "root", tmp_path / "other"
    for folder in (root / "real", other):
        folder.mkdir(parents=True)
    (root / "near").symlink_to(root / "real")
    (root / "far").symlink_to(other)
    (root / "loop").symlink_to(root / "loop")
    assert inside(root, "near", "x") == root / "near" / "x"
    for name in ("far", "loop"):
        with pytest.raises(StoreError, match="a symbolic link that leads out of"):
            inside(root, name, "x")
    (tmp_path / "link").symlink_to(root)
    assert inside(tmp_path / "link", "real")  # the root itself may be anywhere


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("key", ["baseline", "candidate", "controls", "own_controls"])
def test_a_comparison_names_folders_of_its_store_only(run, tmp_path, key, name):
    comparison = Store(tmp_path / "store").comparison(run, run, comparison_manifest(run, run), "ab" * 32)
    value = [name] if key.endswith("controls") else name
    edited(comparison.path / "manifest.json", lambda m: {**m, key: value})
    with pytest.raises(StoreError, match=f"'{key}.*(can't be the name of a file|valid string|valid unicode)"):
        _ = Comparison(comparison.path).manifest


@pytest.mark.parametrize("name", ["../../../escaped", "/tmp/escaped", "..", "x/y"])
def test_an_exported_run_is_written_into_the_store_only(exported, tmp_path, name):
    edited(exported / "baseline.json", lambda i: {**i, "runs": [{**i["runs"][0], "name": name}]})
    before = everything(tmp_path)
    with pytest.raises(StoreError, match="can't be the name of a file"):
        baselines.adopt(exported, Store(tmp_path / "deep" / "other"))
    assert everything(tmp_path) == before


@pytest.mark.parametrize("name", ["../victim.txt", "answers/../../victim.txt", "a/b/c", "{folder}/victim.txt"])
def test_promoting_a_baseline_deletes_nothing_outside(run, exported, tmp_path, name):
    victim = tmp_path / "victim.txt"
    victim.write_text("precious")
    name = name.format(folder=tmp_path)
    edited(exported / "baseline.json", lambda i: {**i, "files": {**i["files"], name: "0"}})
    for refused in (
        lambda: baselines.export([run], exported, replace=True),
        lambda: baselines.adopt(exported, Store(tmp_path / "other")),
    ):
        with pytest.raises(StoreError, match=r"baseline\.json: damaged"):
            refused()
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("place", ["answers", "answers/base.jsonl", "prompts.jsonl"])
def test_an_exported_file_is_no_link_to_elsewhere(run, exported, tmp_path, place):
    shutil.move(exported / place, tmp_path / "elsewhere")
    (exported / place).symlink_to(tmp_path / "elsewhere")
    before = everything(tmp_path)
    for refused in (
        lambda: baselines.export([run], exported),
        lambda: baselines.adopt(exported, Store(tmp_path / "other")),
    ):
        with pytest.raises(StoreError, match="a symbolic link that leads out of"):
            refused()
    assert everything(tmp_path) == before


@pytest.mark.parametrize(
    "answers",
    [
        b'{"id": "a"}\n{"id": "b"}\n',
        b'{"id": "a", "text": "x"}\n',
        b'{"id": "a", "text": 7}\n{"id": "b", "text": "x"}\n',
        b'{"text": "x"}\n{"id": "b", "text": "x"}\n',
        b'{"id": "stranger", "text": "x"}\n{"id": "b", "text": "x"}\n',
        b'{"id": "a", "text": "\\ud800"}\n{"id": "b", "text": "x"}\n',
        b'{"id": "a", "text": "x", "repeat": -1e99}\n{"id": "b", "text": "x"}\n',
    ],
)
def test_answers_that_no_export_wrote_are_refused_in_words(exported, tmp_path, answers):
    file = exported / "answers" / "base.jsonl"
    file.write_bytes(answers)
    digest = baselines.files._hash(file)
    edited(exported / "baseline.json", lambda i: {**i, "files": {**i["files"], "answers/base.jsonl": digest}})
    with pytest.raises(StoreError):
        baselines.adopt(exported, Store(tmp_path / "other"))


def test_a_stored_run_brings_its_own_files_and_no_links(run, tmp_path):
    (tmp_path / "secret.txt").write_text("SECRET")
    (run.path / "notes").symlink_to(tmp_path / "secret.txt")
    (run.path / "loop").symlink_to(run.path)
    (run.path / "engine.log").write_text("loaded\n")
    adopted = Store(tmp_path / "other").adopt(run)
    assert sorted(file.name for file in adopted.path.iterdir()) == [
        "engine.log", "generations.parquet", "manifest.json"
    ]  # fmt: skip
    (run.path / "engine.log").unlink()
    (run.path / "engine.log").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(StoreError, match="a symbolic link that leads out of"):
        Store(tmp_path / "third").adopt(run)


def test_links_out_of_a_store_are_named_and_never_followed(run, tmp_path):
    store, other = Store(tmp_path / "store"), tmp_path / "other"
    shutil.copytree(run.path, other / "runs" / "stranger-0123")
    (store.root / "runs" / "stranger-0123").symlink_to(other / "runs" / "stranger-0123")
    (store.root / "runs" / "root").symlink_to("/")
    assert [one.id for one in store.runs()] == [run.id]
    assert sorted(store.damaged()) == ["runs/root", "runs/stranger-0123"]
    comparison = store.comparison(run, run, comparison_manifest(run, run, controls=[]), "cd" * 32)
    edited(comparison.path / "manifest.json", lambda m: {**m, "candidate": "stranger-0123"})
    with pytest.raises(StoreError, match="a symbolic link that leads out of"):
        load_comparison(comparison.path)
    assert json.loads((comparison.path / "manifest.json").read_text())["candidate"] == "stranger-0123"
    assert Run(store.root / "runs" / "stranger-0123").name == "base"  # whoever names it means it


def test_a_store_may_have_a_name_that_is_not_utf8(fake_vllm, workspace, fidelity):
    workspace.prompts("one", "two", "three")
    base = workspace.baseline(metrics=["identical", {"kind": "tokens", "profile": True}])
    quant = workspace.run("int8", engine={"kind": "vllm", "options": {"quantization": "compressed-tensors"}})
    root, other = workspace.folder / "\udcff-store", workspace.folder / "store"
    reports = [f"--{kind}={workspace.folder / kind}" for kind in ("html", "json", "junit", "markdown")]
    for store in (root, other):
        code, _, err = fidelity("compare", base, quant, "--store", store, *reports)
        assert code == 0, err
    columns = [next((store / "comparisons").glob("*/tokens-*.parquet")) for store in (root, other)]
    assert read_parquet(columns[0]).equals(read_parquet(columns[1]))
    assert fidelity("list", "--json", "--store", root)[0] == 0
    code, out, _ = fidelity("store", "check", "--store", root)
    assert code == 0
    assert "U+DCFF" in out
