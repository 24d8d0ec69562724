"""Tools offered to servers, and their calls kept as data."""

import json

import pytest

from fidelity.config import load_run
from fidelity.engines.recorded import RecordedAnswers
from fidelity.errors import ConfigError
from fidelity.prompts import load_prompts, packaged
from fidelity.records import Generation, Prompt, ToolCall
from fidelity.store.runs import Run, RunWriter
from tests.engines.fake_server import FakeServer, text_reply

TOOLS = [prompt.offer["tools"] for prompt in load_prompts(packaged("tools"))]
ROWS = [json.loads(line) for line in packaged("tools").read_text(encoding="utf-8").splitlines()]


def called(*calls, content=None):
    """A server's answer with calls of tools."""
    return text_reply(
        content,
        finish_reason="tool_calls",
        message={
            "tool_calls": [
                {"id": f"call_{n}x", "type": "function", "function": {"name": name, "arguments": arguments}}
                for n, (name, arguments) in enumerate(calls)
            ]
        },
    )


def prompts(workspace, *rows):
    (workspace.folder / "prompts.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


class TestServers:
    def test_tools_are_offered_and_calls_are_data(self, server_run, workspace):
        row = {"id": "a", "prompt": "Oslo and Lima?", "tools": TOOLS[0], "tool_choice": "required"}
        prompts(workspace, row, {"id": "b", "prompt": "Hello"})
        two = ("get_weather", '{ "city":"Oslo"}'), ("get_weather", '{"city": "Lima"')
        with FakeServer(lambda r: called(*two, content="Both.") if "tools" in r.body else text_reply()) as server:
            run = server_run(server)
        asked = {request.text: request.body for request in server.asked}
        assert asked["Oslo and Lima?"]["tools"] == TOOLS[0]
        assert asked["Oslo and Lima?"]["tool_choice"] == "required"
        assert not {"tools", "tool_choice"} & set(asked["Hello"])
        first, second = run.outcomes()
        assert first.tool_calls == (ToolCall(*two[0]), ToolCall(*two[1]))
        assert first.text == (
            'Both.\n\n{"tool_calls": [{"arguments": {"city": "Oslo"}, "name": "get_weather"}, '
            '{"arguments": "{\\"city\\": \\"Lima\\"", "name": "get_weather"}]}'
        )
        assert second.tool_calls == ()
        assert run.prompts()[0] == Prompt("a", "Oslo and Lima?", None, json.dumps(TOOLS[0]), '"required"')

    @pytest.mark.parametrize(
        ("engine", "message"),
        [
            (
                {"api": "completion"},
                r"base\.yaml: the prompts have tools, which only a chat can offer; set engine\.api",
            ),
            (
                {"request": {"tool_choice": "none"}},
                r"the prompts have tools, and engine\.request\.tool_choice sets oth",
            ),
        ],
    )
    def test_an_engine_that_would_leave_them_out_is_refused(self, server_run, workspace, engine, message):
        prompts(workspace, {"id": "a", "prompt": "Oslo?", "tools": TOOLS[0]})
        with FakeServer(lambda _: text_reply()) as server, pytest.raises(ConfigError, match=message):
            server_run(server, **engine)

    def test_an_image_in_an_answer_is_a_failure(self, server_run, workspace):
        prompts(workspace, {"id": "a", "prompt": "Draw."})
        image = [{"type": "text", "text": "Here."}, {"type": "image_url", "image_url": {"url": "data:..."}}]
        with FakeServer(lambda r: text_reply() if r.text == "Hi" else text_reply(image)) as server:
            (failure,) = server_run(server).outcomes()
        assert failure.reason == "the answer has more than text (image_url), which fidelity doesn't compare"


def recorded(workspace, *rows):
    file = workspace.file("out.jsonl", "\n".join(map(json.dumps, rows)))
    engine = load_run(workspace.run("r", model=None, engine={"kind": "recorded", "path": str(file)})).engine
    asked = [Prompt(row["id"], "", tools=json.dumps(TOOLS[0])) for row in rows]
    return list(RecordedAnswers(engine).generate(asked, None))


def test_calls_of_recorded_rows_are_data(workspace):
    function = {"name": "get_weather", "arguments": '{"city": "Oslo"}'}
    openai = [{"id": "call_1", "type": "function", "function": function}]
    outcomes = recorded(
        workspace,
        {"id": "a", "text": None, "tool_calls": openai},
        {"id": "b", "text": "Look:", "tool_calls": [function]},
        {"id": "c", "text": "No call.", "tool_calls": []},
        {"id": "d", "text": "Unknown."},
        {"id": "e", "choices": [{"message": {"content": None, "tool_calls": openai}, "finish_reason": "stop"}]},
        {"id": "f", "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": openai}]},
        {"id": "g", "choices": [{"message": {"content": "a", "audio": {"data": "UklGRg=="}}}]},
    )
    call = (ToolCall("get_weather", '{"city": "Oslo"}'),)
    assert [getattr(outcome, "tool_calls", "failed") for outcome in outcomes] == [
        *(call, call, (), None, call, call, "failed")
    ]
    as_text = '{"tool_calls": [{"arguments": {"city": "Oslo"}, "name": "get_weather"}]}'
    assert [outcome.text for outcome in outcomes[:4]] == [as_text, f"Look:\n\n{as_text}", "No call.", "Unknown."]
    assert outcomes[6].reason.startswith("the answer has more than text (audio)")


