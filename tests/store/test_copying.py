"""`fidelity store copy`: to S3 (moto's server) and back, with every file; nothing is copied twice or replaced."""

import shutil

import pytest

from fidelity.errors import MissingPackageError, StoreError
from fidelity.files import locked
from fidelity.store.copying import copy_store
from fidelity.store.inventory import check
from fidelity.store.places import UrlPlace, place_of
from fidelity.store.record_files import MANIFEST
from fidelity.store.store import Store
from tests.store.whole_store import make_store, make_unfinished

FOLDERS = 9
"""Of `make_store`: two runs, a head, two scores, a measurement, a comparison, votes, a study."""


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path / "store").root


def contents(folder):
    files = (file for kind in folder.iterdir() if kind.is_dir() for file in kind.glob("*/*"))
    return {
        str(file.relative_to(folder)): file.read_bytes() for file in files if file.name != ".lock" and file.is_file()
    }


def copied(source, target, **keys):
    return copy_store(place_of(str(source)), place_of(str(target)), **keys)


def test_to_s3_and_back(store, bucket, tmp_path):
    sent = copied(store, bucket)
    assert (len(sent.copied), sent.unchanged, sent.another, sent.damages) == (FOLDERS, 0, (), ())
    received = copied(bucket, tmp_path / "back")
    assert len(received.copied) == FOLDERS
    expected = {name: data for name, data in contents(store).items() if not name.startswith("embeddings")}
    assert contents(tmp_path / "back") == expected
    assert not check(Store(tmp_path / "back")).damages


def test_what_is_there_is_not_copied_again(store, bucket):
    copied(store, bucket)
    again = copied(store, bucket)
    assert (again.copied, again.unchanged) == ((), FOLDERS)


def test_a_killed_copy_is_continued(store, bucket, monkeypatch):
    class Killed(BaseException): ...

    def killed(folder):
        if folder.startswith("scores"):
            raise Killed

    with pytest.raises(Killed):
        copied(store, bucket, on_copied=killed)
    rest = copied(store, bucket)
    assert (len(rest.copied), rest.unchanged) == (FOLDERS - 4, 4)


def test_a_folder_without_its_manifest_is_copied_again(store, bucket, tmp_path):
    """A copy that was killed in the middle of a folder hasn't written its manifest."""
    copied(store, bucket)
    place = UrlPlace(bucket)
    place.remove("runs", "base-aaaaaaaa", [MANIFEST])
    place.fs.pipe_file(place.path("runs", "base-aaaaaaaa", "generations.parquet"), b"half")
    assert copied(store, bucket).copied == ("runs/base-aaaaaaaa",)
    copied(bucket, tmp_path / "back")
    assert not check(Store(tmp_path / "back")).damages


def test_another_run_is_not_replaced(store, bucket):
    """Comparisons at the target were made of its own answers."""
    copied(store, bucket)
    place = UrlPlace(bucket)
    path = place.path("runs", "base-aaaaaaaa", MANIFEST)
    place.fs.pipe_file(path, b"{}")
    assert copied(store, bucket).another == ("runs/base-aaaaaaaa",)
    assert place.fs.cat_file(path) == b"{}"
    assert copied(store, bucket, replace=True).copied == ("runs/base-aaaaaaaa",)
    assert place.fs.cat_file(path) == (store / "runs" / "base-aaaaaaaa" / MANIFEST).read_bytes()


def test_what_is_damaged_is_not_sent(store, bucket):
    with (store / "runs" / "base-aaaaaaaa" / "generations.parquet").open("ab") as file:
        file.write(b"x")
    result = copied(store, bucket)
    assert "runs/base-aaaaaaaa" not in result.copied
    assert [damage.path.name for damage in result.damages] == ["base-aaaaaaaa"]
    assert "base-aaaaaaaa" not in UrlPlace(bucket).folders("runs")


def test_what_was_damaged_at_the_url_is_named(store, bucket, tmp_path):
    copied(store, bucket)
    place = UrlPlace(bucket)
    path = place.path("runs", "base-aaaaaaaa", "generations.parquet")
    place.fs.pipe_file(path, place.fs.cat_file(path)[:-1] + b"x")
    (first, *_) = copied(bucket, tmp_path / "back").damages
    assert first.path.name == "base-aaaaaaaa"


def test_unfinished_runs_are_copied(store, bucket, tmp_path):
    make_unfinished(Store(store))
    copied(store, bucket)
    copied(bucket, tmp_path / "back")
    names = {name for name in contents(store) if not name.startswith("embeddings")}
    assert contents(tmp_path / "back").keys() == names
    assert any(name.endswith(".jsonl") for name in names)


