"""A model's answer is the same whether it comes from a server or from a file, and a tool call is an answer."""

import json

import pytest

from fidelity.engines.messages import read_answer
from fidelity.records import Failure, Generation
from tests.engines.fake_server import FakeServer, Reply
from tests.engines.test_recorded import recorded, write


def call(arguments, name="season_after", **more):
    return {"id": "call_7", "type": "function", "function": {"name": name, "arguments": arguments}, **more}


WINTER = '{"tool_calls": [{"arguments": {"season": "winter"}, "name": "season_after"}]}'
ANSWERS = {
    "text": ({"content": "Snow is white."}, ("Snow is white.", None)),
    "empty": ({"content": ""}, ("", None)),
    "parts": (
        {"content": [{"type": "text", "text": "Bees make "}, {"type": "text", "text": "honey."}]},
        ("Bees make honey.", None),
    ),
    "refusal": ({"content": None, "refusal": "I can't."}, ("I can't.", None)),
    "refusal in parts": ({"content": [{"type": "refusal", "refusal": "I can't."}]}, ("I can't.", None)),
    "thinking cut off": ({"content": None, "reasoning": "Fruit: apple,"}, ("", "Fruit: apple,")),
    "thinking, the other key": ({"content": None, "reasoning_content": "Hm"}, ("", "Hm")),
    "thinking and text": ({"content": "Plum.", "reasoning": "Fruit"}, ("Plum.", "Fruit")),
    "tool call": ({"content": None, "tool_calls": [call('{"season": "winter"}')]}, (WINTER, None)),
    "no content at all": ({"tool_calls": [call('{"season": "winter"}')]}, (WINTER, None)),
    "empty content": ({"content": "", "tool_calls": [call('{"season": "winter"}')]}, (WINTER, None)),
    "another id and other spaces": (
        {"content": None, "tool_calls": [{"index": 0, **call('{ "season":"winter" }'), "id": "x"}]},
        (WINTER, None),
    ),
    "arguments as an object": ({"content": None, "tool_calls": [call({"season": "winter"})]}, (WINTER, None)),
    "the older form": (
        {"content": None, "function_call": {"name": "season_after", "arguments": '{"season": "winter"}'}},
        (WINTER, None),
    ),
    "order of arguments": (
        {"content": None, "tool_calls": [call('{"b": 1, "a": [2, {"d": 3, "c": null}]}', "f")]},
        ('{"tool_calls": [{"arguments": {"a": [2, {"c": null, "d": 3}], "b": 1}, "name": "f"}]}', None),
    ),
    "two calls": (
        {"content": None, "tool_calls": [call("{}", "one"), call("{}", "two")]},
        ('{"tool_calls": [{"arguments": {}, "name": "one"}, {"arguments": {}, "name": "two"}]}', None),
    ),
    "arguments that are no JSON": (
        {"content": None, "tool_calls": [call('{"season": ', "f")]},
        ('{"tool_calls": [{"arguments": "{\\"season\\": ", "name": "f"}]}', None),
    ),
    "text before a call": (
        {"content": "Let me look.", "tool_calls": [call('{"season": "winter"}')], "reasoning": "Hm"},
        (f"Let me look.\n\n{WINTER}", "Hm"),
    ),
    "a custom tool": (
        {"content": None, "tool_calls": [{"id": 1, "custom": {"name": "sql", "input": "SELECT 1"}, "type": "custom"}]},
        ('{"tool_calls": [{"custom": {"input": "SELECT 1", "name": "sql"}}]}', None),
    ),
    "other scripts": (
        {"content": None, "tool_calls": [call('{"stadt": "Zürich", "名": "水"}', "f")]},
        ('{"tool_calls": [{"arguments": {"stadt": "Zürich", "名": "水"}, "name": "f"}]}', None),
    ),
    "no call in the list": ({"content": "Yes.", "tool_calls": []}, ("Yes.", None)),
}  # fmt: skip
NO_ANSWERS = {
    "nothing": {"content": None},
    "no call": {"content": None, "tool_calls": []},
    "calls that are none": {"content": None, "tool_calls": "look_up"},
    "thinking of nothing": {"content": None, "reasoning": ""},
}


def row_of(message, **more):
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop", **more}
    return {"custom_id": "p0", "response": {"status_code": 200, "body": {"choices": [choice]}}, "error": None}


def from_file(workspace, row):
    workspace.prompts("one")
    return recorded(workspace, write(workspace, [row]), prompts="prompts.jsonl").outcomes()[0]


@pytest.fixture(scope="module")
def replies():
    """What a server's message is read as."""
    from fidelity.engines.replies import generation

    def read(message, **more):
        body = row_of(message, **more)["response"]["body"]
        return generation(json.dumps(body).encode(), prompt_id="p0")

    return read


