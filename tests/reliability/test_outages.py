"""A server that fails for a while loses no prompt for good, and a prompt that it refuses ends no run."""

import json
import time
from collections import Counter

import pytest

from fidelity.config import load_run
from fidelity.errors import EngineError
from fidelity.pipeline import generate
from fidelity.records import Failure
from fidelity.store.store import Store
from tests.conftest import Silent
from tests.engines.fake_server import FakeServer, Reply, text_reply

FAULTS = {
    "400": Reply({"error": {"message": "no slot available"}}, status=400),
    "403": Reply(b"<html>blocked</html>", status=403),
    "404": Reply(b"<html>no upstream</html>", status=404),
    "429": Reply({}, status=429),
    "500": Reply({"error": {"message": "boom"}}, status=500),
    "502": Reply(b"", status=502),
    "HTML": Reply(b"<!doctype html><h1>Maintenance</h1>"),
    "empty": Reply(b""),
    "broken JSON": Reply(b'{"choices": [{"message": {"content": "hal'),
    "error with 200": Reply({"error": "overloaded"}),
}


class Outage:
    """Answers so many prompts, then only with a fault for some seconds, then all of them."""

    def __init__(self, fault, *, after, seconds):
        self.fault, self.after, self.seconds, self.began = fault, after, seconds, None
        self.answered = Counter()

    def __call__(self, request):
        if request.text == "Hi":
            return text_reply()
        if self.began is None and sum(self.answered.values()) >= self.after:
            self.began = time.monotonic()
        if self.began is not None and time.monotonic() - self.began < self.seconds:
            return self.fault
        self.answered[request.text] += 1
        return text_reply(request.text[::-1])


@pytest.fixture
def run(workspace, quick_retries):
    def run(server, *, keep_failures=False, listener=None, **engine):
        engine = {"kind": "openai", "base_url": server.url, "concurrency": 8, "timeout": 2, "deadline": 20, **engine}
        path = workspace.baseline(model=None, control="none", kl="none", engine=engine)
        store = Store(workspace.store)
        return generate(load_run(path), store=store, listener=listener or Silent(), keep_failures=keep_failures)[0]

    return run


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_short_outage_loses_nothing_and_asks_nothing_twice(workspace, run, fault):
    texts = [f"prompt {n}" for n in range(60)]
    workspace.prompts(*texts)
    outage = Outage(fault, after=20, seconds=0.7)
    with FakeServer(outage) as server:
        finished = run(server)
    assert [one.text for one in finished.outcomes()] == [text[::-1] for text in texts]
    assert set(outage.answered.values()) == {1}
    assert outage.began


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_half_a_minute_within_a_thousand_prompts(workspace, run, fault):
    texts = [f"prompt {n}" for n in range(1000)]
    workspace.prompts(*texts)
    outage, ended = Outage(fault, after=500, seconds=30), 0
    with FakeServer(outage) as server:
        while True:
            try:
                finished = run(server, deadline=12, concurrency=32, timeout=10)  # a busy machine answers late
                break
            except EngineError:
                ended += 1
                assert ended < 10
    assert [one.text for one in finished.outcomes()] == [text[::-1] for text in texts]
    assert set(outage.answered.values()) == {1}


@pytest.mark.parametrize("name", ["400", "403", "HTML"])
def test_one_that_lasts_ends_the_run_and_the_next_goes_on(workspace, run, name):
    workspace.prompts(*(f"prompt {n}" for n in range(40)))
    outage = Outage(FAULTS[name], after=20, seconds=1.5)
    with FakeServer(outage) as server:
        with pytest.raises(
            EngineError, match=r"for \d+ s now; finished answers are saved, run the command again to continue"
        ):
            run(server, deadline=0.5)
        time.sleep(1.5)
        finished = run(server)
    assert finished.manifest.counts.failures == 0
    assert set(outage.answered.values()) == {1}