def test_the_journals_of_a_run_that_is_finished_now_are_removed(store, bucket):
    copied(store, bucket)
    place = UrlPlace(bucket)
    place.fs.pipe_file(place.path("runs", "base-aaaaaaaa", "answers-00000.jsonl"), b"")
    place.remove("runs", "base-aaaaaaaa", [MANIFEST])
    copied(store, bucket)
    assert place.folders("runs")["base-aaaaaaaa"].keys() == {"generations.parquet", MANIFEST}


def test_a_run_that_another_command_writes_is_not_sent(store, bucket):
    with locked(store / "runs" / "base-aaaaaaaa"):
        assert copied(store, bucket).in_use == ("runs/base-aaaaaaaa",)


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_to_another_folder(store, tmp_path, scheme):
    assert len(copied(store, f"{scheme}{tmp_path / 'nfs'}").copied) == FOLDERS
    assert not check(Store(tmp_path / "nfs")).damages


def test_links_that_lead_out_of_the_store_are_not_followed(store, tmp_path, bucket):
    (tmp_path / "secret").write_text("secret")
    (store / "runs" / "base-aaaaaaaa" / "key.txt").symlink_to(tmp_path / "secret")
    (tmp_path / "outside").mkdir()
    (store / "runs" / "leads-out").symlink_to(tmp_path / "outside")
    copied(store, bucket)
    runs = UrlPlace(bucket).folders("runs")
    assert runs.keys() == {"base-aaaaaaaa", "quant-bbbbbbbb"}
    assert "key.txt" not in runs["base-aaaaaaaa"]


def test_names_at_a_url_can_not_lead_out_of_the_folder(store, bucket, tmp_path):
    place = UrlPlace(bucket)
    place.fs.pipe_file(f"{place.root}/runs/x/..", b"x")
    place.fs.pipe_file(f"{place.root}/runs/x/a\\b", b"x")
    with pytest.raises(StoreError, match="can't be the name of a file"):
        copied(bucket, tmp_path / "back")


def test_a_bucket_that_is_not_there(store, bucket):
    with pytest.raises(StoreError, match="s3://no-such-bucket/x: can't be"):
        copied(store, "s3://no-such-bucket/x")


def test_an_unknown_kind_of_url():
    with pytest.raises(StoreError, match="Protocol not known: nonsense"):
        place_of("nonsense://x")


def test_a_missing_package(monkeypatch):
    pytest.importorskip("fsspec")
    monkeypatch.setattr("fsspec.url_to_fs", lambda *_, **__: (_ for _ in ()).throw(ImportError("Install s3fs")))
    with pytest.raises(MissingPackageError, match=r"'s3fs'.*llm-fidelity\[s3\]"):
        place_of("s3://bucket/x")


def test_a_missing_package_without_an_extra(monkeypatch):
    monkeypatch.setattr("fsspec.url_to_fs", lambda *_, **__: (_ for _ in ()).throw(ImportError("Install gcsfs")))
    with pytest.raises(StoreError, match="gs://bucket/x: Install gcsfs"):
        place_of("gs://bucket/x")


def test_passwords_in_a_url_are_not_shown(fidelity):
    url = "memory://user:hunter2hunter2@host/x"
    assert "hunter2" not in str(UrlPlace(url))
    assert "hunter2" not in "".join(map(str, fidelity("list", "--store", url)))


def test_two_urls(bucket):
    with pytest.raises(StoreError, match="one of the two must be a folder"):
        copied(bucket, bucket)


def test_the_command(store, bucket, fidelity, workspace):
    code, out, _ = fidelity("store", "copy", store, bucket)
    assert (code, out.splitlines()[-1]) == (0, f"{bucket}: {FOLDERS} folders copied, 0 were there already")
    shutil.rmtree(store / "studies")
    code, out, _ = fidelity("store", "copy", bucket, store, "--quiet")
    assert (code, out) == (0, f"{store}: 1 folders copied, {FOLDERS - 1} were there already\n")
    code, _, error = fidelity("store", "copy", workspace.folder / "nothing", bucket)
    assert code == 2
    assert "no store is there" in error
    with locked(store / "runs" / "base-aaaaaaaa"):
        code, out, _ = fidelity("store", "copy", store, bucket)
    assert code == 1
    assert "runs/base-aaaaaaaa: not copied: another command is writing it" in out
