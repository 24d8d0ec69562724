"""Outputs from elsewhere: prompts go out, answers come back as JSONL, Parquet or an OpenAI batch."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fidelity.config import load_run
from fidelity.engines import identity
from fidelity.errors import ConfigError
from fidelity.pipeline import generate
from fidelity.records import Failure, Message
from fidelity.store.store import Store
from tests.conftest import ROOT, Silent

MODEL = ROOT / "models" / "smollm2-135m"
needs_the_model = pytest.mark.skipif(not MODEL.exists(), reason="no demo model: python examples/make_models.py")


def recorded(workspace, file, **keys):
    """The run that comes of a recorded file."""
    engine = {"kind": "recorded", "path": file, **keys.pop("engine", {})}
    path = workspace.run("recorded", model=None, engine=engine, control="none", **keys)
    (run,) = generate(load_run(path), store=Store(workspace.store), listener=Silent())
    return run


def chat(id_, *contents, status=200, **more):
    choices = [
        {"index": n, "message": {"role": "assistant", **c}, "finish_reason": "stop"} for n, c in enumerate(contents)
    ]
    body = {"object": "chat.completion", "model": "served-name", "choices": choices, **more}
    return {
        "id": f"batch_req_{id_}",
        "custom_id": id_,
        "response": {"status_code": status, "body": body},
        "error": None,
    }


def write(workspace, rows, name="out.jsonl"):
    workspace.file(name, "\n".join(json.dumps(row) for row in rows))
    return name


def outcomes(workspace, rows):
    workspace.prompts("one", "two")
    return recorded(workspace, write(workspace, rows), prompts="prompts.jsonl").outcomes()


def test_parquet_says_the_same_as_jsonl(workspace):
    rows = [
        {
            "id": "a",
            "text": "yes",
            "token_ids": [1, 2],
            "logprobs": [-0.5, -0.25],
            "finish_reason": "stop",
            "prompt": "Ask.",
        },
        {"id": "b", "failure": "out of memory", "prompt": "More."},
    ]
    names = {**rows[0], **rows[1]}
    table = pa.table({name: [row.get(name) for row in rows] for name in names})
    pq.write_table(table, workspace.folder / "out.parquet")
    from_parquet = recorded(workspace, "out.parquet")
    from_lines = recorded(workspace, write(workspace, rows))
    assert from_parquet.outcomes() == from_lines.outcomes()
    assert from_parquet.prompts() == from_lines.prompts()
    answered, failed = from_lines.outcomes()
    assert (answered.token_ids, answered.logprobs) == ((1, 2), (-0.5, -0.25))
    assert failed == Failure("b", "out of memory")


def test_a_file_that_is_no_parquet_is_refused(workspace):
    workspace.file("out.parquet", "no")
    with pytest.raises(ConfigError, match=r"out\.parquet: can't be read as Parquet"):
        recorded(workspace, "out.parquet")


def test_a_chat_of_a_batch(workspace):
    tokens = {"content": [{"token": "Hi", "logprob": -0.5}, {"token": "!", "logprob": -0.125}]}
    row = chat("p0", {"content": "Hi!", "reasoning_content": "They greet."})
    row["response"]["body"]["choices"][0] |= {"logprobs": tokens, "token_ids": [7, 8]}
    answered, _ = outcomes(workspace, [row])
    assert (answered.text, answered.finish_reason) == ("Hi!", "stop")
    assert (answered.token_ids, answered.logprobs) == ((7, 8), (-0.5, -0.125))


def test_a_completion_of_a_batch(workspace):
    body = {
        "model": "m",
        "choices": [{"index": 0, "text": "Hi", "finish_reason": "length", "logprobs": {"token_logprobs": [-1.0]}}],
    }
    answered, _ = outcomes(workspace, [{"custom_id": "p0", "response": {"status_code": 200, "body": body}}])
    assert (answered.text, answered.logprobs, answered.finish_reason) == ("Hi", (-1.0,), "length")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            {"custom_id": "p0", "response": None, "error": {"code": "batch_expired", "message": "too late"}},
            "batch_expired: too late",
        ),
        (chat("p0", status=429), "HTTP 429: "),
        (
            {"custom_id": "p0", "response": {"status_code": 400, "body": {"error": {"message": "too long"}}}},
            "HTTP 400: too long",
        ),
        (chat("p0", error={"message": "inside"}), "inside"),
        (chat("p0", {"content": None}), "no text in the answer (stop)"),
        (chat("p0", {"content": [{"type": "image_url", "image_url": "x"}]}), "the answer has more than text"),
        ({"custom_id": "p0", "error": {"error": {"error": {"message": "deep inside"}}}}, "deep inside"),
        (
            {"custom_id": "p0", "response": {"status_code": 200, "body": {"object": "error", "message": "too long"}}},
            "too long",
        ),
        (chat("p0", {"content": "half an ans"}) | {"error": "the connection was lost"}, "the connection was lost"),
        ({"id": "p0", "text": "", "error": "timeout"}, "timeout"),
        ({"id": "p0", "text": None, "error": {"message": "timeout"}}, "timeout"),
        ({"id": "p0", "failure": {"message": "out of memory"}}, "out of memory"),
        *(
            (
                {"id": "p0", "text": "half", "finish_reason": word},
                f"the server answered with an answer that was aborted ({word}",
            )
            for word in ("error", "abort", "ABORT", "cancelled", "insufficient_system_resource")
        ),
        *(
            ({"id": "p0", "text": "", "finish_reason": word}, f"the server's filter removed the answer ({word}")
            for word in ("content_filter", "SAFETY")
        ),
    ],
)
def test_what_went_wrong_in_a_batch_is_a_failure_with_its_reason(workspace, row, reason):
    failed, missing = outcomes(workspace, [row])
    assert isinstance(failed, Failure)
    assert failed.reason.startswith(reason)
    assert missing == Failure("p1", "out.jsonl has no output for it")


def test_a_refusal_is_an_answer(workspace):
    answered, _ = outcomes(workspace, [chat("p0", {"content": None, "refusal": "I can't."})])
    assert answered.text == "I can't."


@pytest.mark.parametrize(
    ("message", "text", "reasoning"),
    [
        ({"content": "", "refusal": "I can't."}, "I can't.", None),
        ({"content": [{"type": "refusal", "refusal": "I can't."}]}, "I can't.", None),
        ({"content": ["Bees make ", "honey."]}, "Bees make honey.", None),
        ({"content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Yes."}]}, "Yes.", "Hm."),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]}, "", "Hm."),
        ({"content": "Yes.", "reasoning_content": "Hm."}, "Yes.", "Hm."),
        ({"content": None, "reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]}, "", "Hm."),
        ({"content": None, "function_call": {"name": "f", "arguments": "{}"}}, '{"tool_calls": [{"arguments": ', None),
        ({"content": ""}, "", None),
    ],
)
def test_forms_of_an_answer(workspace, message, text, reasoning):
    answered, _ = outcomes(workspace, [chat("p0", message)])
    assert answered.text.startswith(text)
    assert bool(answered.text) is bool(text)
    assert answered.reasoning == reasoning


@pytest.mark.parametrize(
    ("row", "text", "reasoning"),
    [
        ({"text": None, "refusal": "I can't."}, "I can't.", None),
        (
            {"text": [{"type": "text", "text": "Bees make "}, {"type": "text", "text": "honey."}]},
            "Bees make honey.",
            None,
        ),
        ({"text": "Yes.", "reasoning_content": "Hm."}, "Yes.", "Hm."),
        ({"text": None, "reasoning": "Hm."}, "", "Hm."),
    ],
)
def test_forms_of_a_row(workspace, row, text, reasoning):
    answered, _ = outcomes(workspace, [{"id": "p0", **row}])
    assert (answered.text, answered.reasoning) == (text, reasoning)


@pytest.mark.parametrize("word", ["length", "LENGTH", "max_tokens", "MAX_TOKENS", "max_new_tokens", "model_length"])
def test_an_answer_that_was_cut_off_is_one_in_any_words(workspace, word):
    row = chat("p0", {"content": "Half an"})
    row["response"]["body"]["choices"][0]["finish_reason"] = word
    for given in (row, {"id": "p0", "text": "Half an", "finish_reason": word}):
        answered, _ = outcomes(workspace, [given])
        assert answered.finish_reason == "length"


GOOD = b'{"id": "p0", "text": "Yes."}'


@pytest.mark.parametrize(
    "content",
    [b"\xef\xbb\xbf" + GOOD, GOOD + b"\r\n\r\n", b"\n\n" + GOOD + b"\n"],
    ids=["byte order mark", "CRLF", "blank lines"],
)
def test_encodings_of_a_file(workspace, content):
    workspace.prompts("one")
    (workspace.folder / "out.jsonl").write_bytes(content)
    (answered,) = recorded(workspace, "out.jsonl", prompts="prompts.jsonl").outcomes()
    assert answered.text == "Yes."


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (GOOD + b"\n" + GOOD[:12], "line 2: not JSON"),
        (gzip.compress(GOOD), "line 1: not JSON .it is compressed: unpack it first"),
        (b"[" + GOOD + b", 3]", "row 2: expected a JSON object, got int"),
        (b'{"id": "p0", "text": "\xe9"}', "line 1: not UTF-8 text .*utf-8.*save the file as UTF-8"),
        (GOOD.decode().encode("utf-16"), "line 1: not UTF-8 text .*save the file as UTF-8"),  # as PowerShell's > writes
        (GOOD.decode().encode("utf-16-le"), "line 1: not UTF-8 text .*save the file as UTF-8"),
        (b'{"id": "p0", "text": ' + b"[" * 100_000, "line 1: not JSON .nested deeper"),
        (b'{"id": "", "text": "Yes."}', "line 1: the 'id' is empty"),
        (b'{"id": "p0", "text": "Yes.", "seconds": 1e999}', "line 1: 'seconds' must be a number of seconds"),
    ],
    ids=["truncated", "gzip", "an array", "Latin-1", "UTF-16", "UTF-16-LE", "nested", "empty id", "infinite seconds"],
)
def test_a_file_that_can_t_be_read_names_its_line(workspace, content, why):
    workspace.prompts("one")
    (workspace.folder / "out.jsonl").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"out\.jsonl, {why}"):
        recorded(workspace, "out.jsonl", prompts="prompts.jsonl")


DUPLICATES = {
    "a text": b'{"id": "p0", "text": "Yes.", "text": "No."}',
    "a text, equally": b'{"id": "p0", "text": "Yes.", "text": "Yes."}',
    "an id": b'{"id": "p1", "text": "Yes.", "id": "p0"}',
    "an escaped key": b'{"id": "p0", "text": "Yes.", "te\\u0078t": "No."}',
    "an unknown key": b'{"id": "p0", "text": "Yes.", "note": 1, "note": 2}',
    "a failure": b'{"id": "p0", "text": "Yes.", "failure": "no", "failure": null}',
    "token ids": b'{"id": "p0", "text": "Yes.", "token_ids": [1], "token_ids": [2]}',
    "a key of a message": b'{"id": "p0", "text": "Yes.", "prompt": [{"role": "user", "content": "a", "content": "b"}]}',
    "a batch's choices": b'{"custom_id": "p0", "response": {"body": {"choices": [{"text": "a"}], "choices": []}}}',
}
"""Lines with a key twice, of which JSON's parsers use the last one without a word."""


