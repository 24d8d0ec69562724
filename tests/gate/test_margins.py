"""Margins on a mean and on the worst prompts, on numbers made by hand."""

import pytest

from fidelity.gate import Gate, judge
from fidelity.stats import betting_bound, tail_excess
from tests.gate.evidence import evidence, ids, line_of, manifest, measured, sts


class TestMargin:
    GATE = Gate(margins={"sts": 0.05})

    def test_an_upper_bound_below_the_margin_passes(self):
        verdict = judge(self.GATE, evidence(sts(0.01)))
        line = line_of(verdict, "sts")
        assert (verdict.outcome, line.outcome) == ("pass", "pass")
        assert line.value == pytest.approx(0.01)
        assert line.lower < 0.01 < line.upper < 0.05
        assert (line.limit, line.n) == (0.05, 300)
        assert line.reason.startswith("Mean excess +0.010, at most +0.0")
        assert line.reason.endswith("at 95%: below the margin of 0.05 (± 0.011 from prompts).")

    def test_the_bound_is_the_betting_bound_on_the_whole_range(self):
        # A similarity in [0, 1] can lose 1 and win 1, so its excess is in [-1, 1].
        line = line_of(judge(self.GATE, evidence(sts(0.01))), "sts")
        bound = betting_bound(ids(300), [0.9 - 0.89] * 300, low=-1, high=1)
        assert (line.lower, line.upper) == pytest.approx((bound.lower, bound.upper), abs=1e-9)

    def test_a_lower_bound_beyond_the_margin_fails(self):
        verdict = judge(self.GATE, evidence(sts(0.5)))
        assert verdict.outcome == "fail"
        assert "beyond the margin of 0.05" in line_of(verdict, "sts").reason
        assert verdict.reason == "Beyond the limit: sts (1 of 2 lines)."

    def test_in_between_is_inconclusive_and_names_the_prompts_that_would_decide(self):
        verdict = judge(self.GATE, evidence(sts(0.01, n=30), n=30))
        line = line_of(verdict, "sts")
        assert (verdict.outcome, line.outcome) == ("inconclusive", "inconclusive")
        assert line.prompts_needed > 30
        assert f"it needs about {line.prompts_needed} prompts to decide, and there are 30" in line.reason
        assert 0 < line.detectable < 0.5

    def test_no_significant_difference_never_passes(self):
        # Symmetric noise of half the range around no effect at all: not significant, and not shown to be below 0.05.
        wild = {"sts": measured([0.25, 0.75] * 20, [0.5] * 40)}
        assert judge(self.GATE, evidence(wild, n=40)).outcome == "inconclusive"

    def test_lower_is_better_turns_the_excess_round(self):
        columns = {"sts": measured([0.6] * 300, [0.1] * 300, better="lower")}
        assert judge(self.GATE, evidence(columns)).outcome == "fail"
        columns = {"sts": measured([0.12] * 300, [0.1] * 300, better="lower")}
        assert judge(self.GATE, evidence(columns)).outcome == "pass"

    def test_the_floor_is_the_mean_over_the_controls(self):
        columns = {"sts": measured([0.8] * 300, [0.9] * 300, [0.7] * 300)}
        controls = (manifest("base.control1"), manifest("base.control2"))
        line = line_of(judge(self.GATE, evidence(columns, control_manifests=controls)), "sts")
        assert line.value == pytest.approx(0.0)

    def test_prompts_that_one_side_could_not_be_scored_on_are_left_out(self):
        columns = {"sts": measured([0.9] * 200 + [None] * 100, [0.9] * 300)}
        assert line_of(judge(self.GATE, evidence(columns)), "sts").n == 200

    def test_nothing_scored_is_inconclusive(self):
        line = line_of(judge(self.GATE, evidence({"sts": measured([None] * 300, [0.9] * 300)})), "sts")
        assert (line.outcome, line.value, line.n) == ("inconclusive", None, 0)

    def test_a_column_that_could_not_be_scored_is_a_line_with_its_reason(self):
        verdict = judge(self.GATE, evidence({}, unscored={"sts": "quant has no token ids"}))
        assert line_of(verdict, "sts").reason == "Not judged: quant has no token ids."
        assert verdict.outcome == "inconclusive"

    @pytest.mark.parametrize("weights", [None, ()])
    def test_without_a_range_or_with_weights_the_bound_is_marked_asymptotic(self, weights):
        bounds = None if weights is None else (0.0, 1.0)
        noise = [0.01 * ((i * 7) % 11 - 5) for i in range(300)]
        columns = {"sts": measured([0.9 + e for e in noise], [0.9] * 300, bounds=bounds, weights=weights)}
        line = line_of(judge(self.GATE, evidence(columns)), "sts")
        assert (line.outcome, line.asymptotic) == ("pass", True)
        assert "asymptotic" in line.reason
        columns = {"sts": measured([0.5 + e for e in noise], [0.9] * 300, bounds=bounds, weights=weights)}
        assert judge(self.GATE, evidence(columns)).outcome == "fail"


class TestTail:
    GATE = Gate(tail={"sts": 0.1})

    def test_from_200_prompts_on(self):
        few = judge(self.GATE, evidence(sts(0.0, n=199), n=199))
        assert few.outcome == "inconclusive"
        assert line_of(few, "sts").prompts_needed == 200
        assert judge(self.GATE, evidence(sts(0.0, n=200), n=200)).outcome == "pass"

    def test_the_worst_prompts_decide_and_not_the_mean(self):
        # 10% of the prompts lose everything: q05 falls from 0.9 to 0, though the mean excess is only 0.09.
        candidate = [0.0] * 30 + [0.9] * 270
        verdict = judge(self.GATE, evidence({"sts": measured(candidate, [0.9] * 300)}))
        line = line_of(verdict, "sts")
        expected = tail_excess(ids(300), [[0.9] * 300], [candidate], confidence=0.9)
        assert (line.value, line.lower, line.upper) == (expected.estimate, expected.low, expected.high)
        assert (verdict.outcome, line.value, line.asymptotic) == ("fail", pytest.approx(0.9), True)

    def test_lower_is_better_has_its_tail_at_the_other_end(self):
        columns = {"sts": measured([0.9] * 30 + [0.0] * 270, [0.0] * 300, better="lower")}
        assert judge(self.GATE, evidence(columns)).outcome == "fail"
