"""--until-decided: generating stops when the any-time bounds decide, and what was generated is not lost."""

import json
import shutil
from functools import partial

import pytest

from fidelity.config import load_run
from fidelity.gate import SEED, Gate
from fidelity.metrics.identical import Identical
from fidelity.metrics.tokens import Tokens
from fidelity.pipeline import ComparisonRequest, compare
from fidelity.runs.jobs import chunks
from fidelity.stats import reading_order
from fidelity.store.store import Store
from tests.conftest import Silent, Workspace, use_fake_vllm

N = 200
LENIENT, STRICT = Gate(margins={"top1_agreement": 0.4}), Gate(margins={"top1_agreement": 0.1})
"""On a column of token scores: what batches add to a margin on texts is known at the end alone (decision 018)."""


@pytest.fixture(scope="module")
def baseline(tmp_path_factory):
    """A store with the baseline, its control and their token scores, to copy."""
    files = written(Workspace(tmp_path_factory.mktemp("baseline")))
    with pytest.MonkeyPatch.context() as patch:
        use_fake_vllm(patch)
        compared(files, LENIENT)
    store = Store(files.store)
    for run in store.runs():
        if run.name == "quant":
            shutil.rmtree(run.path)
    for folder in (*files.store.glob("comparisons/*quant*"), *files.store.glob("scores/quant*")):
        shutil.rmtree(folder)
    return files.store


@pytest.fixture
def study(fake_vllm, workspace, baseline):
    """Compares until decided, with a fake vLLM; returns the candidate's scores and the messages."""
    written(workspace)
    shutil.copytree(baseline, workspace.store)
    return partial(compared, workspace)


def written(workspace):
    workspace.prompts(*(f"question number {n}" for n in range(N)))
    workspace.baseline(chunk=24)
    workspace.run("quant")
    return workspace


def compared(workspace, gate, *, store="store", candidate="quant", baseline="base"):
    listener = Silent()
    base, quant = (load_run(workspace.folder / f"{name}.yaml") for name in (baseline, candidate))
    request = ComparisonRequest(base, [quant], [Identical(), Tokens()], gate=gate, until_decided=True)
    result = compare(request, store=Store(workspace.folder / store), listener=listener)
    assert not result.not_compared
    return result.candidates[0], [line for line in listener.messages if isinstance(line, str)]


def asked(scores):
    return {prompt.id for prompt in scores.run.prompts()}


