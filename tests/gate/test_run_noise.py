"""What the batches of runs add to each line of a gate, on numbers made by hand."""

import math
from dataclasses import replace

import pytest

from fidelity.floor import AmongRuns
from fidelity.gate import Gate, judge
from fidelity.stats import betting_bound, prompts_needed
from tests.gate.evidence import by_id, evidence, ids, line_of, manifest, measured


def between(candidate, floor, *, name="sts", better="higher", n=300):
    """A column whose values are the same on every prompt: the candidate with each reference, and these in pairs."""
    controls = [[value] * n for value in floor[: len(candidate) - 1]]
    column = measured([candidate[0]] * n, *controls, name=name, better=better)
    among = AmongRuns(*(tuple(by_id([value] * n) for value in values) for values in (candidate, floor)))
    return replace(column, among=among)


class TestMargins:
    def test_one_control_leaves_one_degree_of_freedom(self):
        # The candidate is 0.02 nearer to one reference: an error of 0.02 sqrt(3/4), and t of 6.31.
        columns = {"sts": between([0.90, 0.88], [0.90])}
        line = line_of(judge(Gate(margins={"sts": 0.05}), evidence(columns)), "sts")
        assert line.value == pytest.approx(0.01)
        assert line.from_runs == pytest.approx(6.3138 * 0.02 * math.sqrt(0.75), rel=1e-4)
        assert line.upper == pytest.approx(0.01 + math.hypot(line.from_prompts, line.from_runs))
        assert (line.outcome, line.asymptotic) == ("inconclusive", True)
        assert "± 0.109 from batching" in line.reason
        assert "more runs of the baseline would narrow it (control: {repeats: 4})" in line.reason

    def test_runs_that_are_all_alike_leave_the_bound_over_prompts(self):
        columns = {"sts": between([0.89, 0.89], [0.90])}
        line = line_of(judge(Gate(margins={"sts": 0.05}), evidence(columns)), "sts")
        bound = betting_bound(ids(300), [0.90 - 0.89] * 300, low=-1, high=1)
        assert (line.lower, line.upper) == pytest.approx((bound.lower, bound.upper), abs=1e-9)
        assert (line.outcome, line.asymptotic, line.from_runs) == ("pass", False, 0.0)
        assert "± 0.000 from batching" in line.reason

    def test_far_beyond_both_fails(self):
        columns = {"sts": between([0.40, 0.38], [0.90])}
        assert judge(Gate(margins={"sts": 0.05}), evidence(columns)).outcome == "fail"

    def test_what_batches_add_is_judged_at_the_end(self):
        columns = {"sts": between([0.40, 0.38], [0.90])}
        going_on = evidence(columns, planned=500)
        line = line_of(judge(Gate(margins={"sts": 0.05}), going_on), "sts")
        assert (line.outcome, line.n) == ("inconclusive", 0)
        assert "known at the end" in line.reason

    def test_an_older_comparison_is_judged_as_before_and_says_so(self):
        column = replace(measured([0.89] * 300, [0.90] * 300), only_reference="an older version compared them")
        line = line_of(judge(Gate(margins={"sts": 0.05}), evidence({"sts": column})), "sts")
        assert (line.outcome, line.from_runs) == ("pass", None)
        assert "batches are not in it (an older version compared them)" in line.reason

    def test_a_baseline_that_always_answers_the_same_has_no_yardstick_for_texts(self):
        fails = line_of(judge(Gate(margins={"sts": 0.05}), evidence({"sts": between([0.8, 0.8], [1.0])})), "sts")
        assert (fails.outcome, "other kernels" in fails.reason) == ("fail", True)
        passes = line_of(judge(Gate(margins={"sts": 0.05}), evidence({"sts": between([1.0, 1.0], [1.0])})), "sts")
        assert (passes.outcome, "other kernels" in passes.reason) == ("pass", False)
        noisy = line_of(judge(Gate(margins={"sts": 0.05}), evidence({"sts": between([0.8, 0.8], [0.99])})), "sts")
        assert "other kernels" not in noisy.reason

    def test_tails_have_both_noises(self):
        columns = {"sts": between([0.90, 0.88], [0.90])}
        line = line_of(judge(Gate(tail={"sts": 0.05}), evidence(columns)), "sts")
        assert line.from_runs == pytest.approx(6.3138 * 0.02 * math.sqrt(0.75), rel=1e-4)
        assert line.outcome == "inconclusive"
        assert "from prompts, ± 0.109 from batching" in line.reason


class TestShares:
    GATE = Gate(conflicts={"any": 0.02})

    def column(self, *, control, candidate):
        """Of 100 prompts: how many the baseline's control, and the candidate with both references, conflict on."""
        hits = [[1.0] * n + [0.0] * (100 - n) for n in (*candidate, control)]
        column = measured(hits[0], hits[-1], name="conflict_any", better="lower")
        among = AmongRuns(tuple(map(by_id, hits[:-1])), (by_id(hits[-1]),))
        return {"conflict_any": replace(column, among=among)}

    def test_more_than_batches_move_fails(self):
        columns = self.column(control=0, candidate=(20, 20))
        assert judge(self.GATE, evidence(columns, n=100)).outcome == "fail"

    def test_what_batches_may_explain_is_no_fail(self):
        # 20 with the baseline and 2 with its control: 11% on average, and 6.31 sqrt(3/4) 18% from batching.
        line = line_of(judge(self.GATE, evidence(self.column(control=0, candidate=(20, 2)), n=100)), "any")
        assert line.outcome == "inconclusive"
        assert "not beyond what batches move: an excess of +11.0%, ± 98.4% from batching" in line.reason


@pytest.mark.parametrize("mean", [0.0, 0.03, 0.09])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_the_number_of_prompts_that_is_named_is_one_that_passes(mean, confidence):
    """Values without any spread: what is named must be enough for the bound itself."""
    pilot = betting_bound(ids(20), [mean] * 20, low=-1, high=1, confidence=confidence)
    needed = prompts_needed(pilot, 0.1)
    bound = betting_bound(ids(needed), [mean] * needed, low=-1, high=1, confidence=confidence)
    assert bound.upper < 0.1


def test_a_control_more_narrows_the_run_s_part():
    runs = tuple(manifest(f"base.control{n}") for n in range(2))
    gate = Gate(margins={"sts": 0.05})
    one = judge(gate, evidence({"sts": between([0.90, 0.88], [0.90])}))
    two = judge(gate, evidence({"sts": between([0.90, 0.89, 0.88], [0.90, 0.89, 0.89])}, control_manifests=runs))
    assert line_of(two, "sts").from_runs < line_of(one, "sts").from_runs / 2
