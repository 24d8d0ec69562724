"""A study on a Ray cluster of two local nodes, with the fake vLLM: nodes and commands die, and no answer is lost."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from fidelity.engines import Progress
from fidelity.records import Failure
from fidelity.runs.ray_places import RemoteEngine, _reason
from fidelity.store.copying import copy_store
from fidelity.store.places import FolderPlace, UrlPlace
from fidelity.store.store import Store
from tests.conftest import FAKE_VLLM
from tests.local_ray import set_environment, two_nodes
from tests.study.answers import lost_and_doubled

ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")

PATIENCE_S = 240.0
COUNT = 20
RUNS = 4


@pytest.fixture
def environment(monkeypatch):
    set_environment(monkeypatch, FAKE_VLLM)


@pytest.fixture
def cluster(environment):
    with two_nodes() as cluster:
        yield cluster


@pytest.fixture
def study(workspace):
    def study(texts, *, context=400, **keys):
        workspace.prompts(*texts)
        run = lambda name, **engine: {"name": name, "model": "model", "engine": {"kind": "vllm", **engine}}  # noqa: E731
        base = {**run("base"), "control": {"repeats": 1}}
        candidates = [run("a", max_model_len=context), run("b", max_model_len=context - 100)]
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


def command(path, store, *options, before=(sys.executable, "-m", "fidelity"), **environment):
    arguments = [*before, "study", str(path), "--store", str(store), *options]
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


def sent(place):
    """The number of answers in journals at a URL."""
    folders = place.folders("runs").items()
    journals = [(folder, file) for folder, files in folders for file in files if file.endswith(".jsonl")]
    return sum(place.read("runs", folder, [file])[file].count(b'{"place"') for folder, file in journals)


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
def test_no_node_needs_the_store(workspace, study, cluster):
    """The command has a file system mounted that no other process sees, and the store is there."""
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("this user may not mount file systems")
    private, fidelity = workspace.folder / "private", f"{sys.executable} -m fidelity"
    private.mkdir()
    script = f'mount -t tmpfs none {private} && {fidelity} "$@" && {fidelity} store copy {private} {workspace.store}'
    path = study(questions())
    before = ("unshare", "--mount", "sh", "-c", script, "sh")
    code, log = ended(command(path, private, "--ray", cluster.address, before=before), path)
    assert code == 0, log
    assert not list(private.iterdir())
    assert len(Store(workspace.store).runs()) == RUNS
    assert lost_and_doubled(workspace.store, COUNT) == (0, 0)


@pytest.mark.slow
def test_the_machine_of_the_command_is_lost_and_another_one_continues_from_s3(workspace, study, cluster, bucket):
    """Nothing of the first command remains but what it has sent; its claim expires."""
    quick = "from fidelity.store import claims, mirror; claims.EXPIRES_S, mirror.LIFE_SIGN_S = 5.0, 0.2"
    before = (sys.executable, "-c", f"{quick}; import sys; from fidelity.cli import main; sys.exit(main())")
    path, place = study(questions("SLOW")), UrlPlace(bucket)
    lost, other = workspace.folder / "lost", workspace.folder / "other"
    for machine in (lost, other):
        machine.mkdir()
    process = command(path, bucket, "--ray", cluster.address, before=before, TMPDIR=str(lost))
    until(lambda: sent(place) >= 5, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    shutil.rmtree(lost)
    code, log = ended(command(path, bucket, "--ray", cluster.address, before=before, TMPDIR=str(other)), path)
    assert code == 0, log
    assert "is using it; waiting" in log
    copy_store(place, FolderPlace(workspace.store))
    assert len(Store(workspace.store).runs()) == RUNS
    assert lost_and_doubled(workspace.store, COUNT) == (0, 0)
    assert sum(run.manifest.resumed for run in Store(workspace.store).runs()) >= 1
    assert not list(other.iterdir())


@pytest.mark.slow
def test_a_node_is_preempted(workspace, study, cluster):
    """Its provider announces the end, after which Ray starts nothing there; then the node is gone."""
    path = study(questions("SLOW"))
    process = command(path, workspace.store, "--ray", cluster.address, FAKE_VLLM_SLOW_S="0.3")
    until(lambda: journaled(workspace.store) >= 5, process)
    node = cluster.nodes.pop()
    notice = [
        "--reason",
        "DRAIN_NODE_REASON_PREEMPTION",
        "--reason-message",
        "spot",
        "--deadline-remaining-seconds",
        "2",
    ]
    drain = [sys.executable, "-m", "ray.scripts.scripts", "drain-node", "--address", cluster.address, *notice]
    subprocess.run([*drain, "--node-id", node.node_id], check=True, capture_output=True)
    time.sleep(2)
    cluster.remove_node(node, allow_graceful=True)
    code, log = ended(process, path)
    assert code == 0, log
    assert lost_and_doubled(workspace.store, COUNT) == (0, 0)
    assert not any(run.manifest.counts.failures for run in Store(workspace.store).runs())


@pytest.mark.slow
def test_full_object_stores(workspace, study, monkeypatch, environment):
    """Another program has filled them, and answers are too large to be sent with a reply: engines may die of it."""
    monkeypatch.setenv("RAY_automatic_object_spilling_enabled", "0")
    monkeypatch.setenv("FAKE_VLLM_LONGEST", "4000")
    monkeypatch.setenv("RAY_local_fs_capacity_threshold", "0.00001")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    filler = None
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20)
        arguments = ["tests.study.object_store_filler", cluster.address, str(workspace.folder)]
        filler = subprocess.Popen([sys.executable, "-m", *arguments])
        until(lambda: len(list(workspace.folder.glob("full-*"))) == 2, filler)
        path = study(questions(), sampling={"max_tokens": 4000}, context=8000)
        code, log = ended(command(path, workspace.store, "--ray", cluster.address), path)
    finally:
        if filler:
            filler.kill()
            filler.wait()
        cluster.shutdown()
    assert code == 0, log
    assert len(Store(workspace.store).runs()) == RUNS
    assert lost_and_doubled(workspace.store, COUNT) == (0, 0)
    assert not any(run.manifest.counts.failures for run in Store(workspace.store).runs())


def test_progress_is_that_of_the_request():
    """The last progress of the request before was added to its answers: 25 of 20 prompts."""
    remote = object.__new__(RemoteEngine)
    remote._engine = SimpleNamespace(generate=lambda: iter(["answer"]), step_seconds=0.0)
    remote._progress = Progress(5, 0)
    (block,) = remote.ask("generate")
    assert (block.outcomes, block.progress) == (("answer",), None)


@pytest.mark.parametrize("kind", ["ObjectStoreFullError", "OutOfDiskError"])
def test_a_full_object_store_is_named(kind):
    cause = getattr(ray.exceptions, kind)("No space")
    error = ray.exceptions.RayTaskError("RemoteEngine.ask", "traceback", cause)
    assert "object store is full" in _reason(error)
    assert "object store is full" in _reason(cause)


@pytest.mark.slow
def test_a_deadly_prompt_is_a_failure(workspace, study, cluster):
    path = study([*questions()[:-1], "SIGKILL this engine"])
    code, log = ended(command(path, workspace.store, "--ray", cluster.address), path)
    assert code == 0, log
    for run in Store(workspace.store).runs():
        assert [one.prompt_id for one in run.outcomes() if isinstance(one, Failure)] == [f"p{COUNT - 1}"]
    assert lost_and_doubled(workspace.store, COUNT) == (0, 0)
