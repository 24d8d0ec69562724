"""Prompts in the formats that people have them in: each is read as the same prompts, and exported and read again."""

import inspect
import json
import sys
import types

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fidelity.errors import ConfigError, MissingPackageError
from fidelity.prompts import load_prompts
from fidelity.records import Message, Prompt

USER, BOT = {"role": "user", "content": "Hallo"}, {"role": "assistant", "content": "Hi"}


def lines(*rows):
    return "\n".join(json.dumps(row) for row in rows)


def read(tmp_path, content, name="prompts.jsonl"):
    (tmp_path / name).write_text(content, encoding="utf-8")
    return load_prompts(tmp_path / name)


@pytest.mark.parametrize(
    ("row", "content"),
    [
        ({"prompt": "Hi"}, "Hi"),
        ({"question": "Why?"}, "Why?"),
        ({"text": "Why?"}, "Why?"),
        ({"instruction": "Sum.", "input": "1 2", "output": "3"}, "Sum.\n\n1 2"),
        ({"instruction": "Count.", "input": "", "output": "1"}, "Count."),
        ({"prompt": "Hi", "question": "not this", "text": "nor this"}, "Hi"),
        ({"prompt": None, "messages": [USER]}, (Message("user", "Hallo"),)),
        ({"messages": [USER, BOT]}, (Message("user", "Hallo"),)),
        ({"messages": [USER, {"role": "assistant", "content": None, "tool_calls": [{}]}]}, (Message("user", "Hallo"),)),
        (
            {"messages": [USER, BOT, USER]},
            (Message("user", "Hallo"), Message("assistant", "Hi"), Message("user", "Hallo")),
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "Ha"}, {"type": "text", "text": "llo"}]}
                ]
            },
            (Message("user", "Hallo"),),
        ),
        (
            {"conversations": [{"from": "human", "value": "Hallo"}, {"from": "gpt", "value": "Hi"}]},
            (Message("user", "Hallo"),),
        ),
        (
            {"conversations": [{"from": "human", "value": "Hallo"}], "system": "Be brief."},
            (Message("system", "Be brief."), Message("user", "Hallo")),
        ),
        ({"conversations": [{"role": "user", "content": "Hallo"}]}, (Message("user", "Hallo"),)),
        ({"turns": ["Hallo", "Now in French."], "reference": []}, "Hallo"),
    ],
)
def test_keys_of_a_prompt(tmp_path, row, content):
    (prompt,) = read(tmp_path, lines({"id": "a", **row}))
    assert prompt == Prompt("a", content)


@pytest.mark.parametrize(
    ("row", "id_"),
    [
        ({"id": 7}, "7"),
        ({"id": 7.0}, "7"),
        ({"id": 0}, "0"),
        ({"id": None, "question_id": 81}, "81"),
        ({"custom_id": "c-1"}, "c-1"),
        ({"uid": "u"}, "u"),
        ({}, "pd7760b4ba307"),
    ],
)
def test_ids(tmp_path, row, id_):
    """The last one is in: printf '[["user", "Hi"]]' | sha256sum."""
    (prompt,) = read(tmp_path, lines({**row, "prompt": "Hi"}))
    assert prompt.id == id_


def test_a_made_id_depends_on_the_prompt_alone(tmp_path):
    first = read(tmp_path, "Hi\nWhy?\nHi\n", "prompts.txt")
    again = read(
        tmp_path, lines({"prompt": "Why?"}, {"id": "x", "prompt": "So"}, {"messages": [USER]}, {"prompt": "Hi"})
    )
    assert first[0].id == again[3].id
    assert first[1].id == again[0].id
    assert first[2].id == f"{first[0].id}-2"


ROWS = [{"id": "1", "prompt": "Hi, you", "category": "a"}, {"id": "2", "prompt": "Warum?\nDarum 🙂", "category": "b"}]


def test_every_format_gives_the_same_prompts(tmp_path):
    expected = tuple(Prompt(row["id"], row["prompt"], row["category"]) for row in ROWS)
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "p.parquet")
    cells = 'id,prompt,category\n1,"Hi, you",a\n2,"Warum?\nDarum 🙂",b\n'
    texts = {
        "p.jsonl": lines(*ROWS),
        "crlf.jsonl": lines(*ROWS).replace("\n", "\r\n"),
        "array.json": json.dumps(ROWS, indent=2),
        "array.jsonl": json.dumps(ROWS),
        "bom.csv": "\ufeff" + cells,
        "p.csv": cells,
        "p.tsv": 'id\tprompt\tcategory\n1\tHi, you\ta\n2\t"Warum?\nDarum 🙂"\tb\n',
        "stdin": cells,
        "lines": lines(*ROWS),
    }
    for name, content in texts.items():
        assert read(tmp_path, content, name) == expected, name
    assert load_prompts(tmp_path / "p.parquet") == expected


