"""Studies with several engines at once: the same answers as one at a time, and none lost or doubled by any death."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from fidelity.cli.comparing import metrics_of
from fidelity.engines.timing import TimedChild
from fidelity.records import Failure
from fidelity.runs.pool import LocalPlaces
from fidelity.store.store import Store
from fidelity.study.study import load_study, run_study
from tests.conftest import Silent
from tests.study.answers import lost_and_doubled

pytestmark = pytest.mark.usefixtures("fake_vllm")
PATIENCE_S = 90.0
RUNS = 8
"""Two families of a baseline, a control and two candidates."""


@pytest.fixture
def study(workspace):
    """Writes study.yaml: two families, two candidates each; returns its path."""

    def study(texts, *, families=("small", "large"), **keys):
        workspace.prompts(*texts)
        data = {
            "name": "sizes",
            "prompts": "prompts.jsonl",
            "sampling": {"max_tokens": 8},
            "metrics": ["identical"],
            "families": [
                {
                    "name": name,
                    "baseline": {**run(f"{name}-base"), "control": {"repeats": 1}},
                    "candidates": [run(f"{name}-a", max_model_len=400), run(f"{name}-b", max_model_len=300)],
                }
                for name in families
            ],
            **keys,
        }
        return workspace.file("study.yaml", yaml.safe_dump(data))

    return study


def run(name, **engine):
    return {"name": name, "model": "model", "engine": {"kind": "vllm", **engine}}


def questions(count, word=""):
    return [f"{word} question {n}".strip() for n in range(count)]


def done(path, store, engines=None, listener=None):
    places = LocalPlaces(engines=engines) if engines else None
    return run_study(
        load_study(path), store=Store(store), listener=listener or Silent(), metrics_of=metrics_of, places=places
    )


def answers(store):
    """Every run's outcomes by prompt, by the run's name."""
    return {run.name: {one.prompt_id: one for one in run.outcomes()} for run in Store(store).runs()}


@contextmanager
def command(path, store, *options, **environment):
    """The study as a command of its own."""
    arguments = [sys.executable, "-m", "fidelity", "study", str(path), "--store", str(store), *options]
    with Path(path).with_name("log.txt").open("ab") as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=log, env={**os.environ, **environment})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def engines_of(process):
    """The processes that hold a model, started by this one."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            words = stat.with_name("cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if int(fields[1]) == process.pid and b"fidelity.children.vllm" in words and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def journaled(store):
    return sum(file.read_bytes().count(b'{"place"') for file in store.glob("runs/*/answers-*.jsonl"))


def until(condition, process):
    began = time.monotonic()
    while not condition():
        assert process.poll() is None, "it ended too early"
        assert time.monotonic() - began < PATIENCE_S
        time.sleep(0.02)


class TestSameAnswers:
    @pytest.mark.parametrize(
        ("batching", "families"), [("continuous", ("small", "large")), ({"drained": 4}, ("small",))]
    )
    def test_as_one_engine_at_a_time(self, workspace, study, batching, families):
        path = study(questions(12), batching=batching, families=families)
        alone, together = workspace.folder / "alone", workspace.folder / "together"
        listener = Silent()
        one, three = done(path, alone), done(path, together, 3, listener)
        assert one == three
        assert len(answers(alone)) == RUNS // 2 * len(families)
        assert answers(alone) == answers(together)
        opened = [text for text in listener.messages if "opening" in text]
        assert {text.partition(":")[0] for text in opened} == {"engine 1", "engine 2", "engine 3"}

    def test_what_scored_the_baselines_tokens(self, workspace, study):
        path = study(questions(6), families=("small",))
        done(path, workspace.store, 3)
        scored = {file.parent.name.partition("--")[0] for file in workspace.store.glob("scores/*/manifest.json")}
        assert len(scored) == RUNS // 2

    def test_more_engines_than_configurations_share_a_models_runs(self, workspace, study):
        path = study(questions(8, "SLOW"), families=("small",))
        listener = Silent()
        done(path, workspace.store, 4, listener)
        opened = [text for text in listener.messages if "opening" in text]
        assert len(opened) == 4  # of the baseline two: its control has an engine of its own
        assert lost_and_doubled(workspace.store, 8) == (0, 0)