@pytest.mark.parametrize("case", DUPLICATES)
def test_a_duplicate_key_is_refused_with_file_line_and_key(workspace, case):
    workspace.prompts("one")
    key = {"an id": "id", "an unknown key": "note", "a failure": "failure", "token ids": "token_ids"}.get(case, "text")
    key = {"a key of a message": "content", "a batch's choices": "choices"}.get(case, key)
    (workspace.folder / "out.jsonl").write_bytes(b'{"id": "p1", "text": "Yes."}\n' + DUPLICATES[case])
    with pytest.raises(ConfigError, match=rf"out\.jsonl, line 2: duplicate key '{key}'; remove one of the two"):
        recorded(workspace, "out.jsonl", prompts="prompts.jsonl")


def test_a_duplicate_column_of_a_parquet_file_is_refused(workspace):
    workspace.prompts("one")
    table = pa.table([["p0"], ["Yes."], ["No."]], names=["id", "text", "text"])
    pq.write_table(table, workspace.folder / "out.parquet")
    with pytest.raises(ConfigError, match=r"out\.parquet: can.t be read as Parquet .column 'text' is there twice"):
        recorded(workspace, "out.parquet", prompts="prompts.jsonl")


def test_who_answered_is_said(workspace):
    workspace.prompts("one")
    run = recorded(workspace, write(workspace, [chat("p0", {"content": "Hi"})]), prompts="prompts.jsonl")
    assert run.manifest.engine.notes == (
        "read as results of a batch",
        "answered by served-name, according to the recorded file",
    )