def test_a_text_has_one_prompt_per_line(tmp_path):
    for name in ("prompts.txt", "prompts"):
        assert [p.content for p in read(tmp_path, "Hi, you\n\n  Why?\r\n", name)] == ["Hi, you", "Why?"]


def test_chats_in_a_csv_are_json(tmp_path):
    (prompt,) = read(tmp_path, 'id,messages\n7,"[{""role"": ""user"", ""content"": ""Hi""}]"\n', "p.csv")
    assert prompt == Prompt("7", (Message("user", "Hi"),))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.csv", "id,prompt\n1,Hi, you\n", "p.csv, line 2: more cells than the header has columns; quote texts"),
        ("p.csv", 'id,prompt\n1,"Hi\n', "p.csv, line 2: not CSV (unexpected end of data)"),
        ("p.csv", "id,prompt,prompt\n1,a,b\n", "p.csv, line 1: duplicate column 'prompt'; remove one of the two"),
        ("p.csv", "id,messages\n1,Hi\n", "p.csv, line 2: the column 'messages' must hold JSON"),
        ("p.csv", "a,b\n1,2\n", "p.csv, line 2: no prompt among the keys (a, b); rename one to 'prompt'"),
        ("p.csv", "", "p.csv: contains no prompts"),
        ("p.txt", "\n", "p.txt: contains no prompts"),
        ("p.json", "{", "p.json, line 1: not JSON"),
        ("p.json", "[]", "p.json: contains no prompts"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path, name, content, message):
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, content, name)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.json", json.dumps([{"question_id": 3, "question": "Hi, you"}, {"question": "Why?"}])),
        ("p.jsonl", lines({"messages": [USER, BOT], "id": 4, "category": 2}, {"messages": [BOT, USER]})),
        ("p.jsonl", lines({"id": "prefilled", "prompt": [USER, BOT]}, {"id": "b", "prompt": [USER]})),
        ("p.jsonl", lines({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "x"}]})),
        ("p.jsonl", lines({"instruction": "Sum.", "input": "1 2", "output": "3"})),
        ("p.csv", 'prompt\n"Hi, you"\nWhy?\nWhy?\n'),
        ("p.txt", "Hi, you\nWhy?\nWhy?\n"),
    ],
)
@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_exported_prompts_are_the_same_prompts(fidelity, workspace, name, content, ending):
    (workspace.folder / name).write_text(content, encoding="utf-8")
    original = load_prompts(workspace.folder / name)
    code, out, error = fidelity("export-prompts", name, f"exported.{ending}")
    assert (code, error) == (0, "")
    assert f"{len(original)} prompts" in out
    assert load_prompts(workspace.folder / f"exported.{ending}") == original
    fidelity("export-prompts", name, "batch.jsonl", "--openai-batch")
    batch = load_prompts(workspace.folder / "batch.jsonl")
    assert [(p.id, p.messages) for p in batch] == [(p.id, p.messages) for p in original]


class Datasets:
    """A stand-in for the package `datasets`, with the parameters of `load_dataset` that fidelity uses."""

    class DatasetDict(dict):
        pass

    def __init__(self, monkeypatch, **splits):
        self.splits, self.calls = splits, []
        module = types.ModuleType("datasets")
        module.DatasetDict, module.load_dataset = self.DatasetDict, self.load_dataset
        monkeypatch.setitem(sys.modules, "datasets", module)

    def load_dataset(self, path, name=None, *, split=None):
        self.calls.append((path, name, split))
        if split is None:
            return self.DatasetDict(self.splits)
        if split.partition("[")[0] not in self.splits:
            raise ValueError(f"Unknown split {split!r}. Should be one of {list(self.splits)}.")
        return self.splits[split.partition("[")[0]]


def rows(*texts):
    return [{"question": text} for text in texts]


