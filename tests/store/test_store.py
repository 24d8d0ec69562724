import errno
import json
import threading

import pytest

from fidelity.errors import StoreError
from fidelity.records import Column, Failure, Generation, Message, Prompt
from fidelity.store.manifests import ResponseCounts, RunManifest
from fidelity.store.record_files import SCHEMA_VERSION
from fidelity.store.runs import Run, RunWriter
from fidelity.store.store import Store
from fidelity.store.studies import Cell, StudyManifest, write_study
from tests.manifests import comparison_manifest, run_draft

PROMPTS = (Prompt("a", "α?", "greek"), Prompt("b", (Message("system", "s"), Message("user", "u"))), Prompt("c", "c"))
OUTCOMES = (
    Generation("a", "answer\x00 ", (1, 2), (-0.5, -0.25), "stop"),
    Failure("b", "too long"),
    Generation("c", ""),
)
DIGEST = "0123456789abcdef"


def never():
    raise AssertionError("nobody else is writing")


def write_run(store, name="run", outcomes=OUTCOMES):
    with store.writing(name, DIGEST, on_wait=never) as writer:
        writer.add_chunk(1, PROMPTS[2:], outcomes[2:])
        writer.add_chunk(0, PROMPTS[:2], outcomes[:2])
        return writer.complete(PROMPTS, run_draft(name, digest=DIGEST))


def test_a_run_comes_back_as_it_was_in_the_prompts_order(tmp_path):
    run = write_run(Store(tmp_path))
    assert run.prompts() == PROMPTS
    assert tuple(run.outcomes()) == OUTCOMES
    assert run.manifest.counts == ResponseCounts(prompts=3, generations=2, failures=1, tokens=2)
    assert [file.name for file in sorted(run.path.iterdir())] == [".lock", "generations.parquet", "manifest.json"]


def test_a_run_is_absent_until_its_manifest_is_there(tmp_path):
    store = Store(tmp_path)
    with store.writing("run", DIGEST, on_wait=never) as writer:
        writer.add_chunk(0, PROMPTS[:2], OUTCOMES[:2])
        assert store.run("run", DIGEST) is None
    assert store.runs() == []
    with store.writing("run", DIGEST, on_wait=never) as writer:
        assert isinstance(writer, RunWriter)
        assert writer.finished == {0}


def test_a_finished_run_is_not_written_again(tmp_path):
    store = Store(tmp_path)
    run = write_run(store)
    with store.writing("run", DIGEST, on_wait=never) as finished:
        assert finished == run


def test_waiting_for_another_command_is_reported(tmp_path):
    store, waiting = Store(tmp_path), threading.Event()
    finished = []

    def second():
        with store.writing("run", DIGEST, on_wait=waiting.set) as run:
            finished.append(run)

    with store.writing("run", DIGEST, on_wait=never) as writer:
        other = threading.Thread(target=second)
        other.start()
        assert waiting.wait(10)
        writer.add_chunk(0, PROMPTS, OUTCOMES)
        run = writer.complete(PROMPTS, run_draft("run", digest=DIGEST))
    other.join(10)
    assert finished == [run]


def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch):
    store = Store(tmp_path)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    import pyarrow.parquet

    with store.writing("run", DIGEST, on_wait=never) as writer:
        writer.add_chunk(0, PROMPTS[:2], OUTCOMES[:2])
        monkeypatch.setattr(pyarrow.parquet.ParquetWriter, "write_table", full)
        with pytest.raises(StoreError, match=r"No space left on device.*finished chunks are saved"):
            writer.add_chunk(1, PROMPTS[2:], OUTCOMES[2:])
        assert writer.finished == {0}
        assert [file.name for file in writer.path.iterdir() if "draft" in file.name] == []


def test_damage_is_named_with_what_to_do(tmp_path):
    run = write_run(Store(tmp_path))
    (run.path / "generations.parquet").write_bytes(b"PAR1")
    with pytest.raises(StoreError, match=r"generations\.parquet: can't be read .*delete the folder run-01234567"):
        Run(run.path).outcomes()
    (run.path / "manifest.json").write_text("{")
    with pytest.raises(StoreError, match=r"manifest\.json: damaged"):
        _ = Run(run.path).manifest


def test_a_newer_schema_is_refused(tmp_path):
    run = write_run(Store(tmp_path))
    (run.path / "manifest.json").write_text(json.dumps({"schema_version": 99}))
    with pytest.raises(StoreError, match="schema version 99, but this version of fidelity reads 1"):
        _ = Run(run.path).manifest


