"""The token scores that vLLM's server gives for a continuation."""

import json
from contextlib import contextmanager

import numpy as np
import pytest

from fidelity.config import load_run
from fidelity.engines import can_score_tokens, open_engine
from fidelity.engines.base import TokenScoringEngine
from fidelity.records import Failure, Prompt, TokenScores
from tests.engines.fake_server import FakeServer, Reply, listing, text_reply
from tests.engines.test_openai import VLLM

# The prompt is tokens 1 and 2. Of what follows, 7 is the likeliest token, and 9 the third, beyond the top 2.
ROWS = [
    None,
    {"2": {"logprob": -0.1, "rank": 1}},
    {"7": {"logprob": -0.5, "rank": 1}, "8": {"logprob": -1.0, "rank": 2}},
    {"7": {"logprob": -0.5, "rank": 1}, "8": {"logprob": -1.0, "rank": 2}, "9": {"logprob": -3.0, "rank": 3}},
]


def answer(request):
    if request.path == "/tokenize":
        return Reply({"tokens": [1, 2], "count": 2})
    if request.path == "/v1/chat/completions":
        return text_reply()
    assert request.body["prompt"][:2] == [1, 2]
    if request.body["prompt"][2:] == [666]:
        return Reply({"error": {"message": "too long"}}, status=400)
    rows = ROWS[: len(request.body["prompt"])]
    return Reply({"choices": [{"text": "", "prompt_logprobs": rows}]})


@contextmanager
def engine_of(tmp_path, server, **more):
    file = tmp_path / "run.yaml"
    file.write_text(json.dumps({"name": "r", "engine": {"kind": "openai", "base_url": server.url, **more}}))
    with open_engine(load_run(file), log=tmp_path / "log", on_progress=lambda _: None) as engine:
        yield engine


def test_the_last_rows_are_the_continuations(tmp_path):
    prompts = [Prompt("a", "A?"), Prompt("b", "B?"), Prompt("c", "C?"), Prompt("d", "D?")]
    with FakeServer(answer, models=listing(VLLM)) as server, engine_of(tmp_path, server) as engine:
        assert isinstance(engine, TokenScoringEngine)
        both, refused, none, one = engine.score_tokens(prompts, [[7, 9], [666], [], [7]], 2)
    assert isinstance(both, TokenScores)
    assert both.token_ids.tolist() == [7, 9]
    assert both.logprobs == pytest.approx([-0.5, -3.0])
    assert both.ranks.tolist() == [1, 3]
    assert both.top_ids.tolist() == [[7, 8], [7, 8]]
    assert both.top_logprobs == pytest.approx(np.array([[-0.5, -1.0], [-0.5, -1.0]]))
    assert isinstance(refused, Failure)
    assert (refused.prompt_id, refused.cause) == ("b", "model")
    assert refused.reason.startswith("HTTP 400: too long; tried ")
    assert (none.prompt_id, none.token_ids.shape, none.top_ids.shape) == ("c", (0,), (0, 0))
    assert one.ranks.tolist() == [1]
    asked = [request.body for request in server.asked if request.path == "/tokenize"]
    assert sorted(body["messages"][0]["content"] for body in asked) == ["A?", "B?", "C?", "D?"]


@pytest.mark.parametrize("rows", [None, [], [None], "rows", [{"7": {}}], [{"7": {"logprob": "x", "rank": 1}}], [{}]])
def test_rows_that_are_none_are_a_failure(tmp_path, monkeypatch, rows):
    monkeypatch.setattr("fidelity.engines.server_session.FIRST_WAIT_S", 0.0)

    def broken(request):
        reply = answer(request)
        return Reply({"choices": [{"prompt_logprobs": rows}]}) if request.path == "/v1/completions" else reply

    with FakeServer(broken, models=listing(VLLM)) as server, engine_of(tmp_path, server) as engine:
        (outcome,) = engine.score_tokens([Prompt("a", "A?")], [[7]], 2)
    assert isinstance(outcome, Failure)
    assert "invalid prompt_logprobs" in outcome.reason
    assert outcome.cause == "world"


def test_where_no_scores_are_ever_given_the_prompts_are_asked_again_later(tmp_path, monkeypatch):
    monkeypatch.setattr("fidelity.engines.server_session.FIRST_WAIT_S", 0.0)

    def refusing(request):
        disabled = Reply({"error": {"message": "prompt_logprobs are disabled"}}, status=400)
        return disabled if request.path == "/v1/completions" else answer(request)

    with FakeServer(refusing, models=listing(VLLM)) as server, engine_of(tmp_path, server) as engine:
        outcomes = list(engine.score_tokens([Prompt("a", "A?"), Prompt("b", "B?")], [[7], [7]], 2))
    assert [(outcome.prompt_id, outcome.cause) for outcome in outcomes] == [("a", "world"), ("b", "world")]
    assert all("prompt_logprobs are disabled" in outcome.reason for outcome in outcomes)


def test_the_whole_vocabulary_is_left_to_the_engine(tmp_path):
    with FakeServer(answer, models=listing(VLLM)) as server, engine_of(tmp_path, server) as engine:
        (outcome,) = engine.score_tokens([Prompt("a", "A?")], [[7]], -1)
    assert "use the engine 'vllm' for 'exact'" in outcome.reason


def test_other_servers_do_not_force(tmp_path):
    with FakeServer(answer) as server, engine_of(tmp_path, server) as engine:
        assert not isinstance(engine, TokenScoringEngine)
    config = load_run(tmp_path / "run.yaml")
    assert not can_score_tokens(config, {"server": {"owner": "llamacpp"}})
    assert can_score_tokens(config, {"server": {"owner": "vllm"}})
