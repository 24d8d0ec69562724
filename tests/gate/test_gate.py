"""The gate's rules, each on numbers made by hand; the last class judges the recordings."""

import json
from collections import Counter
from dataclasses import replace
from itertools import permutations
from types import MappingProxyType

import numpy as np
import pytest
import yaml

from fidelity.comparison.results import verdicts
from fidelity.config import RecordedEngine, Sampling, load_run
from fidelity.engines.recorded import RecordedAnswers, recorded_prompts
from fidelity.errors import ConfigError
from fidelity.floor import PromptValue
from fidelity.gate import Evidence, Gate, Measured, exit_code, judge, load_gate
from fidelity.metrics.identical import Identical
from fidelity.metrics.prefix_agreement import PrefixAgreement
from fidelity.metrics.rouge import Rouge
from fidelity.pipeline import compare
from fidelity.records import Column, Pair, Prompt, Sameness
from fidelity.stats import betting_bound, reading_order, tail_excess
from fidelity.store.store import Store
from tests.conftest import RECORDINGS, ROOT
from tests.manifests import run_manifest

COMPILED = {"kind": "vllm", "version": "0.26.0", "mode": "compiled", "device": "H100"}

QUANTIZED_WHILE_LOADING = {
    "name": "quant",
    "model": "model",
    "engine": {"kind": "vllm", "options": {"quantization": "fp8"}},
}


def manifest(name, *, engine=None, failures=0, prompts=300, **keys):
    """As far as a verdict reads it."""
    given = {
        "digest": name,
        "engine": {**COMPILED, **(engine or {})},
        "checkpoint": {"format": "W4A16-INT4 g64" if name == "quant" else "BF16"},
        "identity": {"model": "quantized" if name == "quant" else "original"},
        **keys,
    }
    return run_manifest(name, prompts=prompts, failures=failures, **given)


def ids(n):
    return [f"p{i}" for i in range(n)]


def by_id(values):
    return {f"p{i}": None if v is None else PromptValue(v, 1.0) for i, v in enumerate(values)}


def measured(candidate, *controls, name="sts", better="higher", bounds=(0.0, 1.0), weights=None):
    column = Column(name, (), weights, better, bounds=bounds)
    return Measured(column, by_id(candidate), tuple(by_id(control) for control in controls))


def evidence(columns, n=300, **keys):
    given = {
        "candidate": "quant",
        "prompt_ids": tuple(ids(n)),
        "columns": columns,
        "baseline_manifest": manifest("base"),
        "candidate_manifest": manifest("quant"),
        "control_manifests": (manifest("base.control1"),),
        **keys,
    }
    return Evidence(**given)


def line_of(verdict, name):
    (line,) = [line for line in verdict.lines if line.name == name]
    return line


def sts(excess, n=300, **keys):
    """A candidate with the same excess on every prompt."""
    return {"sts": measured([0.9 - excess] * n, [0.9] * n, **keys)}


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
        assert line.reason.endswith("at 95 %: below the margin of 0.05.")

    def test_the_bound_is_the_betting_bound_on_the_whole_range(self):
        # A similarity in [0, 1] can lose 1 and win 1, so its excess lies in [-1, 1].
        line = line_of(judge(self.GATE, evidence(sts(0.01))), "sts")
        bound = betting_bound(ids(300), [0.9 - 0.89] * 300, low=-1, high=1)
        assert (line.lower, line.upper) == pytest.approx((bound.lower, bound.upper), abs=1e-9)

    def test_a_lower_bound_beyond_the_margin_fails(self):
        verdict = judge(self.GATE, evidence(sts(0.5)))
        assert verdict.outcome == "fail"
        assert "beyond the margin of 0.05" in line_of(verdict, "sts").reason
        assert verdict.reason == "Beyond the gate in sts (of 2 lines)."

    def test_in_between_is_inconclusive_and_says_what_would_decide(self):
        verdict = judge(self.GATE, evidence(sts(0.01, n=30), n=30))
        line = line_of(verdict, "sts")
        assert (verdict.outcome, line.outcome) == ("inconclusive", "inconclusive")
        assert line.prompts_needed > 30
        assert f"about {line.prompts_needed} prompts would decide, and there are 30" in line.reason
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
        # 10 % of the prompts lose everything: q05 falls from 0.9 to 0, though the mean excess is only 0.09.
        candidate = [0.0] * 30 + [0.9] * 270
        verdict = judge(self.GATE, evidence({"sts": measured(candidate, [0.9] * 300)}))
        line = line_of(verdict, "sts")
        expected = tail_excess(ids(300), [0.9] * 300, candidate, confidence=0.9)
        assert (line.value, line.lower, line.upper) == (expected.estimate, expected.low, expected.high)
        assert (verdict.outcome, line.value, line.asymptotic) == ("fail", pytest.approx(0.9), True)

    def test_lower_is_better_has_its_tail_at_the_other_end(self):
        columns = {"sts": measured([0.9] * 30 + [0.0] * 270, [0.0] * 300, better="lower")}
        assert judge(self.GATE, evidence(columns)).outcome == "fail"