@pytest.mark.parametrize(
    "row",
    [
        {"custom_id": "p0"},
        {"custom_id": "p0", "response": {"status_code": 200, "body": {"choices": []}}},
        {"custom_id": "p0", "response": {"status_code": 200, "body": {"choices": [{"index": 0}]}}},
        {"custom_id": 3, "response": None, "error": {"message": "x"}},
    ],
)
def test_a_line_that_is_no_output_is_refused_with_its_number(workspace, row):
    with pytest.raises(ConfigError, match=r"out\.jsonl, line 1: "):
        outcomes(workspace, [row])


def test_the_input_of_a_batch_is_a_prompt_set(workspace):
    parts = [{"role": "user", "content": [{"type": "text", "text": "Why?"}]}]
    rows = [
        {
            "custom_id": "p0",
            "url": "/v1/chat/completions",
            "body": {"model": "m", "messages": [{"role": "system", "content": "Be brief."}, *parts]},
        },
        {"custom_id": "p1", "url": "/v1/completions", "body": {"model": "m", "prompt": "Once"}},
    ]
    write(workspace, rows, "batch.jsonl")
    answers = write(workspace, [chat("p0", {"content": "So."}), chat("p1", {"content": "upon"})])
    first, second = recorded(workspace, answers, prompts="batch.jsonl").prompts()
    assert first.messages == (Message("system", "Be brief."), Message("user", "Why?"))
    assert second.content == "Once"


