"""Two dropped files become a comparison, and no file can do anything else."""

import json

import pytest

from fidelity.dashboard import STORE, dropped_files
from fidelity.dashboard.dropped_files import KINDS, MOST_MEGABYTES, DroppedFile, compare_files
from tests.dashboard.conftest import page_text


def rows(*texts):
    return "\n".join(json.dumps({"id": f"p{n}", "text": text}) for n, text in enumerate(texts)).encode()


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv(STORE, str(tmp_path / "store"))
    return tmp_path / "store"


def test_two_files_of_one_name_and_a_control_are_compared_and_shown(root, opened):
    files = [DroppedFile("answers.jsonl", rows("It costs 5 euros.", last)) for last in ("a b c", "a b d", "a b c")]
    id_, problem = compare_files(root, *files)
    assert problem == ""
    assert (root / "comparisons" / id_ / "manifest.json").is_file()
    assert "answers-candidate" in id_
    assert "rougeL" in page_text(opened(root, "comparison", comparison=id_))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "answers-candidate.jsonl"),
        (b"\0" * 1000, "answers-candidate.jsonl"),
        (b"[" * 200_000, "answers-candidate.jsonl"),
        (b'{"id": "p0"}', "text"),
        (b'{"id": "p0", "text": "x"}\n{"id": "p0", "text": "y"}', "p0"),
    ],
    ids=["empty", "binary", "nested", "no text", "twice"],
)
def test_what_is_wrong_with_a_file_is_one_sentence(root, content, reason):
    id_, problem = compare_files(
        root, DroppedFile("answers.jsonl", rows("a", "b")), DroppedFile("answers.jsonl", content)
    )
    assert id_ == ""
    assert reason in problem
    assert "Traceback" not in problem
    assert "fidelity-drop" not in problem


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd.jsonl",
        "..\\..\\x.jsonl",
        ".hidden.jsonl",
        "-rf.csv",
        "a\0b.jsonl",
        "x" * 5000,
        "",
        "ü/ß.json",
    ],
)
def test_no_name_leads_anywhere(name):
    file = DroppedFile(name, b"")
    assert "/" not in file.run_name
    assert "\\" not in file.run_name
    assert "\0" not in file.run_name
    assert not file.run_name.startswith((".", "-"))
    assert 0 < len(file.run_name) <= 100
    assert file.kind in ("jsonl", "json", "csv")


def test_the_page_has_places_for_the_files_and_is_always_there(opened, recorded):
    app = opened(recorded, "start")
    assert len(app.get("file_uploader")) == 3
    assert app.button(key="compare-dropped").disabled


def test_a_file_beyond_the_limit_is_refused_by_the_upload(opened, recorded):
    uploads = opened(recorded, "start").get("file_uploader")
    assert [one.proto.max_upload_size_mb for one in uploads] == [MOST_MEGABYTES] * 3
    assert {kind for one in uploads for kind in one.proto.type} == {f".{kind}" for kind in KINDS}


def test_scoring_that_takes_too_long_is_ended_and_said(root, monkeypatch):
    monkeypatch.setattr(dropped_files, "LONGEST", 0.01)
    file = DroppedFile("answers.jsonl", rows("a", "b"))
    assert compare_files(root, file, file) == (
        "",
        "It took longer than 0.01 seconds; use fidelity compare in a terminal.",
    )


def test_scoring_that_takes_too_much_memory_is_ended_and_said(root, monkeypatch):
    monkeypatch.setattr(dropped_files, "MOST_MEMORY", 200 * 2**20)
    file = DroppedFile("answers.jsonl", rows("a", "b"))
    id_, problem = compare_files(root, file, file)
    assert id_ == ""
    assert problem