class TestBreaks:
    GATE = Gate(breaks={"json": 0.05})

    def breaks(self, candidate, *controls):
        return {"break_json": measured(candidate, *controls, name="break_json", better="lower")}

    def test_clopper_pearson_passes(self):
        # None of 64: 1 - 0.05^(1/64) = 4.57 %, within 5 %. None of 58: 5.03 %, not within.
        line = line_of(judge(self.GATE, evidence(self.breaks([0.0] * 64, [0.0] * 64), n=64)), "json")
        assert (line.kind, line.outcome, line.value) == ("break", "pass", 0.0)
        assert line.upper == pytest.approx(1 - 0.05 ** (1 / 64))
        assert line.reason == "0 of 64 prompts newly broken, at most 4.6% at 95 %: within 5.0%."
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
        assert "not surely more often than the control, with 10 (McNemar, p = 0.59)" in line.reason

    def test_several_controls_count_together(self):
        # 6 breaks of the candidate, 3 others by each control: 6 against 6, p = 0.61.
        candidate = [1.0] * 6 + [0.0] * 30
        controls = ([0.0] * 6 + [1.0] * 3 + [0.0] * 27, [0.0] * 9 + [1.0] * 3 + [0.0] * 24)
        line = line_of(judge(self.GATE, evidence(self.breaks(candidate, *controls), n=36)), "json")
        assert "with 6 (McNemar, p = 0.61)" in line.reason

    def test_a_prompt_is_broken_if_one_of_its_repeats_is(self):
        column = self.breaks([0.5, *[0.0] * 63], [0.0] * 64)
        assert line_of(judge(self.GATE, evidence(column, n=64)), "json").value == 1 / 64

    def test_labels_stand_before_the_check(self):
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
        assert line_of(verdict, "sts").reason.endswith("but no fail: too many prompts have no answer.")

    def test_surely_beyond_it_and_more_than_the_control_fails(self):
        # 40 of 300 is at least 10.2 %, and the control answered them all.
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


