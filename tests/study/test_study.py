"""A study: read, planned, run, killed and called again."""

import json
import subprocess
import sys
import time

import pytest
import yaml

from fidelity.cli.comparing import metrics_of
from fidelity.comparison.stored import load_comparison
from fidelity.errors import ConfigError
from fidelity.report import as_json
from fidelity.store.store import Store
from fidelity.store.studies import in_words, read_study
from fidelity.study.plan import plan_study
from fidelity.study.progress import StudyProgress
from fidelity.study.study import load_study, run_study
from tests.conftest import ROOT, Silent

pytestmark = pytest.mark.usefixtures("fake_vllm")


@pytest.fixture
def study(workspace):
    """Writes study.yaml: two families, two candidates each, on shared prompts; returns its path."""

    def study(*, word="", **keys):
        workspace.prompts(*(f"{word} question {n}".strip() for n in range(10)))
        families = [
            {
                "name": name,
                "baseline": run(f"{name}-base"),
                "candidates": [run(f"{name}-a", max_model_len=400), run(f"{name}-b", max_model_len=300)],
            }
            for name in ("small", "large")
        ]
        data = {
            "name": "sizes",
            "prompts": "prompts.jsonl",
            "sampling": {"max_tokens": 8},
            "chunk": 4,
            "metrics": ["identical", "rouge"],
            "gate": {"margins": {"rougeL": 0.1}},
            "families": families,
            **keys,
        }
        return workspace.file("study.yaml", yaml.safe_dump(data))

    return study


def run(name, **engine):
    return {"name": name, "model": "model", "engine": {"kind": "vllm", **engine}}


def done(path, store, listener=None):
    return run_study(load_study(path), store=Store(store), listener=listener or Silent(), metrics_of=metrics_of)


def numbers(store):
    """The columns of every comparison, by name."""
    numbers_of = {}
    for comparison in Store(store).comparisons():
        if comparison.manifest.controls is not None:
            [report] = as_json(load_comparison(comparison.path))["comparisons"]
            numbers_of[comparison.path.name] = report["columns"]
    return numbers_of


class TestReading:
    def test_runs_are_inline_or_files_and_share_what_they_do_not_say(self, workspace, study):
        workspace.run("apart", engine={"kind": "vllm"})
        path = study(families=[{"baseline": run("base"), "candidates": ["apart.yaml"]}])
        [family] = load_study(path).families
        assert (family.name, family.candidates[0].name) == ("base", "apart")
        assert family.baseline.sampling.max_tokens == 8
        assert family.baseline.prompts == workspace.folder / "prompts.jsonl"

    @pytest.mark.parametrize(
        ("keys", "message"),
        [
            ({"familys": []}, "did you mean 'families'"),
            ({"families": [{"baseline": run("x"), "candidates": [run("x")]}]}, "'x' is used twice"),
            ({"families": [{"baseline": "none.yaml", "candidates": [run("x")]}]}, "none.yaml: can't be read"),
            ({"gate": {"margins": {}}}, "everything would pass"),
        ],
    )
    def test_what_is_wrong_is_named(self, study, keys, message):
        with pytest.raises(ConfigError, match=message):
            load_study(study(**keys))

    @pytest.mark.parametrize("name", ["study.yaml", "llama-3.1.yaml"])
    def test_the_examples_can_be_read(self, name):
        study = load_study(ROOT / "examples" / name)
        assert study.gate
        assert all(family.baseline.metrics for family in study.families)


class TestRunning:
    def test_every_cell_is_compared_and_stored_for_the_dashboard(self, workspace, study):
        listener = Silent()
        cells = done(study(), workspace.store)
        assert [(cell.family, cell.candidate) for cell in cells] == [
            ("small", "small-a"), ("small", "small-b"), ("large", "large-a"), ("large", "large-b")
        ]  # fmt: skip
        assert all(cell.comparison and not cell.why for cell in cells)
        record = read_study(workspace.store / "studies" / "sizes")
        assert record.cells == tuple(cells)
        assert record.gate == {"margins": {"rougeL": 0.1}}
        assert listener is not None

    def test_asked_again_nothing_is_generated(self, workspace, study):
        path = study()
        first = done(path, workspace.store)
        before = {file: file.stat().st_mtime_ns for file in workspace.store.glob("runs/*/generations.parquet")}
        assert done(path, workspace.store) == first
        assert before == {file: file.stat().st_mtime_ns for file in before}

    def test_it_continues_after_failures_and_reports_them(self, workspace, study):
        broken = [
            run("broken", options={"quantization": "mxfp4"}),
            {**run("lost"), "model": "./nowhere"},
            run("fine", max_model_len=99),
        ]
        families = [
            {"baseline": {**run("gone"), "model": "./nowhere"}, "candidates": [run("orphan")]},
            {"baseline": run("base"), "candidates": broken},
        ]
        cells = {cell.candidate: cell for cell in done(study(families=families), workspace.store)}
        assert "its baseline gone: " in cells["orphan"].why
        assert "no kernel for mxfp4" in cells["broken"].why
        assert "no such directory" in cells["lost"].why
        assert cells["fine"].comparison
        assert not cells["fine"].why

    def test_the_command(self, fidelity, workspace, study):
        code, out, _ = fidelity("study", study(), "--store", workspace.store)
        assert code == 0
        assert "4 of 4 compared" in out

    def test_a_failed_cell_is_no_success(self, fidelity, workspace, study):
        families = [{"baseline": run("base"), "candidates": [run("broken", options={"quantization": "mxfp4"})]}]
        code, out, _ = fidelity("study", study(families=families), "--store", workspace.store)
        assert code == 2
        assert "base: broken: failed: " in out


