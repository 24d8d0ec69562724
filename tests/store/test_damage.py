"""A store that was broken from outside: what is damaged is named with file and reason, and the rest is there."""

import json
import os
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fidelity.comparison.stored import load_comparison
from fidelity.dashboard.catalog import read_shelf
from fidelity.errors import StoreError
from fidelity.store.runs import Run
from fidelity.store.store import Store
from fidelity.store.token_scores import scores_of
from tests.conftest import ROOT

OLD = ROOT / "tests" / "fixtures" / "store-v1" / "store"
COMPARISON = "base--int8-0f9322b6"
PLACES = {
    "runs": "int8-a4ba6184",
    "comparisons": COMPARISON,
    "studies": "towns",
    "measurements": "int8-a4ba6184",
    "scores": "int8-on-base-08811af4",
}


@pytest.fixture
def store(tmp_path):
    return Store(shutil.copytree(OLD, tmp_path / "store"))


def edited(**changes):
    """A manifest with other values of some keys; `...` takes the key away."""

    def edit(file):
        data = {**json.loads(file.read_text()), **changes}
        data.pop("seal", None)
        file.write_text(json.dumps({key: value for key, value in data.items() if value is not ...}))

    return edit


def written(content):
    return lambda file: file.write_bytes(content)


def replaced(make):
    def replace(file):
        file.unlink()
        make(file)

    return replace