def test_timings_and_sizes_are_kept_and_change_no_digest(workspace):
    workspace.prompts("one", "two")
    rows = [
        {"id": "p0", "text": "a", "seconds": 1.5, "first_token_seconds": 0.25},
        {"id": "p1", "text": "b", "seconds": 2},
    ]
    file = write(workspace, rows)
    ran = {"ran": {"engine": "executorch", "bytes": 123}}
    run = recorded(workspace, file, prompts="prompts.jsonl", engine=ran)
    timings = {"seconds": 3.5, "seconds_rows": 2, "first_token_seconds": 0.25, "first_token_seconds_rows": 1}
    assert run.manifest.recorded_timings == timings
    assert run.manifest.checkpoint.bytes == 123
    known_by = []
    for engine in ({"engine": "executorch"}, ran["ran"]):
        path = workspace.run("r", model=None, engine={"kind": "recorded", "path": file, "ran": engine})
        known_by.append(identity(load_run(path), remembered=workspace.folder / "hashes.json"))
    assert known_by[0] == known_by[1]
    write(workspace, [{"id": "p0", "text": "a", "seconds": "1.5"}], "bad.jsonl")
    with pytest.raises(ConfigError, match=r"'seconds' must be a number of seconds, got '1\.5'"):
        recorded(workspace, "bad.jsonl")