@pytest.mark.parametrize(
    ("name", "call", "content"),
    [
        ("hf:org/qa", ("org/qa", None, None), "b"),
        ("hf:org/qa:train", ("org/qa", None, "train"), "a"),
        ("hf:org/qa:main:test", ("org/qa", "main", "test"), "b"),
        ("hf:org/qa:train[:1]", ("org/qa", None, "train[:1]"), "a"),
        ("hf:org/qa:main:train[:1]", ("org/qa", "main", "train[:1]"), "a"),
    ],
)
def test_a_data_set_of_the_hub(workspace, monkeypatch, name, call, content):
    from fidelity.config import load_run

    hub = Datasets(monkeypatch, train=rows("a", "c"), test=rows("b"))
    config = load_run(workspace.file("run.yaml", f"name: r\nmodel: org/m\nengine: {{kind: vllm}}\nprompts: {name}\n"))
    assert load_prompts(config.prompts, limit=1)[0].content == content
    assert hub.calls == [call]
    assert type(config).model_validate(config.model_dump(mode="json")) == config  # as in a manifest


def test_what_is_wrong_with_a_data_set(monkeypatch):
    Datasets(monkeypatch, first=rows("a"), second=rows("b"))
    for name, message in {
        "hf:org/qa:third": "hf:org/qa:third: can't be loaded (ValueError: Unknown split 'third'. Should be one of",
        "hf:org/qa": "hf:org/qa: has the splits first, second; name one: hf:org/qa:first",
        "hf:a:b:c:d": "hf:a:b:c:d: expected hf:DATASET, hf:DATASET:SPLIT or hf:DATASET:CONFIG:SPLIT",
    }.items():
        with pytest.raises(ConfigError) as caught:
            load_prompts(name)
        assert str(caught.value).startswith(message)


def test_without_the_package_the_error_has_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingPackageError, match=r"hf:org/qa needs the package 'datasets'.*llm-fidelity\[datasets\]"):
        load_prompts("hf:org/qa")


def test_the_real_package(tmp_path, monkeypatch):
    """A folder of data files is a data set, too. The stand-in takes what the real function takes."""
    datasets = pytest.importorskip("datasets")
    real, stand_in = (inspect.signature(f).parameters for f in (datasets.load_dataset, Datasets.load_dataset))
    assert set(stand_in) - {"self"} <= set(real)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "test.jsonl").write_text(lines(*rows("a", "b")))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert [p.content for p in load_prompts(f"hf:{tmp_path / 'data'}")] == ["a", "b"]
    assert [p.content for p in load_prompts(f"hf:{tmp_path / 'data'}:test[:1]")] == ["a"]


def test_prompts_from_standard_input(fidelity, workspace, monkeypatch):
    import io

    def pipe(text):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    pipe("Hi, you\nWhy?\n")
    code, out, _ = fidelity("export-prompts", "-", "out.jsonl", "--limit", "1")
    assert (code, "1 prompts" in out) == (0, True)
    assert [p.content for p in load_prompts(workspace.folder / "out.jsonl")] == ["Hi, you"]
    (workspace.folder / "a.jsonl").write_text(
        lines(*({"prompt": text, "response": text} for text in ("Hi, you", "Why?")))
    )
    pipe("Hi, you\nWhy?\n")
    options = ("--prompts", "-", "--control", "none", "--metric", "identical", "--store", "s")
    (workspace.folder / "b.jsonl").write_text(
        lines({"prompt": "Why?", "output": "No"}, {"prompt": "Hi, you", "text": "Hi, you"})
    )
    code, out, error = fidelity("compare", "a.jsonl", "b.jsonl", *options)
    assert code == 0, error
    assert "b: 1 of 2 are worded differently" in out
    pipe(" \n")
    code, _, error = fidelity("compare", "a.jsonl", "b.jsonl", *options)
    assert (code, error) == (2, "fidelity: -: standard input is empty; pipe prompts into the command, or name a file\n")


def test_packaged_sets_in_yaml(workspace):
    """By name, unless a file next to the YAML has that name."""
    from fidelity.config import load_run

    text = "name: r\nmodel: org/m\nengine: {kind: vllm}\nprompts: starter\n"
    assert len(load_prompts(load_run(workspace.file("run.yaml", text)).prompts)) == 72
    workspace.file("starter", "Hi\n")
    assert len(load_prompts(load_run(workspace.file("run.yaml", text)).prompts)) == 1
