"""A comparison that may stop at any time has bounds that hold at any time."""

import pytest

from fidelity.gate import Gate, Measured, judge
from fidelity.records import Column, PromptValue
from fidelity.stats import betting_bound, reading_order
from tests.gate.evidence import evidence, ids, line_of


class TestStopping:
    """A study that may stop at any time: any-time bounds, and what has none is judged once, at the end."""

    def first(self, k, n=300):
        """The first k of n prompts in reading order, with an excess of `excess` each."""
        return [ids(n)[i] for i in reading_order(ids(n))[:k]]

    def study(self, k, excess, **keys):
        read = self.first(k)
        column = Measured(
            Column("sts", ()),
            {p: PromptValue(0.9 - excess, 1.0) for p in read},
            ({p: PromptValue(0.9, 1.0) for p in ids(300)},),
        )
        return evidence({"sts": column, **keys}, prompt_ids=tuple(read), planned=300)

    def test_the_bound_is_the_any_time_bound(self):
        verdict = judge(Gate(margins={"sts": 0.05}), self.study(100, 0.01))
        bound = betting_bound(self.first(100), [0.9 - 0.89] * 100, low=-1, high=1, planned=300)
        line = line_of(verdict, "sts")
        assert (line.lower, line.upper) == pytest.approx((bound.lower, bound.upper), abs=1e-9)
        assert verdict.planned == 300

    def test_it_stops_early_either_way(self):
        gate = Gate(margins={"sts": 0.2})
        assert judge(gate, self.study(20, 0.0)).outcome == "inconclusive"
        assert judge(gate, self.study(100, 0.0)).outcome == "pass"
        assert judge(gate, self.study(60, 0.8)).outcome == "fail"

    def test_breaks_are_bet_on(self):
        read = self.first(150)
        broken = {p: PromptValue(float(n % 2), 1.0) for n, p in enumerate(read)}
        column = Measured(
            Column("break_json", (), better="lower"), broken, ({p: PromptValue(0.0, 1.0) for p in ids(300)},)
        )
        gate = Gate(breaks={"json": 0.1})
        line = line_of(judge(gate, self.study(150, 0.0, break_json=column)), "json")
        bound = betting_bound(read, [v.value for v in broken.values()], low=0, high=1, planned=300)
        assert (line.lower, line.upper) == (bound.lower, bound.upper)
        assert line.outcome == "fail"

    def test_a_tail_waits_for_the_end(self):
        gate = Gate(tail={"sts": 0.1})
        line = line_of(judge(gate, self.study(250, 0.0)), "sts")
        assert line.reason == "Not judged: a bootstrap can only be judged once, when all 300 prompts are finished."
        assert judge(gate, self.study(300, 0.0)).outcome == "pass"