class TestDeaths:
    def test_of_an_engine_in_the_middle(self, workspace, study):
        path, count = study(questions(20, "SLOW"), families=("small",)), 20
        with command(path, workspace.store, "--engines", "2") as process:
            until(lambda: journaled(workspace.store) >= 5, process)
            victim = engines_of(process)[0]
            os.kill(victim, signal.SIGKILL)
            assert process.wait(PATIENCE_S) == 0
        runs = Store(workspace.store).runs()
        assert len(runs) == RUNS // 2
        assert lost_and_doubled(workspace.store, count) == (0, 0)
        assert sum(one.manifest.resumed for one in runs) == 1
        assert not any(one.manifest.counts.failures for one in runs)

    @pytest.mark.slow
    def test_of_the_command_and_called_again(self, workspace, study):
        path, count = study(questions(20, "SLOW"), families=("small",)), 20
        with command(path, workspace.store, "--engines", "2") as process:
            until(lambda: journaled(workspace.store) >= 5, process)
            engines = engines_of(process)
            process.kill()
            process.wait()
        assert engines
        with command(path, workspace.store, "--engines", "3", FAKE_VLLM_SLOW_S="0.01") as process:
            assert process.wait(PATIENCE_S) == 0
        assert lost_and_doubled(workspace.store, count) == (0, 0)
        assert sum(one.manifest.resumed for one in Store(workspace.store).runs()) >= 1
        assert not [pid for pid in engines if Path(f"/proc/{pid}").exists()]

    def test_three_on_one_prompt_make_it_a_failure(self, workspace, study):
        path = study([*questions(5), "SIGKILL this engine"], families=("small",))
        cells = done(path, workspace.store, 2)
        assert all(cell.comparison for cell in cells)
        for outcomes in answers(workspace.store).values():
            assert [key for key, one in outcomes.items() if isinstance(one, Failure)] == ["p5"]
            assert "3 engines died on it" in outcomes["p5"].reason

    @pytest.mark.slow
    def test_an_engine_that_dies_on_everything_ends_only_its_model(self, workspace, study):
        path = study([f"SIGILL {n}" for n in range(8)], families=("small",))
        cells = done(path, workspace.store, 2)
        assert all("SIGILL" in cell.why for cell in cells)

    def test_of_an_engine_that_scores_tokens(self, workspace, study):
        families = [
            {
                "baseline": {**run("base"), "control": "none"},
                "candidates": [run("fine", max_model_len=400), run("dies", options={"quantization": "DIES"})],
            }
        ]
        path = study(questions(5), families=())
        data = {**yaml.safe_load(path.read_text()), "families": families}
        workspace.file("study.yaml", yaml.safe_dump(data))
        cells = {cell.candidate: cell for cell in done(path, workspace.store, 2)}
        assert cells["fine"].comparison
        assert cells["dies"].comparison  # without token scores

    def test_of_an_engine_after_its_last_answer(self, workspace, study, monkeypatch):
        account, calls = TimedChild.account, Counter()

        def dies(self):
            """At the second call of each engine, when a run is finished."""
            calls[self] += 1
            if calls[self] == 2:
                self._process.kill()
                self._process.wait()
            return account(self)

        monkeypatch.setattr(TimedChild, "account", dies)
        cells = done(study(questions(5), families=("small",)), workspace.store, 2)
        assert all(cell.comparison for cell in cells)
        assert lost_and_doubled(workspace.store, 5) == (0, 0)
        scored = {file.parent.name.partition("--")[0] for file in workspace.store.glob("scores/*/manifest.json")}
        assert len(scored) == RUNS // 2

    def test_interrupted_it_ends_all_engines(self, workspace, study):
        path = study(questions(20, "SLOW"))
        with command(path, workspace.store, "--engines", "3") as process:
            until(lambda: len(engines_of(process)) == 3 and journaled(workspace.store), process)
            engines = engines_of(process)
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_S) == 130
        assert not [pid for pid in engines if Path(f"/proc/{pid}").exists()]


class TestSharing:
    @pytest.mark.slow
    def test_two_commands_generate_each_run_once(self, workspace, study):
        path = study(questions(10, "SLOW"), families=("small",))
        with (
            command(path, workspace.store, "--engines", "2") as one,
            command(path, workspace.store, "--engines", "2") as other,
        ):
            assert one.wait(PATIENCE_S) == 0
            assert other.wait(PATIENCE_S) == 0
        assert len(Store(workspace.store).runs()) == RUNS // 2
        assert lost_and_doubled(workspace.store, 10) == (0, 0)
        assert not any(run.manifest.resumed for run in Store(workspace.store).runs())

    def test_a_model_that_needs_more_gpus_than_there_are(self, workspace, study):
        families = [{"baseline": run("base"), "candidates": [run("wide", options={"tensor_parallel_size": 4})]}]
        path = study(questions(4), families=())
        workspace.file("study.yaml", yaml.safe_dump({**yaml.safe_load(path.read_text()), "families": families}))
        [cell] = done(path, workspace.store, 2)
        assert "needs 4 GPUs, but 2 can be used" in cell.why