@needs_the_model
@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_prompts_go_out_and_their_answers_come_back(fidelity, workspace, ending):
    """A fake phone answers each exported row; two of them are compared."""
    workspace.prompts("What is the capital of France?", "Grüße 🙂", "चाय")
    base = workspace.baseline(model=str(MODEL))
    code, out, _ = fidelity("export-prompts", base, f"prompts.{ending}", "--limit", "2")
    assert (code, "2 prompts" in out) == (0, True)
    exported = workspace.folder / f"prompts.{ending}"
    rows = (
        [json.loads(line) for line in exported.read_text().splitlines()]
        if ending == "jsonl"
        else pq.read_table(exported).to_pylist()
    )
    assert rows[0]["rendered"].endswith("What is the capital of France?<|im_end|>\n<|im_start|>assistant\n")
    assert rows[1]["prompt"] == "Grüße 🙂"
    assert rows[0]["sampling"]["max_tokens"] == 8
    answered = [{**row, "text": f"{len(row['prompt_token_ids'])} tokens of {row['rendered']}"} for row in rows]
    files = [write(workspace, answered, f"{name}.jsonl") for name in ("phone", "tablet")]
    runs = [
        workspace.run(file.partition(".")[0], model=None, engine={"kind": "recorded", "path": file}, control="none")
        for file in files
    ]
    code, out, _ = fidelity("compare", *runs, "--metric", "identical", "--store", workspace.store)
    assert code == 0
    (first, _) = Store(workspace.store).runs()
    assert [prompt.content for prompt in first.prompts()] == ["What is the capital of France?", "Grüße 🙂"]


@needs_the_model
def test_the_exported_tokens_are_those_that_a_model_gets(workspace):
    from fidelity.children.prompting import tokenized
    from fidelity.runs.export_prompts import rendered_rows

    transformers = pytest.importorskip("transformers")
    workspace.prompts("What is the capital of France?", "Grüße 🙂")
    config = load_run(workspace.baseline(model=str(MODEL)))
    tokenizer = transformers.AutoTokenizer.from_pretrained(MODEL)
    for row in rendered_rows(config, limit=None):
        asked = {"messages": [{"role": "user", "content": row["prompt"]}], "text": row["prompt"]}
        assert row["prompt_token_ids"] == tokenized(tokenizer, asked, 9999)


def test_a_batch_goes_out_and_comes_back(fidelity, workspace):
    chats = [{"id": "c", "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]}]
    workspace.file("prompts.jsonl", "\n".join(json.dumps(row) for row in chats))
    base = workspace.baseline(sampling={"max_tokens": 9, "temperature": 0.5, "min_p": 0.1})
    assert fidelity("export-prompts", base, "batch.jsonl", "--openai-batch")[0] == 0
    (line,) = [json.loads(line) for line in (workspace.folder / "batch.jsonl").read_text().splitlines()]
    assert (line["custom_id"], line["method"], line["url"]) == ("c", "POST", "/v1/chat/completions")
    assert line["body"] == {
        "model": "model",
        "temperature": 0.5,
        "max_tokens": 9,
        "seed": 0,
        "min_p": 0.1,
        "messages": chats[0]["prompt"],
    }
    answers = write(workspace, [chat(line["custom_id"], {"content": line["body"]["messages"][-1]["content"]})])
    run = recorded(workspace, answers, prompts="batch.jsonl")
    assert run.prompts()[0].messages[0] == Message("system", "Be brief.")
    assert run.outcomes()[0].text == "Why?"


def test_another_ending_is_refused(fidelity, workspace):
    workspace.prompts("one")
    base = workspace.run("r", model=None, engine={"kind": "recorded", "path": "prompts.jsonl"}, prompts="prompts.jsonl")
    code, _, err = fidelity("export-prompts", base, "prompts.csv")
    assert (code, "use .jsonl or .parquet" in err) == (2, True)
    code, _, err = fidelity("export-prompts", base, "prompts.parquet", "--openai-batch")
    assert (code, "give the file the extension .jsonl" in err) == (2, True)
