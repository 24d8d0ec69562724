"""`fidelity fill-chats` against fake servers: the baseline's answers are the history of every run's later turns."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fidelity.errors import ConfigError
from fidelity.prompts import load_prompts
from tests.engines.fake_server import FakeServer, Reply, text_reply

TOOLS = [
    {
        "type": "function",
        "function": {"name": "stock", "parameters": {"type": "object", "properties": {"item": {"type": "string"}}}},
    }
]
CALL = {"id": "x9", "type": "function", "function": {"name": "stock", "arguments": '{"item": "bolt"}'}}
OPEN = {"role": "assistant"}


def user(text):
    return {"role": "user", "content": text}


def echo(request):
    """The number of turns so far, and the last one."""
    return text_reply(f"{len(request.body['messages'])}: {request.text}")


@pytest.fixture
def fill(workspace, fidelity, quick_retries):
    """Fills chats with a server's answers; exit code, output, and the rows of the file."""

    def run(server, chats, *, command=(), **engine):
        workspace.file("chats.jsonl", "\n".join(map(json.dumps, chats)))
        workspace.baseline(model=None, engine={"kind": "openai", "base_url": server.url, **engine})
        code, out, error = fidelity(
            "fill-chats", "base.yaml", "chats.jsonl", "filled.jsonl", "--store", "store", *command
        )
        file = workspace.folder / "filled.jsonl"
        rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return code, out + error, rows

    return run


def asked(server):
    """The requests about chats, without the client's first, plain one."""
    return [request.body["messages"] for request in server.asked if "turn" in request.text]


def test_each_open_turn_is_a_prompt_after_the_baselines_answers(fill):
    chats = [
        {"id": "a", "category": "c", "messages": [user("turn 1"), OPEN, user("turn 2"), OPEN, user("turn 3")]},
        {"question_id": 7, "turns": ["turn one", "turn two"], "expected": "two"},
    ]
    with FakeServer(echo) as server:
        code, out, rows = fill(server, chats)
        assert len(asked(server)) == 5
    assert code == 0, out
    assert "5 turns of 2 chats" in out
    assert [row["id"] for row in rows] == ["a#1", "a#2", "a#3", "7#1", "7#2"]
    first, second = {"role": "assistant", "content": "1: turn 1"}, {"role": "assistant", "content": "3: turn 2"}
    assert rows[1]["messages"] == [user("turn 1"), first, user("turn 2")]
    assert rows[2]["messages"] == [user("turn 1"), first, user("turn 2"), second, user("turn 3")]
    assert [row.get("category") for row in rows] == ["c", "c", "c", None, None]
    assert [row.get("expected", {}).get("answer") for row in rows] == [None, None, None, None, "two"]


def test_a_candidate_answers_after_the_baselines_history(fill, workspace, fidelity):
    with FakeServer(echo) as base, FakeServer(lambda request: text_reply("I don't know.")) as other:
        code, out, rows = fill(base, [{"id": "a", "messages": [user("turn 1"), OPEN, user("turn 2")]}])
        assert code == 0, out
        engines = {"base": base, "quant": other}
        for name, server in engines.items():
            keys = {"prompts": "filled.jsonl", "control": "none", "kl": "none"} if name == "base" else {}
            engine = {"kind": "openai", "base_url": server.url}
            workspace.run(name, model=None, engine=engine, sampling={"max_tokens": 8} if keys else None, **keys)
        code, out, error = fidelity("compare", "base.yaml", "quant.yaml", "--metric", "identical", "--store", "store")
        assert code == 0, out + error
        assert rows[1]["messages"] in asked(other)
        assert all(turn["content"] != "I don't know." for messages in asked(other) for turn in messages)


def test_results_of_tools_belong_to_the_calls_of_the_turn_before(fill):
    given = {"role": "assistant", "content": None, "tool_calls": [{**CALL, "id": "own"}]}
    chat = {
        "id": "a",
        "tools": TOOLS,
        "messages": [
            user("turn 1"),
            OPEN,
            {"role": "tool", "content": "turn: 5 bolts"},
            OPEN,
            user("turn 2"),
            given,
            {"role": "tool", "tool_call_id": "own", "content": "turn: 3 bolts"},
        ],
    }

    def answer(request):
        if request.body["messages"][-1]["role"] == "user" and "tools" in request.body:
            return text_reply("Let me see.", message={"tool_calls": [CALL]})
        return text_reply("Five.")

    with FakeServer(answer) as server:
        code, out, rows = fill(server, [chat])
    assert code == 0, out
    assert [row["id"] for row in rows] == ["a#1", "a#2", "a#3"]
    messages = rows[2]["messages"]
    assert [turn["role"] for turn in messages] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
        "assistant",
        "tool",
    ]
    assert messages[1]["content"] == "Let me see."
    assert json.loads(messages[1]["tool_calls"][0]["function"]["arguments"]) == {"item": "bolt"}
    for call, result in ((1, 2), (5, 6)):  # new ids, and each result has its call's
        assert messages[result]["tool_call_id"] == messages[call]["tool_calls"][0]["id"]
    assert messages[1]["tool_calls"][0]["id"] != messages[5]["tool_calls"][0]["id"]
    assert load_prompts(Path("filled.jsonl"))[2].tools