class TestWhole:
    def test_pass_needs_every_line(self):
        columns = {**sts(0.01), "rougeL": measured([0.5, 0.9] * 150, [0.7] * 300)}
        gate = Gate(margins={"sts": 0.05, "rougeL": 0.01})
        verdict = judge(gate, evidence(columns))
        assert [line.outcome for line in verdict.lines] == ["pass", "inconclusive", "pass"]
        assert verdict.reason == "The data can't tell: rougeL (of 3 lines)."

    def test_a_fail_outweighs_what_is_inconclusive(self):
        columns = {**sts(0.5), "rougeL": measured([0.5, 0.9] * 150, [0.7] * 300)}
        assert judge(Gate(margins={"sts": 0.05, "rougeL": 0.01}), evidence(columns)).outcome == "fail"

    def test_fails_are_corrected_for_the_number_of_lines(self):
        # 7 of 64 broken against a limit of 5 %: P(7 or more) = 0.040, below 0.05; but for the smallest of two p-values
        # Holm asks for 0.025 (the second line is that of the failures), and for the middle one of three too.
        broken = measured([1.0] * 7 + [0.0] * 57, [0.0] * 64, name="break_json", better="lower")
        line = line_of(judge(Gate(breaks={"json": 0.05}), evidence({"break_json": broken}, n=64)), "json")
        assert line.lower > 0.05
        assert line.outcome == "inconclusive"
        assert line.reason.endswith("but no fail: corrected for 2 lines it is not sure.")
        certain = {"break_json": broken, **sts(0.5, n=64)}
        both = judge(Gate(breaks={"json": 0.05}, margins={"sts": 0.05}), evidence(certain, n=64))
        assert (line_of(both, "sts").outcome, line_of(both, "json").outcome) == ("fail", "inconclusive")

    def test_passes_are_not_corrected(self):
        # 0 of 59 is within 5 % at 95 %, by a hair; with ten such lines each still passes.
        names = [f"check{n}" for n in range(10)]
        columns = {f"break_{n}": measured([0.0] * 59, [0.0] * 59, name=n, better="lower") for n in names}
        assert judge(Gate(breaks=dict.fromkeys(names, 0.05)), evidence(columns, n=59)).outcome == "pass"

    def test_with_a_primary_the_others_warn(self):
        columns = {**sts(0.01), "rougeL": measured([0.1] * 300, [0.9] * 300)}
        limits = {"sts": 0.05, "rougeL": 0.05}
        assert judge(Gate(margins=limits), evidence(columns)).outcome == "fail"
        verdict = judge(Gate(margins=limits, primary="sts"), evidence(columns))
        assert verdict.outcome == "pass"
        warning = line_of(verdict, "rougeL")
        assert (warning.outcome, warning.decides) == ("fail", False)

    def test_with_a_primary_hard_breaks_still_decide(self):
        broken = measured([1.0] * 100 + [0.0] * 200, [0.0] * 300, name="break_json", better="lower")
        gate = Gate(margins={"sts": 0.05}, breaks={"json": 0.05}, primary="sts")
        assert judge(gate, evidence({**sts(0.01), "break_json": broken})).outcome == "fail"

    def test_exit_codes(self):
        assert [exit_code(o) for o in (["pass"], ["pass", "inconclusive"], ["inconclusive", "fail"], [])] == [
            0,
            2,
            1,
            0,
        ]

    def test_the_order_of_prompts_changes_nothing(self):
        values = [0.9 - 0.001 * (i % 97) for i in range(300)]
        forward = measured(values, [0.9] * 300)
        backward = replace(forward, candidate=dict(reversed(forward.candidate.items())))
        one, other = (
            line_of(judge(Gate(margins={"sts": 0.05}), evidence({"sts": m})), "sts") for m in (forward, backward)
        )
        assert one == other


