"""Outputs as people have them: lm-eval, `vllm bench serve`, batches, responses of servers and rows, read by content."""

import csv
import json

import pytest

from fidelity.config import load_run
from fidelity.engines.replies import generation
from fidelity.errors import ConfigError
from fidelity.pipeline import generate
from fidelity.records import Failure
from fidelity.store.store import Store
from tests.conftest import Silent

PROMPTS = ("Name a fruit.", "What do bees make?", "Say hello in Spanish.")
ANSWERS = ("An apple.", "Bees make honey.", "Hola.")
CALL = {"id": "call_8f", "type": "function", "function": {"name": "look_up", "arguments": '{"about":  "bees"}'}}


def sample(number, prompt, *texts, **more):
    """A line of lm-eval 0.4.x: `sanitize_list` makes texts of all responses."""
    return {
        "doc_id": number,
        "doc": {"question": prompt},
        "target": "?",
        "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": {"until": ["\n\n"], "temperature": 0.0}}},
        "resps": [list(texts)],
        "filtered_resps": [texts[0]],
        "filter": "none",
        "metrics": ["exact_match"],
        "doc_hash": "0" * 64,
        "exact_match": 1.0,
        **more,
    }


def bench(texts, errors=None, **more):
    """What vLLM 0.32 saves with --save-result --save-detailed."""
    return {
        "date": "20261128-120000",
        "backend": "vllm",
        "model_id": "org/m",
        "num_prompts": len(texts),
        "request_rate": "inf",
        "duration": 1.5,
        "completed": len(texts),
        "failed": 0,
        "request_throughput": 2.0,
        "input_lens": [6] * len(texts),
        "output_lens": [3] * len(texts),
        "ttfts": [0.25] * len(texts),
        "itls": [[0.1, 0.1]] * len(texts),
        "latencies": [0.5] * len(texts),
        "generated_texts": list(texts),
        "errors": errors or [""] * len(texts),
        **more,
    }


def message(content, finish="stop", **more):
    return {"index": 0, "message": {"role": "assistant", "content": content, **more}, "finish_reason": finish}


def response(*choices, **more):
    return {
        "id": "chatcmpl-5e1f",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": list(choices),
        **more,
    }


def batch(id_, body, *, status=200, error=None, prefix="batch_req_"):
    answered = None if body is None and status is None else {"status_code": status, "request_id": "r", "body": body}
    return {"id": f"{prefix}{id_}", "custom_id": id_, "response": answered, "error": error}


def outcomes(workspace, name, content, *, prompts=PROMPTS, **keys):
    """What a recorded file gives for the prompts p0, p1, p2, and the run's notes."""
    (workspace.folder / name).write_text(content, encoding="utf-8")
    if prompts:
        workspace.prompts(*prompts)
        keys["prompts"] = "prompts.jsonl"
    path = workspace.run("recorded", model=None, engine={"kind": "recorded", "path": name}, control="none", **keys)
    (run,) = generate(load_run(path), store=Store(workspace.store), listener=Silent())
    return run.outcomes(), run.manifest.engine.notes


def lines(rows):
    return "\n".join(json.dumps(row) for row in rows)


def table(rows):
    from io import StringIO

    file = StringIO()
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


