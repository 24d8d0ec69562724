"""Drafts have names of their own, in containers with equal process ids too, and none stays behind."""

import json
import os

import pytest

from fidelity.checkpoints import content_id
from fidelity.files import locked, whole_file


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
