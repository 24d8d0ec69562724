"""Scoring on a Ray cluster of two local nodes: the same numbers, also if a process or a node is lost."""

import time
from pathlib import Path
from typing import Literal

import pytest

from fidelity.cli import main
from fidelity.comparison import batches, workers
from fidelity.comparison.cluster import scored_on_cluster
from fidelity.comparison.workers import score_jobs
from fidelity.errors import FidelityError
from fidelity.metrics import Metric
from fidelity.metrics.length import Length
from fidelity.records import Column
from tests.comparison.test_workers import PAIRS, Deadly, work_of
from tests.local_ray import set_environment, two_nodes

ray = pytest.importorskip("ray")


class Slow(Metric):
    """Takes a moment, and leaves a file for each chunk that it begins."""

    kind: Literal["slow"] = "slow"
    folder: str

    def score(self, pairs):
        (Path(self.folder) / f"{time.monotonic()}").touch()
        time.sleep(0.5)
        return [Column("slow", tuple(float(len(pair.candidate.text)) for pair in pairs), bounds=None)]


@pytest.fixture(scope="module")
def cluster():
    with pytest.MonkeyPatch.context() as patch:
        set_environment(patch)
        with two_nodes() as cluster:
            yield cluster
            ray.shutdown()


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(batches, "PAIRS_OF_A_CHUNK", 4)
    monkeypatch.setattr(workers, "WORTH_SECONDS", 0.0)


def test_a_dead_process_loses_no_pair(cluster, tmp_path):
    for n in range(2):
        (tmp_path / str(n)).touch()
    recorder, work = work_of(Deadly(folder=str(tmp_path), prompt="13"), Length())
    work.store(scored_on_cluster(work.chunks(), cluster.address))
    assert recorder.columns["deadly"][0].values == tuple(float(len(pair.baseline.text)) for pair in PAIRS)
    assert recorder.columns["length"] == Length().score(PAIRS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_prompt_that_kills_every_process_is_named(cluster, tmp_path):
    for n in range(4):
        (tmp_path / str(n)).touch()
    _, work = work_of(Deadly(folder=str(tmp_path), prompt="6"))
    with pytest.raises(FidelityError, match="the cluster lost the pairs from prompt '4' on 4 times"):
        list(scored_on_cluster(work.chunks(), cluster.address))


@pytest.mark.slow
def test_a_lost_node_loses_no_pair(cluster, tmp_path):
    recorder, work = work_of(Slow(folder=str(tmp_path)))
    scored = scored_on_cluster(work.chunks(), cluster.address)
    chunks = [next(scored)]
    cluster.remove_node(cluster.nodes.pop())
    cluster.nodes.append(cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20))
    work.store([*chunks, *scored])
    assert recorder.columns["slow"][0].values == tuple(float(len(pair.candidate.text)) for pair in PAIRS)


def test_jobs_are_scored_there(cluster, tmp_path):
    recorder, work = work_of(Slow(folder=str(tmp_path)), Length())
    score_jobs(work.jobs, workers=cluster.address)
    assert recorder.columns["length"] == Length().score(PAIRS)
    assert len(list(tmp_path.iterdir())) == 10


def test_no_cluster_is_an_error_before_anything_is_generated(capsys):
    ray.shutdown()
    assert main(["compare", "a.jsonl", "b.jsonl", "--workers", "ray:127.0.0.1:1"]) == 2
    assert "--workers ray:127.0.0.1:1: no cluster" in capsys.readouterr().err