PAIRS = list(zip(PROMPTS, ANSWERS, strict=True))
FILES = {
    "lm-eval": ("samples_demo.jsonl", lines(sample(n, *pair) for n, pair in enumerate(PAIRS)), "samples of lm-eval"),
    "lm-eval, older arguments": (
        "samples.jsonl",
        lines(sample(n, p, a, arguments=[[p, {"until": []}]]) for n, (p, a) in enumerate(PAIRS)),
        "samples of lm-eval",
    ),
    "lm-eval, a chat": (
        "samples.jsonl",
        lines(
            sample(n, [json.dumps([{"role": "user", "content": p, "type": "text"}])], a)
            for n, (p, a) in enumerate(PAIRS)
        ),
        "samples of lm-eval",
    ),
    "lm-eval, two filters": (
        "samples.jsonl",
        lines(sample(n, *pair, filter=f) for f in ("strict", "flexible") for n, pair in enumerate(PAIRS)),
        "samples of lm-eval",
    ),
    "vllm bench serve": ("bench.json", json.dumps(bench(ANSWERS)), "a result of vllm bench serve"),
    "vllm bench serve, indented": ("bench.json", json.dumps(bench(ANSWERS), indent=1), "a result of vllm bench serve"),
    "OpenAI batch": (
        "batch_output.jsonl",
        lines(batch(f"p{n}", response(message(a))) for n, a in reversed(list(enumerate(ANSWERS)))),
        "results of a batch",
    ),
    "vLLM run-batch": (
        "results.jsonl",
        lines(batch(f"p{n}", response(message(a)), prefix="vllm-") for n, a in enumerate(ANSWERS)),
        "results of vLLM's run-batch",
    ),
    "chat completions": ("log.jsonl", lines(response(message(a)) for a in ANSWERS), "chat completions"),
    "rows": ("rows.jsonl", lines({"id": f"p{n}", "text": a} for n, a in enumerate(ANSWERS)), None),
    "an array": ("list.json", json.dumps([{"id": f"p{n}", "text": a} for n, a in enumerate(ANSWERS)]), None),
    "CSV": ("rows.csv", table([{"prompt": p, "response": a} for p, a in PAIRS]), None),
    "prompts in place of ids": (
        "rows.jsonl",
        lines({"question": p, "prediction": a} for p, a in reversed(PAIRS)),
        None,
    ),
    "other ids": ("rows.jsonl", lines({"id": n, "prompt": p, "output": a} for n, (p, a) in enumerate(PAIRS)), None),
    "chats": (
        "chats.jsonl",
        lines({"messages": [{"role": "user", "content": p}, {"role": "assistant", "content": a}]} for p, a in PAIRS),
        None,
    ),
    "ShareGPT": (
        "chats.json",
        json.dumps(
            [
                {"id": f"x{p}", "conversations": [{"from": "human", "value": p}, {"from": "gpt", "value": a}]}
                for p, a in PAIRS
            ]
        ),
        None,
    ),
    "instructions": (
        "alpaca.json",
        json.dumps([{"instruction": p, "input": "", "output": a} for p, a in PAIRS]),
        None,
    ),
    "texts alone": ("rows.jsonl", lines({"text": a} for a in ANSWERS), None),
}
WITHOUT_PROMPTS = ("vllm bench serve", "vllm bench serve, indented", "chat completions", "texts alone")


@pytest.mark.parametrize("kind", FILES)
def test_the_same_answers_in_any_format(workspace, kind):
    name, content, format_ = FILES[kind]
    answers, notes = outcomes(workspace, name, content)
    assert [(answer.prompt_id, answer.text) for answer in answers] == [(f"p{n}", a) for n, a in enumerate(ANSWERS)]
    assert (f"read as {format_}" in notes) == (format_ is not None)
    assert any("paired with the prompts by position" in note for note in notes) == (kind in WITHOUT_PROMPTS)


@pytest.mark.parametrize("kind", ["lm-eval", "vllm bench serve", "prompts in place of ids"])
def test_two_files_of_a_kind_need_no_prompt_set(fidelity, workspace, kind):
    name, content, _ = FILES[kind]
    for folder, text in (("base", content), ("quant", content.replace("Hola", "Buenas"))):
        (workspace.folder / folder).mkdir()
        (workspace.folder / folder / name).write_text(text)
    options = ("--control", "none", "--metric", "identical", "--set", "name=x")
    code, _, error = fidelity("compare", f"base/{name}", f"quant/{name}", *options[:4])
    assert code == 2  # both runs are named after their files
    assert "name" in error
    (workspace.folder / "base" / name).rename(workspace.folder / f"base{name}")
    code, out, error = fidelity("compare", f"base{name}", f"quant/{name}", *options[:4])
    assert code == 0, error
    assert ": 1 of 3 are worded differently" in out


REPLIES = {
    "a text": message("Hi."),
    "parts": message([{"type": "text", "text": "H"}, {"type": "text", "text": "i."}]),
    "a tool call": message(None, "tool_calls", tool_calls=[CALL]),
    "a text and a tool call": message("Let me see.", "tool_calls", tool_calls=[CALL]),
    "a refusal": message(None, refusal="No."),
    "reasoning that was cut off": message(None, "length", reasoning="Hm, a fruit"),
}


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
def test_an_answer_counts_the_same_from_a_server_and_from_a_file(workspace, reply):
    body = response(reply, usage={"prompt_tokens": 9})
    server = generation(json.dumps(body).encode(), prompt_id="p0")
    row = {"id": "p0", "finish_reason": reply["finish_reason"], "prompt_tokens": 9}
    for rows in (
        [batch("p0", body)],
        [batch("p0", body, prefix="vllm-")],
        [body],
        [{**row, "text": reply["message"]["content"], **{k: v for k, v in reply["message"].items() if k != "role"}}],
        [{**row, "messages": [{"role": "user", "content": PROMPTS[0]}, reply["message"]]}],
    ):
        ((answer,), _) = outcomes(workspace, "out.jsonl", lines(rows), prompts=PROMPTS[:1])
        assert (answer.text, answer.reasoning, answer.finish_reason) == (
            server.text,
            server.reasoning,
            server.finish_reason,
        )
        assert answer.prompt_tokens == 9