@pytest.mark.parametrize(("status", "cause"), [(400, "model"), (413, "model"), (403, "world"), (404, "world")])
def test_a_prompt_that_alone_is_refused_has_failed(workspace, run, status, cause):
    workspace.prompts("one", "two", "three", "four")
    refusal = Reply({"error": {"message": "not this one"}}, status=status)
    with FakeServer(lambda request: refusal if request.text == "two" else text_reply(request.text)) as server:
        finished = run(server)
    (failure,) = [one for one in finished.outcomes() if isinstance(one, Failure)]
    assert (failure.prompt_id, failure.cause) == ("p1", cause)
    assert finished.manifest.counts.world_failures == (cause == "world")


def test_a_prompt_that_is_too_long_is_asked_once(workspace, run):
    workspace.prompts("one", "two")
    refusal = Reply({"error": {"message": "This model's maximum context length is 8 tokens"}}, status=400)
    with FakeServer(lambda request: refusal if request.text == "two" else text_reply()) as server:
        finished = run(server)
        assert [request.text for request in server.asked].count("two") == 1
    assert finished.outcomes()[1].cause == "model"


def test_what_failed_because_of_the_world_is_asked_again_at_the_next_run(workspace, run):
    workspace.prompts("one", "two", "three")
    blocked = {"two"}

    def answer(request):
        return FAULTS["403"] if request.text in blocked else text_reply(request.text[::-1])

    lines = []
    listener = Silent()
    listener.say = lines.append
    with FakeServer(answer) as server:
        first = run(server)
        before = first.outcomes()
        assert run(server, keep_failures=True).outcomes() == before
        blocked.clear()
        asked = len(server.asked)
        second = run(server, listener=listener)
        assert second.path == first.path
        assert [one.text for one in second.outcomes()] == ["eno", "owt", "eerht"]
        texts = [request.text for request in server.asked[asked:]]
        assert set(texts) <= {"Hi", "two"}
        assert not list(second.path.glob("answers-*"))
    assert "1 of its prompts failed because of the server" in " ".join(lines)


def test_a_finished_run_stays_while_its_server_is_away(workspace, run):
    workspace.prompts("one", "two")
    with FakeServer(lambda r: FAULTS["403"] if r.text == "two" else text_reply()) as server:
        finished = run(server)
    assert run(server).outcomes() == finished.outcomes()


def test_numbers_of_answers_that_are_gone_are_scored_again(workspace, run, fidelity):
    workspace.prompts("one", "two", "three")
    blocked = {"two"}

    def answer(request):
        return FAULTS["403"] if request.text in blocked else text_reply(request.text)

    with FakeServer(answer) as server:
        engine = {"kind": "openai", "base_url": server.url}
        base = workspace.baseline(model=None, control="none", kl="none", engine=engine)
        quant = workspace.run("quant", model=None, engine=engine)
        report = workspace.folder / "report.json"
        command = ["compare", base, quant, "--store", workspace.store, "--metric", "identical", "--json", report]
        pairs = []
        for _ in range(2):
            code, _, err = fidelity(*command)
            assert code == 0, err
            (manifest,) = (json.loads(file.read_text()) for file in workspace.store.glob("comparisons/*/manifest.json"))
            pairs.append(manifest["prompt_ids"])
            blocked.clear()
    assert pairs == [["p0", "p2"], ["p0", "p1", "p2"]]


def test_an_outage_is_reported_while_it_lasts(workspace, run, monkeypatch):
    monkeypatch.setattr("fidelity.engines.outages.FIRST_NOTE_S", 0.2)
    workspace.prompts(*(f"prompt {n}" for n in range(30)))
    lines = []
    listener = Silent()
    listener.say = lines.append
    with FakeServer(Outage(FAULTS["404"], after=10, seconds=1)) as server:
        run(server, listener=listener)
    reported = [line for line in lines if "no answer for" in line or "answers again" in line]
    assert len(reported) == 2
    assert "HTTP 404" in reported[0]