class TestPreconditions:
    GATE = Gate(margins={"sts": 0.05}, breaks={"json": 0.5})
    COLUMNS = MappingProxyType(
        {**sts(0.5), "break_json": measured([1.0] * 300, [0.0] * 300, name="break_json", better="lower")}
    )

    def test_these_columns_fail(self):
        assert judge(self.GATE, evidence(self.COLUMNS)).outcome == "fail"

    def test_no_control(self):
        bare = {name: replace(m, controls=()) for name, m in self.COLUMNS.items()}
        verdict = judge(self.GATE, evidence(bare, control_manifests=()))
        assert verdict.outcome == "inconclusive"
        assert verdict.reason == "No control: nothing says how far the baseline is from itself."
        assert [line.outcome for line in verdict.lines] == ["inconclusive"] * 3 + ["pass"]
        assert "no control says how often" in line_of(verdict, "json").reason

    @pytest.mark.parametrize(
        ("control", "message"),
        [
            (manifest("base"), "is the baseline itself"),
            (manifest("quant"), "is the candidate itself"),
            (manifest("base.control1", engine={"mode": "eager"}), "its mode is eager (the baseline's: compiled)"),
            (manifest("base.control1", identity={"model": "another"}), "is another model than the baseline"),
        ],
    )
    def test_a_control_is_judged_by_its_manifest(self, control, message):
        verdict = judge(self.GATE, evidence(self.COLUMNS, control_manifests=(control,)))
        assert verdict.outcome == "inconclusive"
        assert message in verdict.reason

    @pytest.mark.parametrize(("path", "outcome"), [("again.jsonl", "pass"), ("base.jsonl", "inconclusive")])
    def test_a_recorded_control_may_say_the_same_but_not_be_the_same_file(self, path, outcome):
        def recorded(name, path):
            engine = {"kind": "recorded", "path": path}
            return manifest(name, digest="same", identity={"kind": "recorded"}, config={"name": name, "engine": engine})

        runs = {"baseline_manifest": recorded("base", "base.jsonl"), "control_manifests": (recorded("again", path),)}
        assert judge(Gate(margins={"sts": 0.05}), evidence(sts(0.01), **runs)).outcome == outcome

    def test_a_control_that_equals_the_baseline_is_a_good_control(self):
        columns = {"sts": measured([0.99] * 300, [1.0] * 300)}
        assert judge(Gate(margins={"sts": 0.05}), evidence(columns)).outcome == "pass"

    @pytest.mark.parametrize(
        ("same", "message"),
        [
            (Sameness(texts=True, token_ids=True, logprobs=True), "Quantization never engaged: every text"),
            (Sameness(texts=True, token_ids=True), "Can't tell whether quantization engaged"),
            (Sameness(texts=True), "Can't tell whether quantization engaged"),
            (Sameness(texts=True, token_ids=True, logprobs=False), None),
            (Sameness(texts=True, token_ids=False), None),
            (Sameness(texts=False), None),
        ],
    )
    @pytest.mark.parametrize("form", ["W4A16-INT4 g64", "BF16", None])
    def test_equal_outputs(self, same, message, form):
        given = {"candidate_manifest": manifest("quant", checkpoint={"format": form}), "same": same}
        verdict = judge(Gate(margins={"sts": 0.05}), evidence(sts(0.0), **given))
        assert verdict.outcome == ("inconclusive" if message else "pass")
        assert verdict.reason.startswith(message or "Every line holds")

    @pytest.mark.parametrize(
        ("keys", "engaged"),
        [
            ({}, False),
            ({"checkpoint": {"format": "BF16"}}, True),
            ({"checkpoint": {"format": "BF16"}, "config": QUANTIZED_WHILE_LOADING}, False),
            ({"checkpoint": {}, "label": "W8A8-FP8"}, False),
            ({"checkpoint": {}, "label": "BF16, eager"}, True),
            ({"checkpoint": {}, "label": None}, True),
        ],
    )
    def test_no_quantized_layer(self, keys, engaged):
        quant = manifest("quant", engine={"quantized_layers": 0}, **keys)
        verdict = judge(Gate(margins={"sts": 0.05}), evidence(sts(0.01), candidate_manifest=quant))
        assert verdict.outcome == ("pass" if engaged else "inconclusive")
        if not engaged:
            assert verdict.reason == "Quantization never engaged: the engine reports no quantized layer."

    @pytest.mark.parametrize("other", [{"mode": "eager"}, {"version": "0.25.1"}, {"device": "A100"}])
    def test_another_engine_makes_no_fail(self, other):
        quant = manifest("quant", engine=other)
        verdict = judge(self.GATE, evidence(self.COLUMNS, candidate_manifest=quant))
        assert [line.outcome for line in verdict.lines] == ["inconclusive", "inconclusive", "pass"]
        assert "the baseline's: " in line_of(verdict, "sts").reason
        assert "so that not all of this need be quantization's" in line_of(verdict, "sts").reason
        allowed = self.GATE.model_copy(update={"allow_engine_difference": True})
        assert judge(allowed, evidence(self.COLUMNS, candidate_manifest=quant)).outcome == "fail"

    def test_another_engine_may_pass(self):
        quant = manifest("quant", engine={"mode": "eager"})
        assert judge(Gate(margins={"sts": 0.05}), evidence(sts(0.01), candidate_manifest=quant)).outcome == "pass"

    def test_what_an_engine_does_not_say_is_no_difference(self):
        quant = manifest("quant", engine={"mode": None, "device": None, "version": None})
        assert judge(self.GATE, evidence(self.COLUMNS, candidate_manifest=quant)).outcome == "fail"


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
        assert line.reason == "Not judged: a bootstrap may be looked at only once, when all 300 prompts are there."
        assert judge(gate, self.study(300, 0.0)).outcome == "pass"


