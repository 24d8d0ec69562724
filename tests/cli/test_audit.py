"""`fidelity audit` against fake servers: an honest one, one that serves another model by that name, the budget."""

import json
import random

import pytest

from tests.engines.fake_server import FakeServer, text_reply

SAMPLING = {"temperature": 1.0, "max_tokens": 8, "repeats": 4}
BF16, INT4 = 0.5, 0.9
"""The probability of each model's first word."""


def served(share, *, salt):
    """A server of a model: twelve words, each drawn with the request's seed. All call it "m"."""

    def answer(request):
        draw = random.Random(f"{salt}/{request.text}/{json.dumps(request.body, sort_keys=True)}")
        return text_reply(" ".join("yes" if draw.random() < share else "not" for _ in range(12)))

    return FakeServer(answer)


@pytest.fixture
def audited(workspace, quick_retries, fidelity):
    """The exit code and output of an audit of servers with these shares, and the requests to the provider."""
    workspace.prompts(*(f"Question {n}?" for n in range(15)))

    def run(provider, *options, suspect=None):
        with served(BF16, salt=1) as base, served(provider, salt=2) as claimed, served(suspect or 0, salt=3) as other:
            engines = {"base": base, "provider": claimed, "int4": other}
            for name, server in engines.items():
                shared = {"prompts": "prompts.jsonl", "sampling": SAMPLING} if name == "base" else {}
                workspace.run(name, model=None, engine={"kind": "openai", "base_url": server.url}, **shared)
            suspects = ("--suspects", "int4.yaml") if suspect else ()
            code, out, error = fidelity("audit", "provider.yaml", "--reference", "base.yaml", *suspects, *options)
            return code, out + error, len(claimed.asked)

    return run


def test_int4_under_the_name_of_bf16_differs(audited):
    code, out, _ = audited(INT4, suspect=INT4)
    assert code == 1, out
    assert "provider: differs" in out
    assert "resembles most: int4" in out


def test_the_model_itself_is_not_distinguishable_where_the_suspect_would_be(audited):
    code, out, _ = audited(BF16, suspect=INT4)
    assert code == 0, out
    assert "doesn't prove that the weights are the same" in out
    assert "resembles most: base" in out


def test_without_a_suspect_or_with_too_little_power_no_difference_is_undecided(audited):
    code, out, _ = audited(BF16)
    assert (code, "without --suspects" in out) == (2, True), out
    code, out, _ = audited(BF16, suspect=0.52)
    assert (code, "power is below 80%" in out) == (2, True), out


def test_a_dry_run_prints_the_budget_and_sends_nothing(audited):
    code, out, requests = audited(BF16, "--dry-run", "--limit", "10")
    assert (code, requests) == (0, 0)
    assert "40 requests (4 answers per prompt, temperature 1, at most 320 tokens)" in out


def test_one_answer_per_prompt_is_refused(audited, workspace, fidelity):
    workspace.run(
        "base",
        model=None,
        engine={"kind": "openai", "base_url": "http://127.0.0.1:9/v1"},
        **{"prompts": "prompts.jsonl", "sampling": {"max_tokens": 8}},
    )
    workspace.run("provider", model=None, engine={"kind": "openai", "base_url": "http://127.0.0.1:9/v1"})
    code, out, error = fidelity("audit", "provider.yaml", "--reference", "base.yaml")
    assert code == 2
    assert "repeats: 4" in out + error


def test_a_recording_is_refused(workspace, fidelity):
    workspace.prompts("one?")
    workspace.baseline(sampling=SAMPLING)
    workspace.recorded("provider", [{"id": "p0", "text": "x"}])
    code, out, error = fidelity("audit", "provider.yaml", "--reference", "base.yaml")
    assert code == 2
    assert "provider.yaml: engine.kind: recorded: an audit draws new answers" in out + error


def test_two_sources_of_one_name_are_refused(workspace, fidelity):
    """Two suspects of one name were shown as one."""
    engine = {"kind": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "m"}
    workspace.prompts("one")
    workspace.baseline(model=None, engine=engine, sampling=SAMPLING)
    code, _, error = fidelity("audit", "base.yaml", "--reference", "base.yaml", "--dry-run", "--store", "store")
    assert code == 2
    assert "is used in two of the files" in error