class TestComparison:
    COLUMNS = (
        Column.of("m", (1.0, "candidate", 0.25)),
        Column.of(
            "ratio", (2.0, "pair", 1.0), weights=(3.0, None, 1.0), better="neither", summary="median", bounds=None
        ),
        Column("whole", (1.0, 0.0, 0.5)),
    )

    def comparison(self, tmp_path):
        store = Store(tmp_path)
        run = write_run(store)
        return store.comparison(run, run, comparison_manifest(run, run, prompt_ids=("a", "b", "c")), DIGEST)

    def test_columns_come_back_as_they_were(self, tmp_path):
        comparison = self.comparison(tmp_path)
        assert comparison.columns("m|v:1") is None
        comparison.add_columns("m|v:1", self.COLUMNS)
        assert comparison.columns("m|v:1") == self.COLUMNS
        assert comparison.columns("m|v:2") is None

    def test_an_unscored_pair_without_its_side_is_refused(self, tmp_path):
        with pytest.raises(StoreError, match="'m' has unscored pairs without the side that prevents scoring"):
            self.comparison(tmp_path).add_columns("m", [Column("m", (None, 1.0, 1.0))])

    def test_nan_is_refused(self, tmp_path):
        with pytest.raises(StoreError, match="'m' holds NaN"):
            self.comparison(tmp_path).add_columns("m", [Column("m", (float("nan"), 1.0, 1.0))])


def test_a_run_of_another_store_is_taken_in(tmp_path):
    run = write_run(Store(tmp_path / "there"))
    here = Store(tmp_path / "here")
    assert here.adopt(run).outcomes() == list(OUTCOMES)
    assert here.adopt(run) == here.runs()[0]


def test_the_schema_is_written_into_every_manifest(tmp_path):
    run = write_run(Store(tmp_path))
    written = json.loads((run.path / "manifest.json").read_text())
    assert written.pop("schema_version") == SCHEMA_VERSION
    assert len(written.pop("seal")) == 64
    assert written.keys() == RunManifest.model_fields.keys()


class TestDamage:
    """One damaged directory never takes the listing or the dashboard down: it is listed, with the reason."""

    @pytest.fixture
    def store(self, tmp_path):
        store = Store(tmp_path / "store")
        runs = [write_run(store, name) for name in ("broken", "whole")]
        for number, run in enumerate(runs):
            store.comparison(runs[1], run, comparison_manifest(runs[1], run, prompt_ids=["a"]), f"{number:08x}")
        cell = {"family": "f", "baseline": "whole", "candidate": "broken", "format": "BF16", "parameters": None}
        for name in ("broken", "whole"):
            write_study(store.root, StudyManifest(name=name, cells=[Cell(**cell)], gate=None))
        return store

    @pytest.mark.parametrize("folder", ["runs", "comparisons", "studies"])
    @pytest.mark.parametrize(
        ("damage", "reason"),
        [
            (lambda text: "", "damaged ("),
            (lambda text: text[: len(text) // 2], "damaged ("),
            (lambda text: "[" * 100_000, "damaged ("),
            (lambda text: json.dumps({**json.loads(text), "surprise": 1}), "unknown key 'surprise'"),
            (lambda text: '{"schema_version": 2}', "is missing"),
            (lambda text: '{"schema_version": 99}', "has schema version 99"),
        ],
    )
    def test_a_manifest(self, fidelity, store, folder, damage, reason):
        [path] = (store.root / folder).glob("*broken*")
        file = path / "manifest.json"
        file.write_text(damage(file.read_text()))
        assert {place: reason in why for place, why in store.damaged().items()} == {f"{folder}/{path.name}": True}
        self.check_listing(fidelity, store, f"{folder}/{path.name}")

    def test_a_file_that_cannot_be_read(self, fidelity, store):
        [path] = (store.root / "runs").glob("broken*")
        (path / "manifest.json").unlink()
        (path / "manifest.json").mkdir()
        assert list(store.damaged()) == [f"runs/{path.name}"]
        self.check_listing(fidelity, store, f"runs/{path.name}")

    def test_the_generations_are_gone(self, fidelity, store):
        [path] = (store.root / "runs").glob("broken*")
        (path / "generations.parquet").unlink()
        assert "generations.parquet is missing" in store.damaged()[f"runs/{path.name}"]
        self.check_listing(fidelity, store, f"runs/{path.name}")

    def check_listing(self, fidelity, store, damaged):
        code, out, _ = fidelity("list", "--store", store.root)
        assert code == 0
        rows = {line.partition("│")[0].strip() for line in out.splitlines()}
        whole = {f"{kind}/{path.name}" for kind in ("runs", "comparisons") for path in (store.root / kind).iterdir()}
        assert rows >= {place.partition("/")[2] for place in whole if place != damaged} | {damaged}
