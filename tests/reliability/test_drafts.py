"""Drafts have names of their own, in containers with equal process ids too, and none stays behind."""

import json
import os
import subprocess
import sys
import threading

import pytest

from fidelity.checkpoints import content_id
from fidelity.errors import StoreError
from fidelity.files import locked, scratch_file, whole_file
from fidelity.store.store import Store
from tests.conftest import ROOT


def test_two_drafts_of_one_file_have_two_names(tmp_path):
    with whole_file(tmp_path / "x") as one, whole_file(tmp_path / "x") as two:
        assert one != two
        one.write_text("1")
        two.write_text("2")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["x"]


def test_what_a_killed_command_left_is_removed_and_what_is_being_written_stays(tmp_path):
    (tmp_path / ".chunk.parquet.4711.draft").write_text("left")
    with whole_file(tmp_path / "y") as draft:
        draft.write_text("whole")
        with locked(tmp_path):
            assert [file.name for file in tmp_path.glob(".*.draft")] == [draft.name]
    assert (tmp_path / "y").read_text() == "whole"


def test_a_scratch_file_of_a_killed_process_is_removed_by_the_next_one(tmp_path, monkeypatch):
    """Each engine of a killed Ray actor left a folder in /tmp."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    killed = "import os; from fidelity.files import scratch_file\nwith scratch_file('engine.log') as f: os._exit(9)"
    assert subprocess.run([sys.executable, "-c", killed], check=False).returncode == 9
    (left,) = tmp_path.iterdir()
    (tmp_path / ".other.draft").touch()
    with scratch_file("engine.log") as first, scratch_file("engine.log") as second:
        assert sorted(tmp_path.iterdir()) == sorted([first, second, tmp_path / ".other.draft"])
        assert left not in (first, second)
        assert first.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == [".other.draft"]


@pytest.mark.parametrize("replaced", [False, True])
def test_weights_of_the_same_size_and_time_are_read_again(tmp_path, replaced):
    model, remembered = tmp_path / "model", tmp_path / "hashes.json"
    model.mkdir()
    weights = model / "weights.txt"
    weights.write_bytes(b"A" * 1000)
    before, times = content_id(model, remembered), weights.stat()
    if replaced:
        (tmp_path / "new").write_bytes(b"B" * 1000)
        (tmp_path / "new").replace(weights)
    else:
        weights.write_bytes(b"B" * 1000)
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert content_id(model, remembered) != before
    assert json.loads(remembered.read_text())


def test_a_sweep_never_takes_a_draft_from_the_command_that_writes_it(tmp_path):
    """Created, locked, written, flushed and renamed: another command sweeps at every moment of it."""
    ended, failed = threading.Event(), []

    def sweep():
        while not ended.is_set():
            with locked(tmp_path):
                pass

    def write(name):
        try:
            for number in range(150):
                with whole_file(tmp_path / name) as draft:
                    draft.write_text(f"{number}")
        except StoreError as error:
            failed.append(error)

    sweepers = [threading.Thread(target=sweep) for _ in range(2)]
    writers = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in (*sweepers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    ended.set()
    for thread in sweepers:
        thread.join()
    assert failed == []
    assert sorted(file.name for file in tmp_path.iterdir()) == [".lock", "a", "b"]


@pytest.mark.parametrize("rounds", [1, pytest.param(50, marks=pytest.mark.slow)])
def test_commands_that_share_a_store_leave_what_a_serial_run_leaves(rounds):
    """Two and four commands, in one PID namespace and, where that may be, in one each."""
    script = [sys.executable, ROOT / "benchmarks" / "shared_store.py", "--rounds", str(rounds), "--size", "12"]
    ended = subprocess.run(script, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"4 commands, one PID namespace: {rounds} rounds, 0 differ" in ended.stdout


def test_a_command_sweeps_the_whole_store(tmp_path):
    drafts = [tmp_path / "measurements" / "base-0" / ".manifest.json.0.draft", tmp_path / ".hashes.json.1.draft"]
    for draft in drafts:
        draft.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text("left")
    Store(tmp_path).sweep()
    assert not any(draft.exists() for draft in drafts)