EVERYWHERE = {
    "empty": (written(b""), "Expecting value"),
    "half of it": (lambda file: file.write_text(file.read_text()[: file.stat().st_size // 2]), "damaged ("),
    "null": (written(b"null"), "'schema_version' is missing"),
    "a list": (written(b"[]"), "'schema_version' is missing"),
    "an unknown key": (edited(surprise=1), "unknown key 'surprise'"),
    "invalid UTF-8": (written(b'{"schema_version": 2, "name": "caf\xe9"}'), "can't decode byte 0xe9"),
    "nested 100,000 deep": (written(b"[" * 100_000), "nested deeper than 100 levels"),
    "a folder": (replaced(lambda file: file.mkdir()), "it is not a file"),
    "a pipe": (replaced(os.mkfifo), "it is not a file"),
    "a link to nowhere": (replaced(lambda file: file.symlink_to("nowhere")), "manifest.json is missing"),
    "a newer version": (edited(schema_version=99), "has schema version 99, but this version of fidelity reads 1 to 2"),
    "another word for 1": (edited(schema_version=True), "has schema version True"),
}
OF_A_RUN = {
    "without its last byte": (lambda file: file.write_text(file.read_text().rstrip()[:-1]), "damaged ("),
    "a number": (written(b"7"), "'schema_version' is missing"),
    "a text": (written(b'"x"'), "'schema_version' is missing"),
    "nested inside an object": (written(b'{"a":' * 100_000), "nested deeper than 100 levels"),
    "UTF-16": (lambda file: file.write_bytes(file.read_text().encode("utf-16")), "can't decode byte 0xff"),
    "a byte order mark": (lambda file: file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes()), "BOM"),
    "zeros": (written(bytes(4096)), "Expecting value"),
    "HTML": (written(b"<html><script>alert(1)</script></html>"), "Expecting value"),
    "a conflict of git": (lambda file: file.write_text(f"<<<<<<< HEAD\n{file.read_text()}"), "Expecting value"),
    "a pointer of LFS": (written(b"version https://git-lfs.github.com/spec/v1\n"), "Expecting value"),
    "a link to itself": (replaced(lambda file: file.symlink_to(file.name)), "damaged ("),
    "without a version": (edited(schema_version=...), "'schema_version' is missing"),
    "a version with a point": (edited(schema_version=1.0), "has schema version 1.0"),
    "a version that is no number": (written(b'{"schema_version": NaN}'), "has schema version nan"),
    "a number of 5,000 digits": (written(b'{"schema_version": ' + b"9" * 5_000 + b"}"), "damaged ("),
    "without a key": (edited(counts=...), "'counts' is missing"),
    "a null": (edited(name=None), "'name': Input should be a valid string"),
    "a number for a text": (edited(digest=5), "'digest': Input should be a valid string"),
    "a list for a record": (edited(counts=[]), "'counts': Input should be"),
    "a name that leads out of the store": (
        edited(name="../../etc"),
        "can't be the name of a file",
    ),
    "a name with an escape code": (
        edited(name="a\x1b[2J"),
        "can't be the name of a file",
    ),
    "a name of five million characters": (
        edited(name="x" * 5_000_000),
        "can't be the name of a file: it has more than 255 bytes",
    ),
    "a key of a million characters": (edited(**{"x" * 1_000_000: 1}), "unknown key 'xxx"),
    "an unknown key that is an escape code": (edited(**{"\x1b[31m": 1}), r"unknown key '\x1b[31m'"),
    "20,000 unknown keys": (edited(**{f"k{n}": n for n in range(20_000)}), "19997 more"),
    "a key that is written twice": (
        lambda file: file.write_text(file.read_text().replace("{", '{"schema_version": 2,', 1)),
        "duplicate key 'schema_version'",
    ),
}
CASES = [
    *(
        pytest.param(folder, *case, id=f"{folder}: {name}")
        for folder in PLACES
        for name, case in (EVERYWHERE | (OF_A_RUN if folder == "runs" else {})).items()
    ),
    pytest.param(
        "comparisons", edited(candidate="../../etc"), "'candidate': Value error, '../../etc' can't be", id="a path"
    ),
    pytest.param(
        "comparisons", edited(controls=["../x"]), "'controls.0': Value error, '../x' can't be", id="a control's path"
    ),
    pytest.param("comparisons", edited(prompt_ids="abc"), "'prompt_ids': Input should be", id="no prompts"),
    pytest.param("studies", edited(cells=[{}]), "'cells.0.family' is missing", id="an empty cell"),
]


@pytest.mark.parametrize(("folder", "damage", "reason"), CASES)
def test_a_damaged_manifest_is_named_and_the_rest_is_there(store, folder, damage, reason):
    file = store.root / folder / PLACES[folder] / "manifest.json"
    damage(file)
    ((place, why),) = store.damaged().items()
    assert place == f"{folder}/{PLACES[folder]}"
    assert str(file.parent) in why
    assert reason in why
    assert len(why) < 1000
    assert why.isprintable()
    assert len(store.runs()) == 8 - (folder == "runs")
    assert len(store.comparisons()) == 6 - (folder == "comparisons")
    shelf = read_shelf(store.root)
    states = {entry.id: (entry.state, entry.why) for entry in shelf.entries}
    is_shown = folder in ("runs", "comparisons")
    if is_shown:
        state, why_not = states.pop(COMPARISON)
        assert state in ("damaged", "being written")
        assert why_not
    assert len(states) == 3 - is_shown
    assert {state for state, _ in states.values()} == {"readable"}
    assert len(shelf.studies) == (folder != "studies")


@pytest.mark.parametrize("folder", PLACES)
def test_the_command_lists_it(fidelity, store, folder):
    (store.root / folder / PLACES[folder] / "manifest.json").write_text('{"\\u001b[2J": 1}')
    code, out, _ = fidelity("list", "--store", store.root)
    assert code == 0
    assert f"{folder}/{PLACES[folder]}" in out
    assert "'schema_version' is missing" in " ".join(out.split())
    assert "town-fp8-7a2c100d" in out
    assert "\x1b" not in out


def test_a_manifest_that_may_not_be_read(store, monkeypatch):
    file = store.root / "runs" / PLACES["runs"] / "manifest.json"
    opened = os.open

    def refuse(path, *arguments, **options):  # the tests may run as root, who may read everything
        if path == file:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    assert "Permission denied" in store.damaged()[f"runs/{PLACES['runs']}"]
    assert len(store.runs()) == 7


@pytest.mark.parametrize("folder", PLACES)
def test_a_file_where_a_folder_is_expected(fidelity, store, folder):
    shutil.rmtree(store.root / folder)
    (store.root / folder).write_text("not a folder")
    assert store.damaged()[folder] == f"{store.root / folder}: can't be listed (Not a directory)"
    assert fidelity("list", "--store", store.root)[0] == 0
    read_shelf(store.root)


def tables(change):
    """A Parquet file after a change to its table."""

    def rewrite(file):
        pq.write_table(change(pq.read_table(file)), file)

    return rewrite


def cell(column, value):
    """The first value of a column is another one."""

    def change(table):
        values = [value, *table[column].to_pylist()[1:]]
        place, field = table.column_names.index(column), table.schema.field(column)
        return table.set_column(place, field, pa.array(values, field.type))

    return change


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (written(b""), "can't be read"),
        (written(b"PAR1 not really"), "can't be read"),
        (lambda file: file.write_bytes(file.read_bytes()[:-100]), "can't be read"),
        (replaced(lambda file: file.mkdir()), "can't be read|is missing"),
        (tables(lambda table: pa.table({"a": [1]})), "column 'repeat' is missing"),
        (tables(lambda table: table.drop_columns(["text"])), "column 'text' is missing"),
        (tables(lambda t: t.set_column(0, "repeat", [["x"] * len(t)])), "column 'repeat' holds string, not int32"),
        (tables(cell("prompt", "{")), "can't be read"),
        (tables(cell("prompt", "[" * 100_000)), "can't be read"),
    ],
)
def test_damaged_answers_are_refused(store, damage, reason):
    file = store.root / "runs" / PLACES["runs"] / "generations.parquet"
    damage(file)
    run = Run(file.parent)
    assert run.manifest.answers_sha256 is None  # of an older version: the file's hash can't tell
    for read in (run.prompts, lambda: run.prompt_and_response(0)):
        with pytest.raises(StoreError, match=reason) as error:
            read()
        assert str(file) in str(error.value)
    assert len(store.comparisons()) == 6


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (written(b"PAR1"), "can't be read"),
        (tables(lambda table: table.replace_schema_metadata({})), "damaged ("),
        (tables(lambda table: table.replace_schema_metadata({"fidelity": "{}"})), "'columns' is missing"),
        (tables(lambda table: table.replace_schema_metadata({"fidelity": "[" * 100_000})), "damaged ("),
        (tables(lambda table: table.drop_columns(["rougeL"])), "column 'rougeL' is missing"),
        (tables(lambda table: table.slice(1)), "were changed after scoring"),
        (tables(lambda t: t.set_column(t.column_names.index("rougeL"), "rougeL", [["x"] * len(t)])), "can't be read"),
    ],
)
def test_damaged_numbers_are_refused(store, damage, reason):
    comparison = store.root / "comparisons" / COMPARISON
    for file in comparison.glob("rouge-*.parquet"):
        damage(file)
    with pytest.raises(StoreError) as error:
        load_comparison(comparison)
    assert reason in str(error.value)
    assert str(comparison) in str(error.value)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    "damage",
    [
        written(b"PAR1"),
        tables(lambda table: table.drop_columns(["ranks"])),
        tables(lambda table: table.set_column(1, "repeat", [["x"] * len(table)])),
    ],
)
def test_damaged_token_scores_are_refused(store, damage):
    (scores,) = scores_of(Run(store.root / "runs" / "int8-a4ba6184"))
    damage(scores.path / "chunk-00001.parquet")
    with pytest.raises(StoreError, match=r"chunk-00001\.parquet: can't be read"):
        scores.get("p0")


def test_damaged_texts_of_tokens_are_refused(store):
    (scores,) = scores_of(Run(store.root / "runs" / "int8-a4ba6184"))
    (scores.path / "tokens.json").write_text('{"a": 1}')
    with pytest.raises(StoreError, match=r"tokens\.json: damaged"):
        _ = scores.texts