class TestFile:
    def load(self, tmp_path, text):
        file = tmp_path / "gate.yaml"
        file.write_text(text)
        return load_gate(file)

    def test_as_in_the_docs(self, tmp_path):
        gate = self.load(
            tmp_path,
            "confidence: 0.95\nmargins: {rougeL: 0.05, sts: 0.02}\ntail: {sts: 0.10}\n"
            "breaks: {json: 0.05, loop: 0.05}\nmax_failed: 0.02\nprimary: sts\n",
        )
        assert gate.margins == {"rougeL": 0.05, "sts": 0.02}
        assert gate == Gate(
            margins={"rougeL": 0.05, "sts": 0.02}, tail={"sts": 0.1}, breaks={"json": 0.05, "loop": 0.05}, primary="sts"
        )

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "a mapping of keys is expected (confidence:, conflicts:, margins:, breaks: ...), found nothing"),
            ("margin: {sts: 0.1}", "unknown key 'margin'; did you mean 'margins'?"),
            (
                "margins: {}",
                "no limit in it, so that everything would pass: name 'conflicts', 'margins', 'tail' or 'breaks'",
            ),
            ("margins: {sts: 0}", "margins.sts: Input should be greater than 0"),
            ("margins: {sts: .nan}", "margins.sts: Input should be a finite number"),
            ("margins: {sts: yes}", "margins.sts: Input should be a valid number"),
            ("margins: {sts: '0.1'}", "margins.sts: Input should be a valid number"),
            ("breaks: {json: 5}", "breaks.json: Input should be less than 1"),
            ("margins: {sts: 0.1}\nconfidence: 95", "confidence: Input should be less than 1"),
            ("margins: {sts: 0.1}\nprimary: st", "primary: 'st' has no margin; did you mean 'sts'?"),
            ("margins: [sts]", "margins: Input should be a valid dictionary"),
        ],
    )
    def test_what_is_wrong_is_named_with_its_place(self, tmp_path, text, message):
        with pytest.raises(ConfigError) as caught:
            self.load(tmp_path, text)
        assert str(caught.value).startswith(str(tmp_path / "gate.yaml"))
        assert message in str(caught.value)

    @pytest.mark.parametrize(
        ("gate", "message"),
        [
            (Gate(margins={"rougel": 0.1}), "margins.rougel: no such column among what is scored; did you mean"),
            (Gate(tail={"zzz": 0.1}), "tail.zzz: no such column among what is scored; known are rougeL, break_json"),
            (
                Gate(margins={"first_divergence": 2}),
                "margins.first_divergence: a column that only describes; "
                "its form that can be judged is 'prefix_agreement'",
            ),
            (Gate(margins={"rougeL": 1}), "margins.rougeL: 1 can't be exceeded, so nothing could fail"),
            (Gate(breaks={"jsno": 0.1}), "breaks.jsno: no column 'break_jsno' among what is scored; did you mean"),
        ],
    )  # fmt: skip
    def test_columns_that_are_not_there(self, gate, message):
        columns = {
            "rougeL": measured([1.0] * 300, [1.0] * 300),
            "prefix_agreement": measured([1.0] * 300, [1.0] * 300),
            "first_divergence": measured([1.0] * 300, [1.0] * 300, better="neither", bounds=None),
            "break_json": measured([0.0] * 300, [0.0] * 300, better="lower"),
        }
        if "tail" in message:
            del columns["prefix_agreement"]
        with pytest.raises(ConfigError) as caught:
            judge(gate, evidence(columns))
        assert message in str(caught.value)


RECORDED = ROOT / "examples" / "recordings"
BF16 = ("bf16", "bf16-rev", "bf16-serial")