def test_a_tool_call_is_its_canonical_json(workspace):
    ((answer,), _) = outcomes(
        workspace, "o.jsonl", lines([batch("p0", response(REPLIES["a tool call"]))]), prompts=["Hi"]
    )
    assert answer.text == '{"tool_calls": [{"arguments": {"about": "bees"}, "name": "look_up"}]}'


def test_failures_of_batches_and_benchmarks(workspace):
    error = {"error": {"message": "no such model", "type": "NotFoundError", "param": None, "code": 404}}
    rows = [
        batch("p0", None, status=400, error="the prompt is too long", prefix="vllm-"),
        batch("p1", None, status=404, error=error, prefix="vllm-"),
        batch("p2", None, status=None, error={"code": "batch_expired", "message": "out of time"}),
    ]
    failures, _ = outcomes(workspace, "out.jsonl", lines(rows))
    reasons = ["HTTP 400: the prompt is too long", "HTTP 404: no such model", "batch_expired: out of time"]
    assert failures == [Failure(f"p{n}", reason) for n, reason in enumerate(reasons)]
    document = bench(["An apple.", "", "Hola."], ["", "Bad Gateway", ""])
    (_, failed, _), _ = outcomes(workspace, "bench.json", json.dumps(document))
    assert failed == Failure("p1", "Bad Gateway")


def test_repeats_of_lm_eval(workspace):
    rows = [sample(n, p, f"{p} a", f"{p} b") for n, p in enumerate(PROMPTS)]
    answers, _ = outcomes(workspace, "samples.jsonl", lines(rows), prompts=None)
    assert sorted((a.prompt_id, a.repeat) for a in answers) == [
        (str(n), repeat) for n in range(3) for repeat in range(2)
    ]


LIKELIHOOD = sample(0, "A or B?", "x", resps=[[["-1.5", "False"]], [["-0.5", "True"]]])


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("s.jsonl", lines([LIKELIHOOD]), "s.jsonl, line 1: this sample of lm-eval has no generated text, only scores"),
        (
            "s.jsonl",
            lines([sample(0, "x", "-3", arguments={"gen_args_0": {"arg_0": "text"}})]),
            "s.jsonl, line 1: this sample of lm-eval has no generated text",
        ),
        (
            "b.json",
            json.dumps({k: v for k, v in bench(ANSWERS).items() if k not in ("generated_texts", "errors")}),
            "b.json, line 1: this result of vllm bench serve has no 'generated_texts'; run it with --save-result --s",
        ),
        ("b.json", json.dumps(bench(ANSWERS, ttfts=[1])), "b.json, line 1: 3 'generated_texts' but 1 'ttfts'"),
        (
            "b.json",
            json.dumps(bench([1, "b", "c"])),
            "b.json, line 1: 'generated_texts' must be texts, got 1 at place 0",
        ),
        (
            "b.json",
            json.dumps(bench(ANSWERS[:2])),
            "b.json: has 2 answers without ids for 3 prompts, so they can't be paired by position; give ",
        ),
        (
            "r.jsonl",
            lines([{"text": "a"}, {"id": "p1", "text": "b"}]),
            "r.jsonl, line 1: some rows of the file have neither an id nor a prompt; give each row an 'id', or none",
        ),
        (
            "r.jsonl",
            lines([{"id": "p0", "reply": "a"}]),
            "r.jsonl, line 1: a recorded output needs 'text' (or 'failure')",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_named(workspace, name, content, error):
    with pytest.raises(ConfigError) as caught:
        outcomes(workspace, name, content)
    assert error in str(caught.value)


def test_a_prompt_that_occurs_twice_is_not_paired_by_its_text(workspace):
    rows = [{"id": "a", "prompt": "Hi", "text": "1"}, {"id": "b", "prompt": "Hi", "text": "2"}]
    (failed,), _ = outcomes(workspace, "r.jsonl", lines(rows), prompts=["Hi"])
    assert failed == Failure("p0", "r.jsonl has no output for it")
