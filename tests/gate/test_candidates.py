"""Several candidates that share a control: all of their verdicts hold together, wherever they are read."""

import json

import numpy as np
import pytest

from benchmarks.candidates import excesses, wrong
from fidelity.gate import Gate, judge, out_of_reach
from fidelity.stats import betting_bound
from tests.gate.evidence import evidence, ids, line_of, measured, sts
from tests.gate.test_files import COLUMNS

GATE = Gate(margins={"sts": 0.05})


class TestJudging:
    @pytest.mark.parametrize("candidates", [1, 2, 5, 20])
    def test_each_bound_has_its_share_of_the_error(self, candidates):
        line = line_of(judge(GATE, evidence(sts(0.01), candidates=candidates)), "sts")
        bound = betting_bound(ids(300), [0.9 - 0.89] * 300, low=-1, high=1, confidence=1 - 0.05 / candidates)
        assert (line.lower, line.upper) == pytest.approx((bound.lower, bound.upper), abs=1e-9)

    def test_what_passes_by_itself_may_not_among_many(self):
        # without any excess 68 prompts pass 0.05 at 95%, and 115 at 99.5%
        alone, among_ten = (judge(GATE, evidence(sts(0.0, n=80), n=80, candidates=k)) for k in (1, 10))
        assert (alone.outcome, among_ten.outcome) == ("pass", "inconclusive")
        assert "99.5%" in line_of(among_ten, "sts").reason

    def test_what_fails_by_itself_may_not_among_many(self):
        some = {"sts": measured([0.9] * 270 + [0.0] * 30, [0.9] * 300)}
        alone, among_many = (judge(GATE, evidence(some, candidates=k)) for k in (1, 10))
        assert (alone.outcome, among_many.outcome) == ("fail", "inconclusive")

    def test_breaks_are_corrected_too(self):
        # none of 149 is at most 2% at 95%
        columns = {"break_json": measured([0.0] * 149, [0.0] * 149, better="lower")}
        gate = Gate(breaks={"json": 0.02})
        alone, among_two = (judge(gate, evidence(columns, n=149, candidates=k)) for k in (1, 2))
        assert (alone.outcome, among_two.outcome) == ("pass", "inconclusive")

    def test_the_reason_names_the_confidence_of_each_and_of_all(self):
        verdict = judge(GATE, evidence(sts(0.0), candidates=3))
        assert verdict.reason == "Every line passes, each at 98.33% (95% over 3 candidates)."
        assert (verdict.confidence, verdict.candidates) == (0.95, 3)
        assert verdict.basis == "confidence 0.95 over 3 candidates, seed 0"

    def test_what_is_out_of_reach_depends_on_it(self):
        assert out_of_reach(GATE, COLUMNS, prompts=90, candidates=1) == []
        (message,) = out_of_reach(GATE, COLUMNS, prompts=90, candidates=3)
        assert "use at least 91 prompts (at 98.33%, for 3 candidates)" in message


class TestPromise:
    def test_the_chance_that_any_is_wrong_stays_below_the_level(self):
        # Ten candidates, each exactly at its margin; by themselves one in eight studies has a wrong pass.
        x = excesses(10, 500, 400, np.random.default_rng(1))
        assert min(wrong(x, 10, 0.05)) > 0.08
        assert max(wrong(x, 10, 0.005)) <= 0.03


class TestCommand:
    N = 40

    @pytest.fixture
    def files(self, workspace):
        rows = [{"id": f"p{n}", "text": f"answer {n}"} for n in range(self.N)]
        changed = [{**row, "text": row["text"] + ("!" if n == 0 else "")} for n, row in enumerate(rows)]
        workspace.file("again.jsonl", "\n".join(map(json.dumps, changed)))
        base = workspace.recorded("base", rows, control={"path": "again.jsonl"}, metrics=["identical"])
        others = [
            workspace.recorded(name, [{**rows[0], "text": f"another {name}"}, *rows[1:]])
            for name in ("a", "b", "c", "d")
        ]
        return base, others, workspace.file("gate.yaml", "margins: {identical: 0.1}")

    def comparison(self, workspace, name):
        (path,) = (workspace.folder / "fidelity-store" / "comparisons").glob(f"base--{name}-*")
        return path

    def test_alone_it_passes_and_among_four_it_does_not(self, fidelity, workspace, files):
        base, others, gate = files
        code, out, _ = fidelity("compare", base, others[0], "--gate", gate)
        assert (code, "a: PASS. Every line passes, each at 95%." in out) == (0, True)
        code, out, _ = fidelity("compare", base, *others, "--gate", gate, "--json", "out.json")
        assert (code, "a: INCONCLUSIVE" in out) == (2, True)
        assert "98.75%" in out
        verdict = json.loads((workspace.folder / "out.json").read_text())["comparisons"][0]["verdict"]
        assert verdict["candidates"] == 4

    def test_from_the_store_the_verdict_is_the_same(self, fidelity, workspace, files):
        base, others, gate = files
        fidelity("compare", base, *others, "--gate", gate)
        code, out, _ = fidelity("gate", "check", self.comparison(workspace, "a"), "--gate", gate)
        assert (code, "98.75%" in out) == (2, True)
        assert "pass" not in fidelity("history", "--gate", gate)[1]
        fidelity("compare", base, others[0], "--gate", gate)  # by itself again
        assert fidelity("gate", "check", self.comparison(workspace, "a"), "--gate", gate)[0] == 0

    def test_a_candidate_that_could_not_be_compared_counts(self, fidelity, workspace, files):
        base, others, gate = files
        workspace.file("b.jsonl", json.dumps({"id": "elsewhere", "text": "another prompt"}))
        _, out, _ = fidelity("compare", base, *others[:2], "--gate", gate)
        assert "at 97.5%" in out

    def test_recommend_counts_all_that_it_chooses_from(self, fidelity, workspace, files):
        base, others, gate = files
        for other in others:
            assert fidelity("compare", base, other, "--gate", gate)[0] == 0
        code, out, _ = fidelity("recommend", "fidelity-store", "--within", gate, "--minimise", "bytes")
        assert (code, "98.75%" in out or "inconclusive" in out) == (2, True)