class TestPlan:
    def test_nothing_is_run_and_the_plan_is_shown(self, fidelity, workspace, study):
        code, out, _ = fidelity("study", study(), "--dry-run", "--store", workspace.store)
        assert code == 0
        assert "10 of 10 runs to generate: 800 tokens at most" in out  # 2 x (base, 2 controls, a, b)
        assert not list(workspace.store.glob("runs/*"))

    def test_what_is_there_is_not_planned_again(self, workspace, study):
        path = study()
        done(path, workspace.store)
        plan = plan_study(load_study(path), store=Store(workspace.store))
        assert {planned.state for planned in plan.runs} == {"finished"}
        assert list(plan.lines())[-1].startswith("0 of 10 runs to generate")

    def test_a_hub_model_is_not_fetched(self, workspace, study):
        hub = {"name": "hub", "model": "some-org/some-model", "engine": {"kind": "vllm"}}
        path = study(families=[{"baseline": hub, "candidates": [run("x")]}])
        plan = plan_study(load_study(path), store=Store(workspace.store))
        assert plan.runs[0].state == "to run, after downloading some-org/some-model from the Hub"


class TestProgress:
    def test_time_left_is_weighted_by_the_models_bytes(self, monkeypatch):
        clock = [0.0]
        monkeypatch.setattr("time.monotonic", lambda: clock[0])
        listener = Silent()
        states = []
        listener.progress = lambda *state: states.append(state)
        whole = StudyProgress(listener, [("small", 10, 1.0), ("large", 10, 9.0)])
        whole.progress("small", 0, 10, 0, 0.0)
        clock[0] = 20.0
        whole.progress("small", 10, 10, 99, 20.0)
        # 10 prompts of weight 1 took 20 s; 10 of weight 9 are left: 180 s.
        assert states[-1] == ("1 of 2 runs done, about 3 min left in all · small", 10, 10, 99, 20.0)

    def test_engines_are_shown_until_their_run_is_finished_or_another_one_has_it(self):
        listener = Silent()
        whole = StudyProgress(listener, [("a", 10, 1.0), ("b", 10, 1.0)])
        one, two = whole.of("f", "GPU 0"), whole.of("f", "GPU 1")
        one.progress("a", 2, 10, 0, 0.0)
        two.progress("b", 3, 10, 0, 0.0)
        assert listener.messages[-1][0] == "0 of 2 runs done · GPU 0: a 2 of 10 · GPU 1: b"
        two.progress("a", 4, 10, 0, 0.0)  # it has taken over
        assert "GPU 0" not in listener.messages[-1][0]
        one.progress("b", 10, 10, 9, 1.0)
        two.progress("a", 5, 10, 9, 1.0)
        assert listener.messages[-1][0].endswith("· GPU 1: a")
        assert "GPU 0" not in listener.messages[-1][0]

    @pytest.mark.parametrize(("seconds", "words"), [(40, "40 s"), (720, "12 min"), (12_600, "3.5 h")])
    def test_in_words(self, seconds, words):
        assert in_words(seconds) == words


class TestKilled:
    """`kill -9` at any place: called again, the study ends with the numbers of one that was left alone."""

    @pytest.mark.parametrize(
        "place",
        [
            pytest.param("runs/small-base-*/chunk-*", id="baseline", marks=pytest.mark.slow),
            pytest.param("runs/small-a-*/chunk-*", id="candidate"),
            pytest.param(
                "runs/large-base.control1-*/chunk-*", id="control of the second family", marks=pytest.mark.slow
            ),
        ],
    )
    def test_and_called_again(self, workspace, study, place, monkeypatch):
        path = study(word="SLOW")
        command = [sys.executable, "-m", "fidelity", "study", str(path), "--store", str(workspace.store)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not list(workspace.store.glob(place)):
                assert process.poll() is None, "it ended before it could be killed"
                time.sleep(0.02)
        finally:
            process.kill()
            process.wait()
        assert len(numbers(workspace.store)) < 4
        monkeypatch.setenv("FAKE_VLLM_SLOW_S", "0")  # nothing else has to be interrupted
        subprocess.run(command, check=True, capture_output=True)
        left_alone = workspace.folder / "alone"
        done(path, left_alone)
        assert numbers(workspace.store) == numbers(left_alone)
        assert len(numbers(left_alone)) == 4
        manifest = json.loads((workspace.store / "studies" / "sizes" / "manifest.json").read_text())
        assert all(cell["comparison"] for cell in manifest["cells"])
