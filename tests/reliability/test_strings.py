"""Hostile strings at every border: nothing acts, nothing ends in a traceback, nothing takes all memory."""

import io
import json
import os
import resource
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from fidelity.cli.terminal import echo, open_console
from fidelity.config.files import read_yaml
from fidelity.errors import ConfigError
from fidelity.outside.documents import MOST_NESTED, cleaned, read_json
from fidelity.outside.strings import inert
from fidelity.prompts import read_jsonl
from tests.engines.fake_server import FakeServer, Reply, text_reply

ACTIVE = [
    *("\x1b[2J\x1b]0;title\x07", "\x9b31m", "x\n::add-mask::secret", "\n::stop-commands::t\n", "##[group]x"),
    *("\u202eabc", "\r::error::x", "\ud800 lone \udfff", "\0\x01\x7f", "  ::warning::x", "\u2028::error::x"),
    *("\v::error::x", "x ##[add-mask]y", "a\n  ##[stop-commands]t"),
]


@pytest.mark.parametrize("text", ACTIVE)
def test_what_is_printed_acts_on_nothing(text):
    out, drawn = io.StringIO(), io.StringIO()
    echo(f"fidelity: {text}", to=out)
    echo(text, to=out)
    console = open_console()
    console.file = drawn
    console.print(text, markup=False, style="bold")
    console.print(Text.assemble("\n", (text[:1], "bold"), (text[1:3], "red"), text[3:]))
    shown = out.getvalue() + drawn.getvalue()
    shown.encode()
    assert not [line for line in shown.splitlines() if line.strip().startswith("::") or "##[" in line]
    assert not set("\x1b\x9b\x07\r\0\u202e") & set(shown)
    assert inert(inert(text)) == inert(text)


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "[" * 101 + "]" * 101, '{"a":' * 101 + "1" + "}" * 101, '{"x": ' + "9" * 10_000 + "}", "\ud800"],
)
def test_json_beyond_the_limits_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - each of the kinds
        read_json(text.encode("utf-8", "surrogatepass"))


def test_json_within_them_is_read():
    deep = "[" * MOST_NESTED + "]" * MOST_NESTED
    assert read_json(deep)
    assert read_json(json.dumps({"text": "[" * 5000 + '"{' * 3000})) == {"text": "[" * 5000 + '"{' * 3000}
    assert read_json('[1, "\\ud800"]') == [1, "\ufffd"]
    assert read_json('["\\ud83d\\ude00", "\\ud800", {"\\udc00": 1}]') == ["😀", "\ufffd", {"\ufffd": 1}]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_what_is_read_is_what_was_written(data):
    assert read_json(json.dumps(data)) == data == cleaned(data)
    assert read_json(json.dumps(data, ensure_ascii=False).encode()) == data


ROWS = {
    "deep": b'{"id": "a", "text": "x", "more": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "open": b"[" * 100_000,
    "repeat": b'{"id": "a", "text": "x", "repeat": 1000000000000000000}',
    "repeats": b'{"id": "a", "text": "x", "repeat": 2147483648}',
    "token": b'{"id": "a", "text": "x", "token_ids": [1099511627776]}',
    "negative": b'{"id": "a", "text": "x", "token_ids": [-1]}',
    "infinite": b'{"id": "a", "text": "x", "token_ids": [1], "logprobs": [1e999]}',
    "nan": b'{"id": "a", "text": "x", "seconds": NaN}',
    "seconds": b'{"id": "a", "text": "x", "seconds": 1e308}',
    "id": b'{"id": "' + b"a" * 1_000_000 + b'", "text": "x"}',
    "not utf-8": b'{"id": "a", "text": "\xff"}',
}
HARMLESS = {
    "failure that is no text": b'{"id": "a", "failure": true}',
    "failure": b'{"id": "a", "failure": "\\ud800 \\u001b[2J"}',
    "finish reason": b'{"id": "a", "text": "x", "finish_reason": "\\ud800"}',
    "category": b'{"id": "a", "text": "x", "category": "\\ud800"}',
    "id": b'{"id": "\\ud800", "text": "x"}',
    "model": b'{"id": "a", "text": "x", "model": "\\ud800\\u001b[2J"}',
    "prompt tokens": b'{"id": "a", "text": "x", "prompt_tokens": 99999999999999}',
}


