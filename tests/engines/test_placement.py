"""Which GPUs there are, how many an engine needs, and that it sees no others."""

from pathlib import Path

import pytest

from fidelity.cli import studying
from fidelity.config import load_run
from fidelity.engines import Placement, devices, open_engine
from fidelity.engines.devices import gpus_of, visible_gpus
from fidelity.runs.pool import LocalPlaces


@pytest.fixture
def four_gpus(monkeypatch):
    monkeypatch.setattr(devices, "gpu_names", lambda: ["NVIDIA H200"] * 4)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(
    ("chosen", "visible"),
    [(None, "0 1 2 3"), ("2,3", "2 3"), (" 1 , 0 ", "1 0"), ("", ""), ("-1", ""), ("GPU-5ebe9f43", "GPU-5ebe9f43")],
)
def test_visible_gpus(four_gpus, monkeypatch, chosen, visible):
    if chosen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert visible_gpus() == tuple(visible.split())


def test_without_a_driver_there_are_none(monkeypatch):
    monkeypatch.setattr(devices, "gpu_names", list)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert visible_gpus() == ()


@pytest.mark.parametrize(
    ("engine", "gpus"),
    [
        ({"kind": "vllm"}, 1),
        ({"kind": "vllm", "options": {"tensor_parallel_size": 4}}, 4),
        ({"kind": "vllm", "options": {"tensor_parallel_size": 4, "pipeline_parallel_size": 2}}, 8),
        ({"kind": "vllm-serve", "options": {"tensor_parallel_size": 2, "data_parallel_size": 2}}, 4),
        ({"kind": "transformers"}, 1),
    ],
)
def test_the_gpus_of_an_engine(workspace, engine, gpus):
    assert gpus_of(load_run(workspace.run("one", engine=engine))) == gpus


def test_places_are_taken_and_given_back():
    places = LocalPlaces(gpus=("4", "5", "6"))
    two, one = places.take(2), places.take(1)
    assert (two.name, two.gpus, one.gpus) == ("GPU 4,5", ("4", "5"), ("6",))
    assert places.take(1) is None
    places.give_back(two)
    assert places.take(1).gpus == ("4",)
    assert (places.most(), places.total()) == (3, 3)


def test_on_a_cpu_engines_have_numbers_and_no_gpus():
    places = LocalPlaces(engines=2)
    one, two = places.take(1), places.take(1)
    assert [(place.name, place.env) for place in (one, two)] == [("engine 1", {}), ("engine 2", {})]


def test_an_engine_sees_only_its_gpus(workspace, fake_vllm):
    config = load_run(workspace.baseline())
    placement = Placement("GPU 1,3", ("1", "3"))
    with open_engine(config, log=workspace.folder / "log", on_progress=lambda _: None, placement=placement) as engine:
        environment = Path(f"/proc/{engine._process.pid}/environ").read_bytes().split(b"\0")
    assert b"CUDA_VISIBLE_DEVICES=1,3" in environment


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--gpus", "0,7"], "GPU '7' is not visible here; visible are: 0, 1, 2, 3"),
        (["--gpus", "0,0"], "a GPU is named twice"),
    ],
)
def test_gpus_that_can_not_be_used(fidelity, workspace, four_gpus, options, message):
    workspace.prompts("one")
    workspace.baseline()
    workspace.run("quant")
    workspace.file("study.yaml", "name: s\nfamilies: [{baseline: base.yaml, candidates: [quant.yaml]}]")
    code, _, err = fidelity("study", "study.yaml", "--dry-run", *options)
    assert code == 2
    assert message in err


def test_all_visible_gpus_are_the_default_and_one_needs_no_pool(four_gpus, monkeypatch):
    chosen = type("Chosen", (), {"gpus": None, "engines": None, "ray": None})
    assert studying._places(chosen).total() == 4
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    assert studying._places(chosen) is None
