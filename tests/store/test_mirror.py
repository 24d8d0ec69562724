"""A store at a URL: one command at a time works on it, in a folder whose changes are in S3 (moto's server) soon."""

import json
import shutil
import threading
import time
from pathlib import Path

import pytest

from fidelity.errors import StoreError
from fidelity.store import claims, mirror
from fidelity.store.claims import StoreClaim
from fidelity.store.copying import copy_store
from fidelity.store.mirror import working_folder
from fidelity.store.places import FolderPlace, UrlPlace
from fidelity.store.store import Store
from tests.store.whole_store import make_store, make_unfinished


@pytest.fixture
def place(bucket):
    return UrlPlace(bucket)


@pytest.fixture
def quick(monkeypatch):
    """Signs of life follow each other at once."""
    monkeypatch.setattr(mirror, "LIFE_SIGN_S", 0.05)
    monkeypatch.setattr(claims, "LOOK_S", 0.05)
    monkeypatch.setattr(claims, "EXPIRES_S", 2.0)


def silent(text):
    raise AssertionError(text)


def work(place, action):
    with working_folder(place, on_message=silent) as folder:
        action(folder)


def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_folder_has_the_store_and_its_changes_are_sent(place, tmp_path):
    copy_store(FolderPlace(make_store(tmp_path / "store").root), place)
    with working_folder(place, on_message=silent) as folder:
        assert [run.name for run in Store(folder).runs()] == ["base", "quant"]
        make_unfinished(Store(folder))
    assert not folder.exists()
    assert place.folders("runs").keys() == {"base-aaaaaaaa", "quant-bbbbbbbb", "killed-dddddddd"}
    assert not place.fs.find(place.path(claims.CLAIMS))


def test_answers_are_there_before_the_command_ends(place, quick):
    """After the loss of the machine another one continues."""
    with working_folder(place, on_message=silent) as folder:
        writer = make_unfinished(Store(folder))
        until(lambda: "answers-00001.jsonl" in place.folders("runs").get("killed-dddddddd", {}))
        journal = writer.path / "answers-00001.jsonl"
        with journal.open("ab") as file:
            file.write(b"\n")
        size = journal.stat().st_size
        until(lambda: place.folders("runs")["killed-dddddddd"]["answers-00001.jsonl"] == size)


def test_a_finished_run_has_no_journals_there(place, quick):
    with working_folder(place, on_message=silent) as folder:
        journal = folder / "runs" / "base-aaaaaaaa" / "answers-00000.jsonl"
        journal.parent.mkdir(parents=True)
        journal.write_bytes(b"")
        until(lambda: "base-aaaaaaaa" in place.folders("runs"))
        make_store(folder)
    assert place.folders("runs")["base-aaaaaaaa"].keys() == {"generations.parquet", "manifest.json"}


def test_a_command_that_fails_has_sent_what_it_had(place):
    def interrupted(folder):
        make_unfinished(Store(folder))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(place, interrupted)
    assert "killed-dddddddd" in place.folders("runs")


def test_the_second_command_waits_for_the_first(place, quick):
    order, messages = [], []

    def second():
        with working_folder(place, on_message=messages.append) as folder:
            order.append(f"second finds {len(Store(folder).runs())}")

    thread = threading.Thread(target=second)
    with working_folder(place, on_message=silent) as folder:
        thread.start()
        until(lambda: messages)
        make_store(folder)
        time.sleep(3.0)  # longer than a claim lasts without signs of life
        order.append("first ends")
    thread.join(20)
    assert order == ["first ends", "second finds 2"]
    assert "is using it; waiting" in messages[0]


def test_a_dead_commands_claim_expires(place, quick):
    StoreClaim(place).take()
    with working_folder(place, on_message=lambda text: None) as folder:
        make_store(folder)
    assert len(place.folders("runs")) == 2
    assert not place.fs.find(place.path(claims.CLAIMS))


def test_only_one_of_many_takes_over(place, quick):
    StoreClaim(place).take()
    holders, most = [], []

    def work():
        claim = StoreClaim(place)
        claim.take()
        holders.append(claim)
        most.append(len(holders))
        for _ in range(3):
            claim.show_life()
            time.sleep(0.05)
        holders.remove(claim)
        claim.release()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == [1, 1, 1, 1]


def test_a_command_that_was_taken_over_sends_nothing(place, quick, monkeypatch):
    """It was suspended, say, and would overwrite what the other one has written since."""
    monkeypatch.setattr(mirror, "LIFE_SIGN_S", 60.0)
    folders = []

    def suspended(folder):
        folders.append(folder)
        make_store(folder)
        StoreClaim(place).take()

    with pytest.raises(StoreError, match="taken it over") as raised:
        work(place, suspended)
    assert not place.folders("runs")
    assert [run.name for run in Store(*folders).runs()] == ["base", "quant"]
    assert f"fidelity store copy {folders[0]} {place}" in str(raised.value)
    shutil.rmtree(*folders)


def test_results_remain_where_the_url_is_lost(place):
    folders = []

    def lost(folder):
        folders.append(folder)
        make_store(folder)
        place.fs.rm(place.root.partition("/")[0], recursive=True)

    with pytest.raises(StoreError, match="what isn't there is in"):
        work(place, lost)
    assert [run.name for run in Store(*folders).runs()] == ["base", "quant"]
    shutil.rmtree(*folders)


def test_compare_at_a_url(fidelity, bucket, workspace):
    rows = [{"id": f"p{n}", "prompt": f"Count to {n}.", "text": f"one two {n}"} for n in range(4)]
    for name in ("base", "quant"):
        workspace.file(f"{name}.jsonl", "\n".join(map(json.dumps, rows)))
    command = ("compare", "base.jsonl", "quant.jsonl", "--control", "none", "--metric", "identical", "--store", bucket)
    code, _, error = fidelity(*command)
    assert code == 0, error
    assert f"the store is at {bucket}" in error
    first = UrlPlace(bucket).folders("comparisons")
    assert fidelity(*command)[0] == 0
    assert UrlPlace(bucket).folders("comparisons") == first
    assert not Path("fidelity-store").exists()
    code, _, error = fidelity("list", "--store", bucket)
    assert code == 2
    assert f"fidelity store copy {bucket} DIR" in error
    assert fidelity("store", "copy", bucket, "here")[0] == 0
    assert "quant" in fidelity("list", "--store", "here")[1]
