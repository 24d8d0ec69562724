"""Servers that fail, go away and come back, and commands that are killed: every prompt ends as one record."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest

from fidelity.config import load_run
from fidelity.errors import EngineError
from fidelity.metrics.identical import Identical
from fidelity.pipeline import ComparisonRequest, compare, generate
from fidelity.records import Failure
from fidelity.store.store import Store
from tests.conftest import Silent
from tests.engines.fake_server import FakeServer, Reply, text_reply
from tests.engines.faulty_server import Faulty
from tests.engines.test_openai import of


def written(workspace, url, **engine):
    return workspace.baseline(
        model=None, control="none", kl="none", engine={"kind": "openai", "base_url": url, **engine}
    )


def run(workspace, path):
    return generate(load_run(path), store=Store(workspace.store), listener=Silent())[0]


def texts_of(count):
    """Every fiftieth is one that the server never answers."""
    return [f"{'never' if n % 50 == 7 else 'prompt'} {n}" for n in range(count)]


def check(finished, texts):
    """Each prompt once: answered as the server answers, or a failure with its reason."""
    outcomes = finished.outcomes()
    assert [outcome.prompt_id for outcome in outcomes] == [f"p{n}" for n in range(len(texts))]
    for outcome, text in zip(outcomes, texts, strict=True):
        if isinstance(outcome, Failure):
            assert outcome.reason.startswith(
                ("HTTP 500: too hard", "HTTP 500: boom", "no answer within", "the connect", "http")
            )
        else:
            assert outcome.text == text[::-1]
    never = {n for n, text in enumerate(texts) if text.startswith("never")}
    failed = {n for n, outcome in enumerate(outcomes) if isinstance(outcome, Failure)}
    assert never <= failed


@pytest.mark.usefixtures("quick_retries")
def test_a_thousand_prompts_end_answered_or_with_a_reason(workspace, monkeypatch):
    monkeypatch.setattr("fidelity.engines.server_session.LONGEST_WAIT_S", 0.5)
    texts = texts_of(1000)
    workspace.prompts(*texts)
    faulty = Faulty()
    with FakeServer(faulty.answer) as server:
        finished = run(workspace, written(workspace, server.url, timeout=0.7, patience=2.0))
    check(finished, texts)
    assert min(faulty.faults[kind] for kind in ("500", "silent", "cut", "slow", "never")) > 5


@pytest.mark.slow
def test_and_so_they_do_when_the_command_is_killed_in_between(workspace):
    texts = texts_of(1000)
    workspace.prompts(*texts)
    faulty, draw, kills, at_once = Faulty(), random.Random(5), 0, 16
    with FakeServer(faulty.answer) as server:
        path = written(workspace, server.url, timeout=0.5, patience=2.0, concurrency=at_once)
        command = [sys.executable, "-m", "fidelity", "generate", str(path), "--store", str(workspace.store)]
        while kills < 3:
            answered = lines(workspace)
            running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while lines(workspace) < answered + draw.randint(50, 200) and running.poll() is None:
                time.sleep(0.01)
            assert running.poll() is None
            os.kill(running.pid, signal.SIGKILL)
            running.wait()
            kills += 1
        finished = run(workspace, path)
    check(finished, texts)
    twice = Counter(dict(faulty.answered))
    # What was on its way when the command was killed is all that may be answered a second time.
    assert sum(count - 1 for count in twice.values() if count > 1) <= kills * at_once
    assert not list(finished.path.glob("answers-*"))


def lines(workspace):
    return sum(file.read_bytes().count(b"\n") for file in workspace.store.rglob("answers-*.jsonl"))


@pytest.mark.usefixtures("quick_retries")
class TestGoneAndBack:
    def test_a_server_that_is_gone_ends_the_run_and_what_was_answered_is_kept(self, workspace):
        texts = [f"prompt {n}" for n in range(60)]
        workspace.prompts(*texts)
        asked = []

        def answer(request):
            asked.append(request.text)
            if len(asked) == 30:
                threading.Thread(target=server.__exit__).start()
                return Reply({}, stall=True)
            return text_reply(request.text)

        server = FakeServer(of(answer))
        server.__enter__()
        path = written(workspace, server.url, concurrency=4, deadline=0.3, timeout=5)
        with pytest.raises(EngineError, match=r".* can't be reached .* for \d+ s now; finished answers are saved"):
            run(workspace, path)
        answered = lines(workspace)
        assert answered >= 20
        before = len(asked)
        with server:
            finished = run(workspace, path)
        assert finished.manifest.counts.generations == 60
        assert len(asked) - before == 60 - answered
        assert Store(workspace.store).measurement(finished) is None  # its time is not that of one sitting

    def test_one_that_comes_back_in_time_is_waited_for(self, workspace):
        workspace.prompts(*(f"prompt {n}" for n in range(20)))
        back = threading.Event()

        def answer(request):
            if back.is_set():
                return text_reply(request.text)
            if not restarting.ident:
                restarting.start()
            return Reply({}, cut=1)

        def restart():
            server.__exit__()
            time.sleep(0.3)
            back.set()
            server.__enter__()

        server, restarting = FakeServer(of(answer)), threading.Thread(target=restart)
        with server:
            finished = run(workspace, written(workspace, server.url, concurrency=4, deadline=20, timeout=5))
        assert finished.manifest.counts.failures == 0

    def test_a_model_that_is_still_loading_is_waited_for(self, workspace):
        workspace.prompts("one")
        loading = iter([Reply({"error": {"message": "Loading model"}}, status=503)] * 2)
        with FakeServer(lambda _: next(loading, text_reply())) as server:
            assert run(workspace, written(workspace, server.url)).manifest.counts.failures == 0


@pytest.mark.usefixtures("quick_retries")
def test_an_interrupted_run_leaves_no_connection_and_no_task(workspace):
    workspace.prompts(*(f"prompt {n}" for n in range(8)))
    reached = threading.Event()

    def answer(request):
        if request.text == "Hi":
            return text_reply()
        reached.set()
        return Reply({}, stall=True)

    with FakeServer(answer) as server:
        path = written(workspace, server.url)
        threading.Thread(target=lambda: (reached.wait(10), os.kill(os.getpid(), signal.SIGINT))).start()
        with pytest.raises(KeyboardInterrupt):
            run(workspace, path)


def test_a_candidate_whose_server_is_not_there_keeps_no_other_from_being_compared(workspace):
    workspace.prompts("one", "two")
    metrics = [Identical()]
    with FakeServer(lambda request: text_reply(request.text)) as server:
        base = load_run(written(workspace, server.url))
        away, there = (
            load_run(workspace.run(name, model=None, engine={"kind": "openai", "base_url": url}))
            for name, url in (("away", "http://127.0.0.1:9/v1"), ("there", server.url))
        )
        result = compare(
            ComparisonRequest(base, [away, there], metrics), store=Store(workspace.store), listener=Silent()
        )
    assert list(result.not_compared) == ["away"]
    assert "http://127.0.0.1:9/v1 can't be reached" in result.not_compared["away"]
    assert [scores.run.name for scores in result.candidates] == ["there"]