class Silent:
    def say(self, text): ...

    def progress(self, *state): ...


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Judges recordings: `recordings("w4a16", control="bf16-serial")`. What was scored is not scored again."""
    folder = tmp_path_factory.mktemp("recordings")
    store = Store(folder / "store")

    def run_of(name, recording, **keys):
        written = yaml.safe_load((RECORDED / "bf16.yaml").read_text()) | {"name": name, **keys}
        written["engine"] = written["engine"] | {"path": str(RECORDINGS / f"{recording}.jsonl")}
        (folder / f"{name}.yaml").write_text(json.dumps(written))
        return load_run(folder / f"{name}.yaml")

    def judged(candidate, *, control="bf16-rev", gate=SENSIBLE):
        controls = {"path": str(RECORDINGS / f"{control}.jsonl")} if control else "none"
        config = (
            load_run(RECORDED / f"{candidate}.yaml")
            if candidate not in BF16
            else run_of("candidate", candidate, control=None)
        )
        base = run_of("bf16", "bf16", control=controls)
        metrics = [Identical(), PrefixAgreement(), Rouge()]
        result = compare(base, [config], metrics=metrics, store=store, listener=Silent(), gate=gate)
        return verdicts(result, gate)[config.name]

    return judged


SENSIBLE = Gate(margins={"rougeL": 0.05, "prefix_agreement": 0.1, "identical": 0.2})


class TestRecordings:
    @pytest.mark.parametrize(
        ("candidate", "control"), [("bf16-serial", "bf16-rev"), ("bf16-rev", "bf16-serial"), ("bf16-rev", "bf16-rev")]
    )
    def test_the_same_weights_in_another_order_never_fail(self, recordings, candidate, control):
        assert recordings(candidate, control=control).outcome in ("pass", "inconclusive")

    def test_bf16_one_by_one_passes(self, recordings):
        assert recordings("bf16-serial").outcome == "pass"

    @pytest.mark.parametrize("candidate", ["w8a8-fp8", "fp8-online", "w8a8-int8", "w4a16"])
    def test_quantized_to_nearest_fails(self, recordings, candidate):
        verdict = recordings(candidate)
        assert verdict.outcome == "fail"
        assert {line.name for line in verdict.lines if line.outcome == "fail"} == set(SENSIBLE.margins)

    def test_eager_kernels_are_no_quantization_drift(self, recordings):
        verdict = recordings("bf16-eager")
        assert verdict.outcome == "inconclusive"
        assert "its mode is eager (the baseline's: compiled)" in verdict.reason

    def test_the_baseline_as_its_own_candidate_never_engaged(self, recordings):
        verdict = recordings("bf16")
        assert verdict.outcome == "inconclusive"
        assert verdict.reason.startswith("Quantization never engaged")

    def test_no_control(self, recordings):
        verdict = recordings("w4a16", control=None)
        assert verdict.outcome == "inconclusive"
        assert verdict.reason.startswith("No control")

    def test_a_thousand_studies_without_any_effect(self):
        """Prompts are drawn again and control and candidate swapped at random, so that the true excess is 0.

        Against margins of next to nothing at most 5 % of verdicts may be "fail": 64 of 1,000 with the simulation's
        own error (binomial, 97.5 %).
        """
        runs = {name: recorded_texts(name) for name in BF16}
        columns = {}
        for metric in (Rouge(), PrefixAgreement()):
            for one, other in permutations(BF16, 2):
                pairs = [Pair(Prompt(p, ""), g, runs[other][p]) for p, g in runs[one].items()]
                columns |= {(one, other, c.name): np.array(c.values) for c in metric.score(pairs)}
        gate = Gate(margins={"rougeL": 0.001, "prefix_agreement": 0.001})
        rng = np.random.default_rng(0)
        outcomes = Counter()
        for _ in range(1000):
            base, control, candidate = rng.permutation(BF16)
            drawn, swapped = rng.integers(0, 64, 64), rng.random(64) < 0.5
            study = {}
            for name in gate.margins:
                c, s = columns[base, control, name][drawn], columns[base, candidate, name][drawn]
                study[name] = measured(np.where(swapped, c, s), np.where(swapped, s, c), name=name)
            verdict = judge(gate, evidence(study, prompt_ids=tuple(ids(64))))
            outcomes[verdict.outcome] += 1
            outcomes.update(line.name for line in verdict.lines if line.kind == "margin" and line.lower > line.limit)
        assert outcomes["fail"] <= 64, outcomes
        assert max(outcomes["rougeL"], outcomes["prefix_agreement"]) <= 64, outcomes  # each bound, uncorrected


def recorded_texts(name):
    run = RecordedAnswers(RecordedEngine(kind="recorded", path=RECORDINGS / f"{name}.jsonl"))
    prompts = recorded_prompts(RECORDINGS / f"{name}.jsonl")
    return {answer.prompt_id: answer for answer in run.generate(prompts, Sampling())}
