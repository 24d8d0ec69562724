"""Limits on how many prompts break and on how many have no answer, on numbers made by hand."""

import pytest

from fidelity.gate import Gate, judge
from tests.gate.evidence import evidence, ids, line_of, manifest, measured, sts


class TestBreaks:
    GATE = Gate(breaks={"json": 0.05})

    def breaks(self, candidate, *controls):
        return {"break_json": measured(candidate, *controls, name="break_json", better="lower")}

    def test_clopper_pearson_passes(self):
        # None of 64: 1 - 0.05^(1/64) = 4.57%, within 5%. None of 58: 5.03%, not within.
        line = line_of(judge(self.GATE, evidence(self.breaks([0.0] * 64, [0.0] * 64), n=64)), "json")
        assert (line.kind, line.outcome, line.value) == ("break", "pass", 0.0)
        assert line.upper == pytest.approx(1 - 0.05 ** (1 / 64))
        assert line.reason == "0 of 64 prompts newly broken, at most 4.6% at 95%: within 5.0%."
        line = line_of(judge(self.GATE, evidence(self.breaks([0.0] * 58, [0.0] * 58), n=58)), "json")
        assert (line.outcome, line.prompts_needed) == ("inconclusive", 59)  # log 0.05 / log 0.95 = 58.4

    def test_more_than_the_limit_and_more_than_the_control_fails(self):
        # 10 of 64, none by the control: McNemar p = 2^-10.
        verdict = judge(self.GATE, evidence(self.breaks([1.0] * 10 + [0.0] * 54, [0.0] * 64), n=64))
        assert verdict.outcome == "fail"
        assert line_of(verdict, "json").reason.startswith("10 of 64 prompts newly broken, at least 8.")

    def test_the_control_breaks_as_often(self):
        columns = self.breaks([1.0] * 10 + [0.0] * 54, [0.0] * 54 + [1.0] * 10)
        line = line_of(judge(self.GATE, evidence(columns, n=64)), "json")
        assert line.outcome == "inconclusive"
        assert "not significantly more often than the control with 10 (McNemar, p = 0.59)" in line.reason

    def test_several_controls_count_together(self):
        # 6 breaks of the candidate, 3 others by each control: 6 against 6, p = 0.61.
        candidate = [1.0] * 6 + [0.0] * 30
        controls = ([0.0] * 6 + [1.0] * 3 + [0.0] * 27, [0.0] * 9 + [1.0] * 3 + [0.0] * 24)
        line = line_of(judge(self.GATE, evidence(self.breaks(candidate, *controls), n=36)), "json")
        assert "with 6 (McNemar, p = 0.61)" in line.reason

    def test_a_prompt_is_broken_if_one_of_its_repeats_is(self):
        column = self.breaks([0.5, *[0.0] * 63], [0.0] * 64)
        assert line_of(judge(self.GATE, evidence(column, n=64)), "json").value == 1 / 64

    def test_labels_precede_the_check(self):
        columns = {"mine.break_json": self.breaks([0.0] * 64, [0.0] * 64)["break_json"]}
        assert judge(Gate(breaks={"mine.json": 0.05}), evidence(columns, n=64)).outcome == "pass"


class TestFailures:
    GATE = Gate(margins={"sts": 0.05}, max_failed=0.02)

    def test_within_the_limit_as_counted(self):
        verdict = judge(self.GATE, evidence(sts(0.01), failed=frozenset(ids(6))))
        assert verdict.outcome == "pass"
        assert line_of(verdict, "max_failed").reason == "6 of 300 prompts without an answer: within 2.0%."

    def test_beyond_it_nothing_can_be_judged(self):
        for excess in (0.01, 0.5):
            verdict = judge(self.GATE, evidence(sts(excess), failed=frozenset(ids(7))))
            assert verdict.outcome == "inconclusive"
            assert line_of(verdict, "max_failed").outcome == "inconclusive"
        assert line_of(verdict, "sts").reason.endswith("but it can't fail: too many prompts have no answer.")

    def test_surely_beyond_it_and_more_than_the_control_fails(self):
        # 40 of 300 is at least 10.2%, and the control answered them all.
        verdict = judge(self.GATE, evidence(sts(0.01), failed=frozenset(ids(40))))
        assert (verdict.outcome, line_of(verdict, "max_failed").outcome) == ("fail", "fail")
        both = {"failed": frozenset(ids(40)), "controls_failed": frozenset(ids(40))}
        assert judge(self.GATE, evidence(sts(0.01), **both)).outcome == "inconclusive"

    @pytest.mark.parametrize("who", ["baseline_manifest", "control_manifests"])
    def test_of_baseline_or_control_are_a_precondition(self, who):
        broken = manifest("base.control1" if who == "control_manifests" else "base", failures=7)
        given = {who: (broken,) if who == "control_manifests" else broken}
        verdict = judge(self.GATE, evidence(sts(0.5), **given))
        assert verdict.outcome == "inconclusive"
        assert "gave no answer to 7 of 300 prompts" in verdict.reason
        assert line_of(verdict, "failures").kind == "precondition"