@pytest.mark.parametrize(("message", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_a_server_and_a_file_say_the_same(workspace, replies, message, expected):
    server, file = replies(message), from_file(workspace, row_of(message))
    assert (server.text, server.reasoning) == expected
    assert file == server


@pytest.mark.parametrize(
    "name", ["thinking cut off", "tool call", "text before a call", "parts", "arguments as an object"]
)
def test_so_does_a_plain_row(workspace, name):
    message, expected = ANSWERS[name]
    row = {"id": "p0", "text": message["content"], **{k: v for k, v in message.items() if k != "content"}}
    answer = from_file(workspace, row)
    assert (answer.text, answer.reasoning) == expected


@pytest.mark.parametrize("message", NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_what_is_no_answer_is_a_failure_and_no_empty_text(workspace, message):
    assert read_answer({"message": message}) is None
    assert from_file(workspace, row_of(message)) == Failure("p0", "no text in the answer (stop)")


@pytest.mark.parametrize("finish_reason", ["content_filter", "abort", "error"])
def test_what_a_server_holds_back_or_breaks_off_is_none_from_a_file_either(workspace, finish_reason):
    outcome = from_file(workspace, row_of({"content": "Ye"}, finish_reason=finish_reason))
    assert isinstance(outcome, Failure)
    assert finish_reason in outcome.reason


def test_token_ids_of_llama_cpp_are_read_from_a_file_too(workspace, replies):
    tokens = {"logprobs": {"content": [{"id": 7, "logprob": -0.5}, {"id": 8, "logprob": -0.25}]}}
    file = from_file(workspace, row_of({"content": "Hi!"}, **tokens))
    assert file == replies({"content": "Hi!"}, **tokens)
    assert (file.token_ids, file.logprobs) == ((7, 8), (-0.5, -0.25))


def test_a_tool_call_of_a_server_is_asked_for_once(server_run):
    message = {"role": "assistant", **ANSWERS["tool call"][0]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    with FakeServer(lambda _: Reply({"choices": [choice]})) as server:
        outcomes = server_run(server).outcomes()
    assert [(type(one), one.text, one.finish_reason) for one in outcomes] == [(Generation, WINTER, "tool_calls")] * 3
    assert len(server.asked) == 1 + 3  # one token to try the server out, and each prompt once


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            {"response": {"status_code": 400, "body": None}, "error": "the prompt does not fit the context"},
            "HTTP 400: the prompt does not fit the context",
        ),
        (
            {
                "response": {"status_code": 404, "body": None},
                "error": {"error": {"message": "no such model here", "type": "NotFoundError", "code": 404}},
            },
            "HTTP 404: no such model here",
        ),
        ({"response": {"status_code": 500, "body": {"detail": "boom"}}, "error": None}, "HTTP 500: boom"),
        ({"response": {"status_code": 422, "body": {"error": "too long"}}}, "HTTP 422: too long"),
        ({"response": {"status_code": 503, "body": "busy"}}, "HTTP 503: busy"),
        ({"response": None, "error": "the engine is gone"}, "the engine is gone"),
        ({"response": {"status_code": 200, "body": None}, "error": "the engine is gone"}, "the engine is gone"),
        ({"error": {"code": "batch_expired", "message": "too late"}}, "batch_expired: too late"),
        ({"response": {"status_code": 200, "body": {"error": {"message": "inside"}}}}, "inside"),
    ],
)
def test_failures_of_a_batch_have_the_server_s_reason(workspace, row, reason):
    assert from_file(workspace, {"custom_id": "p0", **row}) == Failure("p0", reason)


def test_failures_and_answers_are_counted(fidelity, workspace):
    """A batch whose lines are an answer without text, a tool call, parts and two errors: two of six failed."""
    texts = ["An apple.", "Spring.", "Bees make honey.", "Hola.", "Eight legs.", "Snow is white."]
    base = [{**row_of({"content": text}), "custom_id": f"q{n}"} for n, text in enumerate(texts)]
    answers = [ANSWERS["thinking cut off"][0], ANSWERS["tool call"][0], ANSWERS["parts"][0]]
    quirks = [{**row_of(message), "custom_id": f"q{n}"} for n, message in enumerate(answers)]
    quirks.append({"custom_id": "q3", "response": {"status_code": 400, "body": None}, "error": "does not fit"})
    quirks.append(
        {"custom_id": "q4", "response": {"status_code": 404, "body": None}, "error": {"error": {"message": "gone"}}}
    )
    quirks.append(base[5])
    workspace.file("again.jsonl", "\n".join(map(json.dumps, base)))
    paths = workspace.recorded("base", base, control={"path": "again.jsonl"}), workspace.recorded("quirks", quirks)
    code, out, _ = fidelity("compare", *paths, "--metric", "identical", "--json", "out.json")
    compared = json.loads((workspace.folder / "out.json").read_text())["comparisons"][0]
    assert code == 0
    assert compared["failed"] == 2
    assert compared["columns"]["identical"]["mean"] == pytest.approx(2 / 4)  # honey and snow, of four with an answer
    assert "prompt q3 failed: quirks: HTTP 400: does not fit" in out
    assert "prompt q4 failed: quirks: HTTP 404: gone" in out
