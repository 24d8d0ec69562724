"""A study on a Ray cluster of two local nodes, with the fake vLLM: nodes and commands die, and no answer is lost."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from fidelity.records import Failure
from fidelity.store.store import Store
from tests.conftest import FAKE_VLLM, ROOT
from tests.study.answers import lost_and_doubled

ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")

PATIENCE_S = 240.0
COUNT = 20
RUNS = 4


@pytest.fixture
def environment(monkeypatch):
    """Nodes and commands import the fake vLLM and this checkout, and report nothing."""
    paths = [str(FAKE_VLLM), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_health_check_period_ms", "500")
    monkeypatch.setenv("RAY_health_check_failure_threshold", "4")


@pytest.fixture
def cluster(environment):
    """Two nodes with one engine each, and a head without any."""
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        cluster.nodes = [cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20) for _ in range(2)]
        yield cluster
    finally:
        cluster.shutdown()


@pytest.fixture
def study(workspace):
    def study(texts, **keys):
        workspace.prompts(*texts)
        run = lambda name, **engine: {"name": name, "model": "model", "engine": {"kind": "vllm", **engine}}  # noqa: E731
        base = {**run("base"), "control": {"repeats": 1}}
        candidates = [run("a", max_model_len=400), run("b", max_model_len=300)]
        data = {
            "name": "on-ray",
            "prompts": "prompts.jsonl",
            "sampling": {"max_tokens": 8},
            "metrics": ["identical"],
            "families": [{"baseline": base, "candidates": candidates}],
            **keys,
        }
        return workspace.file("study.yaml", yaml.safe_dump(data))

    return study


def command(path, store, *options, **environment):
    arguments = [sys.executable, "-m", "fidelity", "study", str(path), "--store", str(store), *options]
    with Path(path).with_name("log.txt").open("ab") as log:
        return subprocess.Popen(arguments, stdout=log, stderr=log, env={**os.environ, **environment})


def ended(process, path):
    try:
        code = process.wait(PATIENCE_S)
    finally:
        process.kill()
    return code, Path(path).with_name("log.txt").read_text()


def until(condition, process):
    began = time.monotonic()
    while not condition():
        assert process.poll() is None, "it ended too early"
        assert time.monotonic() - began < PATIENCE_S
        time.sleep(0.05)


def journaled(store):
    return sum(file.read_bytes().count(b'{"place"') for file in store.glob("runs/*/answers-*.jsonl"))


def questions(word=""):
    return [f"{word} question {n}".strip() for n in range(COUNT)]


def test_the_answers_are_those_of_one_engine_at_a_time(workspace, study, cluster):
    path = study(questions())
    code, log = ended(command(path, workspace.store, "--ray", cluster.address), path)
    assert code == 0, log
    alone = workspace.folder / "alone"
    assert ended(command(path, alone, "--engines", "1"), path)[0] == 0
    answers = [{run.name: run.outcomes() for run in Store(store).runs()} for store in (workspace.store, alone)]
    assert len(answers[0]) == RUNS
    assert answers[0] == answers[1]


@pytest.mark.slow
def test_a_node_is_killed(workspace, study, cluster):
    path = study(questions("SLOW"))
    process = command(path, workspace.store, "--ray", cluster.address, FAKE_VLLM_SLOW_S="0.3")
    until(lambda: journaled(workspace.store) >= 5, process)
    cluster.remove_node(cluster.nodes.pop(), allow_graceful=False)
    code, log = ended(process, path)
    assert code == 0, log
    assert len(Store(workspace.store).runs()) == RUNS
    assert lost_and_doubled(workspace.store, COUNT) == (0, 0)
    assert not any(run.manifest.counts.failures for run in Store(workspace.store).runs())


@pytest.mark.slow
def test_the_command_is_killed_and_called_again(workspace, study, cluster):
    path = study(questions("SLOW"))
    process = command(path, workspace.store, "--ray", cluster.address)
    until(lambda: journaled(workspace.store) >= 5, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    code, log = ended(command(path, workspace.store, "--ray", cluster.address), path)
    assert code == 0, log
    assert len(Store(workspace.store).runs()) == RUNS
    assert lost_and_doubled(workspace.store, COUNT) == (0, 0)
    assert sum(run.manifest.resumed for run in Store(workspace.store).runs()) >= 1


@pytest.mark.slow
def test_a_deadly_prompt_is_a_failure(workspace, study, cluster):
    path = study([*questions()[:-1], "SIGKILL this engine"])
    code, log = ended(command(path, workspace.store, "--ray", cluster.address), path)
    assert code == 0, log
    for run in Store(workspace.store).runs():
        assert [one.prompt_id for one in run.outcomes() if isinstance(one, Failure)] == [f"p{COUNT - 1}"]
    assert lost_and_doubled(workspace.store, COUNT) == (0, 0)