@pytest.fixture
def recorded(workspace, fidelity):
    def run(line):
        (workspace.folder / "r.jsonl").write_bytes(line + b'\n{"id": "b", "text": "y"}\n')
        run = {"name": "r", "engine": {"kind": "recorded", "path": "r.jsonl"}, "control": "none"}
        (workspace.folder / "r.yaml").write_text(json.dumps(run))
        return fidelity("generate", workspace.folder / "r.yaml", "--store", workspace.store)

    return run


@pytest.mark.parametrize("line", ROWS.values(), ids=ROWS)
def test_a_row_that_no_engine_gives_is_refused_by_its_line(recorded, line):
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, hard))
    try:
        code, _, err = recorded(line)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert code == 2
    assert "Traceback" not in err
    assert "r.jsonl, line 1" in err


@pytest.mark.parametrize("line", HARMLESS.values(), ids=HARMLESS)
def test_a_row_with_strange_strings_is_read(recorded, line):
    code, out, err = recorded(line)
    assert code == 0, err
    assert "\x1b" not in out + err


@pytest.mark.parametrize(
    "text",
    [
        "name: " + "[" * 10_000,
        "[" + "1," * 50_000 + "]",
        "a: &a [x]\n"
        + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)),
        "a: &a\n  b: *a\n",
        "x: " + "y" * 2_000_000,
        'name: x\nlabel: "\\ud800"\nengine: {kind: recorded, path: base.jsonl}\n',
        "a: &a {x: 1}\nname: x\n<<: [*a, *a]",
    ],
)
def test_yaml_beyond_the_limits_is_refused_at_once(workspace, fidelity, text):
    (workspace.folder / "y.yaml").write_text(text)
    code, _, err = fidelity("generate", workspace.folder / "y.yaml", "--store", workspace.store)
    assert code == 2
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "body",
    [
        b'{"choices": [{"message": {"content": "x"}, "finish_reason": "\\ud800"}]}',
        b'{"choices": [{"message": {"content": "x\\ud800"}, "finish_reason": "stop"}]}',
        b'{"choices": [{"message": {"content": "x"}, "finish_reason": {"a": [1]}}]}',
        b'{"choices": [{"message": {"content": "x"}, "token_ids": [99999999999999999999]}]}',
    ],
)
def test_a_server_s_strange_strings_are_stored(server_run, body):
    with FakeServer(lambda _: Reply(body)) as server:
        finished = server_run(server)
    assert finished.manifest.counts.failures == 0
    assert all(isinstance(outcome.text, str) for outcome in finished.outcomes())


def test_a_server_s_error_reaches_no_terminal_raw(server_run):
    error = Reply(b'{"error": {"message": "bad \\ud800 \\u001b[2J\\n::add-mask::x"}}', status=400)
    with FakeServer(lambda request: error if request.text == "two" else text_reply()) as server:
        finished = server_run(server)
    (failure,) = [one for one in finished.outcomes() if hasattr(one, "reason")]
    assert failure.reason.startswith("HTTP 400: bad ⟦U+D800⟧ ␛[2J ::add-mask::x")


def test_a_file_of_another_encoding_is_named(tmp_path):
    (tmp_path / "x.jsonl").write_bytes('{"id": "a"}'.encode("utf-16"))
    with pytest.raises(ConfigError, match=r"x\.jsonl, line 1: not UTF-8 text .*save the file as UTF-8"):
        read_jsonl(tmp_path / "x.jsonl")


@pytest.mark.parametrize(
    "value", ["9" * 10_000, "0x" + "f" * 10_000, "0b" + "1" * 100_000, "1" + ":59" * 10_000, "2001-99-99", "${LONG}"]
)
def test_values_of_yaml_that_can_t_be_read(tmp_path, monkeypatch, value):
    monkeypatch.setenv("LONG", "0x" + "f" * 10_000)
    file = tmp_path / "x.yaml"
    file.write_text(f"name: {value}\n")
    with pytest.raises(ConfigError, match="put it into quotes"):
        read_yaml(file, keys="name")
    file.write_text(f"name: '{'9' * 10_000}'\n")
    assert read_yaml(file, keys="name") == {"name": "9" * 10_000}


def test_output_in_an_encoding_without_its_characters(tmp_path):
    file = tmp_path / "é文.yaml"
    line = [sys.executable, "-m", "fidelity", "compare", str(file), "a" * 5000]
    ended = subprocess.run(line, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=False)
    assert ended.returncode == 2
    assert b"\\u6587" in ended.stderr
    assert b"Traceback" not in ended.stderr
    ended = subprocess.run([*line[:4], "a" * 5000, "a" * 5000], capture_output=True, check=False)
    assert ended.returncode == 2
    assert b"Traceback" not in ended.stderr