@pytest.mark.parametrize(
    "row",
    [
        {
            "custom_id": "a",
            "response": {"body": {"object": "list", "data": [{"object": "embedding", "embedding": [0]}]}},
        },
        {"id": "a", "object": "list", "data": [{"embedding": [0.1]}]},
        {"id": "a", "embedding": [0.1, 0.2]},
    ],
)
def test_embeddings_are_refused(workspace, row):
    with pytest.raises(ConfigError, match=r"out\.jsonl(, line 1)?: an embedding; fidelity compares generated texts"):
        recorded(workspace, {"id": "a", **row})


def test_calls_survive_the_journal(tmp_path):
    writer = RunWriter(tmp_path)
    kept = Generation("a", "", tool_calls=(ToolCall("f", "{"), ToolCall("g", "ü")))
    with writer.journal(0) as journal:
        journal.add(0, kept)
        journal.add(1, Generation("b", "", tool_calls=()))
    assert dict(writer.journal(0).outcomes()) == {0: kept, 1: Generation("b", "", tool_calls=())}


def test_a_run_without_the_columns_of_tools_is_read(server_run, workspace):
    import pyarrow.parquet as pq

    from fidelity.store.record_files import write_record

    with FakeServer(lambda _: text_reply("Yes.")) as server:
        run = server_run(server)
    file = run.path / "generations.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["tools", "tool_choice", "tool_calls"]), file)
    write_record(run.path / "manifest.json", run.manifest.replace(answers_sha256=None))
    old = Run(run.path)
    assert [outcome.tool_calls for outcome in old.outcomes()] == [None] * 3
    assert [prompt.tools for prompt in old.prompts()] == [None] * 3


def call_of(row, *, other=False):
    """A call that fits the first tool's schema, made up from it; the `other` one has other arguments."""
    function = row["tools"][0]["function"]
    properties = function["parameters"]["properties"]
    return function["name"], json.dumps({key: example(of, other=other) for key, of in properties.items()})


def example(schema, *, other):
    match schema:
        case {"enum": [first, *_]}:
            return first
        case {"pattern": pattern}:
            return {"^\\d{4}": f"2027-01-0{2 + other}", "^\\d{2}": "10:30"}.get(pattern[:6], "AB-100")
        case {"type": "array", "items": items}:
            return [example(items, other=other)]
        case {"type": "object", "properties": properties}:
            return {key: example(of, other=other) for key, of in properties.items()}
        case {"type": "string"}:
            return "Lima" if other else "Oslo"
        case {"type": "boolean"}:
            return True
    return 6 if other else 7


def answers(*, worse):
    """A server: every prompt but those of `no_call` is answered by one right call; `worse` is broken in five ways."""
    by_text = {row["prompt"]: row for row in ROWS}

    def answer(request):
        row = by_text.get(request.text)
        if row is None or row["category"] == "no_call":
            return text_reply("In words.")
        name, arguments = call_of(row)
        broken = {
            "01": lambda: text_reply("It is cold."),
            "02": lambda: called(("no_such_function", arguments)),
            "03": lambda: called((name, "{")),
            "04": lambda: called(call_of(row, other=True)),
            "05": lambda: called((name, arguments), (name, arguments)),
        }
        number = row["id"][-2:]
        return broken[number]() if worse and number in broken else called((name, arguments))

    return answer


def test_two_servers_are_compared_and_gated(fidelity, workspace, quick_retries):
    gate = workspace.file("gate.yaml", json.dumps({"breaks": {"tool_call": 0.06}, "margins": {"tool_calls": 0.07}}))
    with FakeServer(answers(worse=False)) as good, FakeServer(answers(worse=True)) as bad:
        engine = {"kind": "openai", "model": "m"}
        usual = {"model": None, "engine": {**engine, "base_url": good.url}, "prompts": "tools", "kl": "none"}
        base = workspace.baseline(**usual, metrics=["tools"], control={"repeats": 2})
        other = workspace.run("worse", model=None, engine={**engine, "base_url": bad.url}, compares=["provider"])
        code, out, err = fidelity(
            *("compare", base, other, "--store", workspace.store, "--gate", gate, "--json", "n.json", "--full")
        )
    assert code == 1, out + err
    columns = json.loads((workspace.folder / "n.json").read_text())["comparisons"][0]["columns"]
    means = {name: column["mean"] for name, column in columns.items()}
    # 40 of 50 prompts have calls, four of each number. Called differs in the four of 01.
    assert means["tool_called"] == pytest.approx(46 / 50)
    # Names: 0 in 01 and 02, 1/2 in 05. Valid: lost in 01, 02 and 03.
    assert means["tool_name"] == pytest.approx((40 - 8 - 2) / 40)
    assert means["tool_valid"] == pytest.approx((40 - 12) / 40)
    # Arguments: 01 and 02 have no counterpart and count as worst; 03 and 04 differ.
    assert means["tool_arguments"] == pytest.approx((40 - 16) / 40)
    # Name and arguments: 0 in 01 to 04, 1/2 in 05. Newly invalid: 02 and 03.
    assert means["tool_calls"] == pytest.approx((40 - 16 - 2) / 40)
    assert means["break_tool_call"] == pytest.approx(8 / 50)
    assert "newly broken tool_call" in out