class TestStopping:
    def test_it_stops_at_the_end_of_a_chunk_and_has_read_in_reading_order(self, study):
        scores, messages = study(LENIENT)
        n = len(asked(scores))
        assert n < N
        assert messages[-1] == f"quant: pass after {n} of {N} prompts"
        ids = [f"p{i}" for i in range(N)]
        assert asked(scores) == {ids[i] for i in reading_order(ids, seed=SEED)[:n]}
        sizes = [len(c) for c in chunks(N, largest=24, seed=scores.run.manifest.seed, order=range(N))]
        assert n in [sum(sizes[:k]) for k in range(len(sizes))]
        assert (scores.run.manifest.planned, scores.run.manifest.counts.prompts) == (N, n)

    def test_baseline_and_control_are_whole(self, study, workspace):
        study(LENIENT)
        counts = {run.name: run.manifest.counts.prompts for run in Store(workspace.store).runs()}
        assert (counts["base"], counts["base.control1"]) == (N, N)
        assert counts["quant"] < N

    def test_a_gate_that_asks_for_more_goes_on_where_the_other_stopped(self, study, workspace):
        first, _ = study(LENIENT)
        chunks = {f: f.stat().st_mtime_ns for f in workspace.store.glob("runs/quant-*/chunk-*")}
        assert chunks
        more, messages = study(STRICT)
        assert asked(first) < asked(more)
        assert [line for line in messages if "opening" in line] == ["quant: opening vllm ..."]
        assert chunks.items() <= {f: f.stat().st_mtime_ns for f in workspace.store.glob("runs/quant-*/chunk-*")}.items()
        again, messages = study(LENIENT)
        assert again.run.path == first.run.path
        assert not any("opening" in line for line in messages)

    def test_it_ends_with_all_prompts_if_nothing_decides(self, study, workspace):
        scores, _ = study(Gate(margins={"identical": 0.001}))
        assert len(asked(scores)) == N
        assert scores.run.manifest.planned == N
        assert not list(workspace.store.glob("runs/quant-*/chunk-*"))
        whole, messages = study(LENIENT)  # all of them are there, so all of them are read
        assert whole.run.path == scores.run.path
        assert messages == []

    def test_interrupted_it_ends_as_if_it_had_not_been(self, study, monkeypatch):
        looks = []

        def interrupt(*given):
            looks.append(given)
            if len(looks) == 3:
                raise KeyboardInterrupt
            return

        with monkeypatch.context() as patch:
            patch.setattr("fidelity.pipeline.generation.decision_of", lambda *_: interrupt)
            with pytest.raises(KeyboardInterrupt):
                study(STRICT)
        resumed, _ = study(STRICT)
        uninterrupted, _ = study(STRICT, store="another")
        assert resumed.run.outcomes() == uninterrupted.run.outcomes()
        assert resumed.run.manifest.digest == uninterrupted.run.manifest.digest

    def test_a_plain_comparison_does_not_take_it_for_its_own(self, study, workspace):
        study(LENIENT)
        base, quant = (load_run(workspace.folder / f"{name}.yaml") for name in ("base", "quant"))
        result = compare(
            ComparisonRequest(base, [quant], [Identical()]), store=Store(workspace.store), listener=Silent()
        )
        (scores,) = result.candidates
        assert (len(asked(scores)), scores.run.manifest.planned) == (N, None)

    @pytest.mark.parametrize("gate", [LENIENT, STRICT])
    def test_a_finished_run_is_judged_without_an_engine(self, study, workspace, gate):
        base, quant = (load_run(workspace.folder / f"{name}.yaml") for name in ("base", "quant"))
        store, metrics = Store(workspace.store), [Identical()]
        (whole,) = compare(ComparisonRequest(base, [quant], metrics), store=store, listener=Silent()).candidates
        scores, said = study(gate)
        assert scores.run.path == whole.run.path
        assert scores.run.manifest.planned is None  # so its bounds are those of a fixed number of prompts
        assert said == []

    def test_its_own_control_asks_the_same_prompts_in_the_same_engine_load(self, study, workspace):
        workspace.run("owned", control={"repeats": 1})
        scores, messages = study(LENIENT, candidate="owned")
        (own,) = scores.own_controls
        assert {prompt.id for prompt in own.run.prompts()} == asked(scores)
        assert own.run.manifest.control_of == scores.run.manifest.digest
        assert [line for line in messages if "owned" in line and "opening" in line] == ["owned: opening vllm ..."]

    def test_with_an_exported_baseline_only_the_candidate_is_generated(self, study, workspace, fidelity):
        fidelity("baseline", "export", "base.yaml", "kept")
        workspace.run("stored", model=None, engine={"kind": "stored", "path": "kept"})
        scores, messages = study(LENIENT, baseline="stored", store="fresh")
        assert [line for line in messages if "opening" in line] == ["quant: opening vllm ..."]
        assert len(asked(scores)) < N


class TestCommand:
    @pytest.fixture
    def files(self, workspace):
        rows = [{"id": f"p{n}", "text": f"answer {n}"} for n in range(N)]
        workspace.file("again.jsonl", "\n".join(map(json.dumps, rows)))
        base = workspace.recorded("base", rows, control={"path": "again.jsonl"}, metrics=["identical"], chunk=20)
        bad = workspace.recorded("bad", [{**row, "text": "x"} for row in rows])
        return base, bad, "--gate", workspace.file("gate.yaml", "margins: {identical: 0.2}")

    def test_it_fails_early_and_is_judged_again_the_same(self, fidelity, workspace, files):
        code, out, _ = fidelity("compare", *files, "--until-decided", "--json", "out.json")
        assert code == 1
        first = json.loads((workspace.folder / "out.json").read_text())["comparisons"][0]
        n = first["candidate"]["counts"]["prompts"]
        assert n < N
        assert f"bad: stopped after {n} of {N} prompts, when the gate could decide" in out
        (path,) = (workspace.folder / "fidelity-store" / "comparisons").glob("base--bad-*")
        assert fidelity("gate", "check", path, "--gate", files[-1], "--json", "out.json")[0] == 1
        second = json.loads((workspace.folder / "out.json").read_text())["comparisons"][0]
        assert second == first
        assert second["verdict"]["planned"] == N

    def test_it_needs_a_gate(self, fidelity, files):
        code, _, error = fidelity("compare", *files[:2], "--until-decided")
        assert code == 2
        assert "needs a gate to decide" in error