def test_a_chat_ends_where_no_call_was_made(fill):
    chat = {"id": "a", "tools": TOOLS, "messages": [user("turn 1"), OPEN, {"role": "tool", "content": "turn: 5"}]}
    with FakeServer(echo) as server:
        code, out, rows = fill(server, [chat, {"id": "b", "messages": [user("turn 1"), OPEN, user("turn 2")]}])
    assert code == 0
    assert [row["id"] for row in rows] == ["a#1", "b#1", "b#2"]
    assert "a#2: the chat ends here: the answer before has no call that the next tool's result could belong to" in out


def test_thinking_is_left_out_of_the_history(fill):
    with FakeServer(lambda request: text_reply("<think>turn it over</think>\n\nYes.")) as server:
        _, _, rows = fill(server, [{"id": "a", "messages": [user("turn 1"), OPEN, user("turn 2")]}])
    assert rows[1]["messages"][1]["content"].strip() == "Yes."


def test_a_server_that_fails_writes_no_file_and_only_the_failed_turn_is_asked_again(fill):
    broken = True

    def answer(request):
        if broken and request.text == "turn 2b":
            return Reply({"error": {"message": "later"}}, status=500)
        return echo(request)

    chats = [{"id": x, "messages": [user(f"turn 1{x}"), OPEN, user(f"turn 2{x}")]} for x in "ab"]
    with FakeServer(answer) as server:
        code, out, rows = fill(server, chats, patience=0.2)
        assert (code, rows) == (2, [])
        assert "b#2: the chat ends here" in out
        broken = False
        before = len(asked(server))
        code, out, rows = fill(server, chats, patience=0.2)
        assert code == 0, out
        assert len(asked(server)) - before == 1
    assert [row["id"] for row in rows] == ["a#1", "a#2", "b#1", "b#2"]


def test_a_killed_call_continues(fill, workspace):
    block = True

    def answer(request):
        if block and len(asked(server)) > 6:
            return Reply(b"", stall=True)
        return echo(request)

    chats = [{"id": f"c{n}", "messages": [user(f"turn 1 {n}"), OPEN, user(f"turn 2 {n}")]} for n in range(4)]
    with FakeServer(answer) as server:
        workspace.file("chats.jsonl", "\n".join(map(json.dumps, chats)))
        workspace.baseline(model=None, engine={"kind": "openai", "base_url": server.url, "concurrency": 2})
        command = [sys.executable, "-m", "fidelity", "fill-chats", "base.yaml", "chats.jsonl", "filled.jsonl"]
        process = subprocess.Popen(
            [*command, "--store", "store"], cwd=workspace.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + 60
        while len(asked(server)) < 8 and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.3)  # the journal has what was answered
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        block = False
        before = len(asked(server))
        code, out, rows = fill(server, chats, concurrency=2)
        assert code == 0, out
        assert len(asked(server)) - before == 2
    assert len(rows) == 8


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"messages": [OPEN, user("turn")]}, "an open turn of the assistant must follow"),
        ({"messages": [user("turn"), OPEN, OPEN]}, "an open turn of the assistant must follow"),
        ({"messages": [{"role": "system", "content": "s"}, OPEN]}, "an open turn of the assistant must follow"),
        ({"messages": [user("turn"), {"role": "assistant", "content": "done"}]}, "the chat ends with a given answer"),
        ({"messages": [user("turn"), {"role": "Assistant"}]}, "the chat ends with a turn of the role 'Assistant'"),
        ({"messages": [user(" "), OPEN]}, "a turn of the user is empty"),
        ({"turns": ["turn", ""]}, "a turn of the user is empty"),
        ({"prompt": "turn"}, "a chat needs 'messages'"),
        ({"turns": ["turn", 3]}, "a chat needs 'messages'"),
        (
            {"messages": [user("turn"), OPEN, {"role": "tool", "content": 3}]},
            "a chat message needs 'role' and 'content'",
        ),
    ],
)
def test_what_is_no_chat_is_refused_before_a_request(fill, row, message):
    with FakeServer(echo) as server:
        code, out, _ = fill(server, [{"id": "a", **row}])
        assert (code, server.seen) == (2, [])
    assert "line 1" in out
    assert message in out


def test_chats_of_which_no_turn_can_be_asked_write_no_file(fill, workspace):
    result = {"role": "tool", "content": "of no call"}
    with FakeServer(echo) as server:
        code, out, _ = fill(server, [{"id": "a", "messages": [result, OPEN]}])
    assert code == 2
    assert "no turn of these chats can be asked" in out
    assert not (workspace.folder / "filled.jsonl").exists()


def test_chats_as_prompts_name_the_command(workspace):
    path = workspace.file("p.jsonl", json.dumps({"messages": [user("turn"), OPEN, user("turn")]}))
    with pytest.raises(ConfigError, match="fidelity fill-chats"):
        load_prompts(path)


def test_a_recording_can_not_answer(workspace, fidelity):
    workspace.file("chats.jsonl", json.dumps({"messages": [user("turn")]}))
    workspace.recorded("base", [{"id": "a", "text": "x"}])
    code, out, error = fidelity("fill-chats", "base.yaml", "chats.jsonl", "filled.jsonl")
    assert code == 2
    assert "can't answer new prompts" in out + error
    code, out, error = fidelity("fill-chats", "base.yaml", "chats.jsonl", "chats.jsonl")
    assert "would overwrite the chats" in out + error
