"""Lines together make one verdict, and what a verdict presupposes, on numbers made by hand."""

from dataclasses import replace
from types import MappingProxyType

import pytest

from fidelity.gate import Gate, exit_code, judge
from fidelity.records import Sameness
from tests.gate.evidence import evidence, line_of, manifest, measured, sts

QUANTIZED_WHILE_LOADING = {
    "name": "quant",
    "model": "model",
    "engine": {"kind": "vllm", "options": {"quantization": "fp8"}},
}


class TestWhole:
    def test_pass_needs_every_line(self):
        columns = {**sts(0.01), "rougeL": measured([0.5, 0.9] * 150, [0.7] * 300)}
        gate = Gate(margins={"sts": 0.05, "rougeL": 0.01})
        verdict = judge(gate, evidence(columns))
        assert [line.outcome for line in verdict.lines] == ["pass", "inconclusive", "pass"]
        assert verdict.reason == "Undecided: rougeL (1 of 3 lines)."

    def test_a_fail_outweighs_what_is_inconclusive(self):
        columns = {**sts(0.5), "rougeL": measured([0.5, 0.9] * 150, [0.7] * 300)}
        assert judge(Gate(margins={"sts": 0.05, "rougeL": 0.01}), evidence(columns)).outcome == "fail"

    def test_fails_are_corrected_for_the_number_of_lines(self):
        # 7 of 64 broken against a limit of 5%: P(7 or more) = 0.040, below 0.05; but for the smallest of two p-values
        # Holm asks for 0.025 (the second line is that of the failures), and for the middle one of three too.
        broken = measured([1.0] * 7 + [0.0] * 57, [0.0] * 64, name="break_json", better="lower")
        line = line_of(judge(Gate(breaks={"json": 0.05}), evidence({"break_json": broken}, n=64)), "json")
        assert line.lower > 0.05
        assert line.outcome == "inconclusive"
        assert line.reason.endswith("but it can't fail: after correction for 2 lines it is not significant.")
        certain = {"break_json": broken, **sts(0.5, n=64)}
        both = judge(Gate(breaks={"json": 0.05}, margins={"sts": 0.05}), evidence(certain, n=64))
        assert (line_of(both, "sts").outcome, line_of(both, "json").outcome) == ("fail", "inconclusive")

    def test_passes_are_not_corrected(self):
        # 0 of 59 is within 5% at 95%, by a hair; with ten such lines each still passes.
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

    def test_the_exit_code_is_1_for_a_fail_2_for_undecided_and_0_for_a_pass(self):
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

    def test_these_columns_fail_where_every_precondition_holds(self):
        assert judge(self.GATE, evidence(self.COLUMNS)).outcome == "fail"

    def test_without_a_control_nothing_is_decided(self):
        bare = {name: replace(m, controls=()) for name, m in self.COLUMNS.items()}
        verdict = judge(self.GATE, evidence(bare, control_manifests=()))
        assert verdict.outcome == "inconclusive"
        assert (
            verdict.reason
            == "No control: the baseline's drift from itself is unknown. Generate one (control: {repeats: 1})."
        )
        assert [line.outcome for line in verdict.lines] == ["inconclusive"] * 3 + ["pass"]
        assert "without a control the baseline's own share is unknown" in line_of(verdict, "json").reason

    @pytest.mark.parametrize(
        ("control", "message"),
        [
            (manifest("base"), "is the baseline itself"),
            (manifest("quant"), "is the candidate itself"),
            (manifest("base.control1", engine={"mode": "eager"}), "its mode is eager (the baseline's: compiled)"),
            (manifest("base.control1", identity={"model": "another"}), "is a different model than the baseline"),
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
            (Sameness(texts=True, token_ids=True, logprobs=True), "Quantization was not active: every text"),
            (Sameness(texts=True, token_ids=True), "Unknown whether quantization was active"),
            (Sameness(texts=True), "Unknown whether quantization was active"),
            (Sameness(texts=True, token_ids=True, logprobs=False), None),
            (Sameness(texts=True, token_ids=False), None),
            (Sameness(texts=False), None),
        ],
    )
    @pytest.mark.parametrize("form", ["W4A16-INT4 g64", "BF16", None])
    def test_equal_outputs_never_pass_unless_their_logprobs_differ(self, same, message, form):
        given = {"candidate_manifest": manifest("quant", checkpoint={"format": form}), "same": same}
        verdict = judge(Gate(margins={"sts": 0.05}), evidence(sts(0.0), **given))
        assert verdict.outcome == ("inconclusive" if message else "pass")
        assert verdict.reason.startswith(message or "Every line passes")

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
    def test_a_copy_without_a_quantized_layer_never_passes(self, keys, engaged):
        quant = manifest("quant", engine={"quantized_layers": 0}, **keys)
        verdict = judge(Gate(margins={"sts": 0.05}), evidence(sts(0.01), candidate_manifest=quant))
        assert verdict.outcome == ("pass" if engaged else "inconclusive")
        if not engaged:
            assert verdict.reason == "Quantization was not active: the engine reports no quantized layer."

    @pytest.mark.parametrize("other", [{"mode": "eager"}, {"version": "0.25.1"}, {"device": "A100"}])
    def test_another_engine_makes_no_fail(self, other):
        quant = manifest("quant", engine=other)
        verdict = judge(self.GATE, evidence(self.COLUMNS, candidate_manifest=quant))
        assert [line.outcome for line in verdict.lines] == ["inconclusive", "inconclusive", "pass"]
        assert "the baseline's: " in line_of(verdict, "sts").reason
        assert "so quantization may not be the cause" in line_of(verdict, "sts").reason
        allowed = self.GATE.model_copy(update={"allow_engine_difference": True})
        assert judge(allowed, evidence(self.COLUMNS, candidate_manifest=quant)).outcome == "fail"

    def test_another_engine_may_pass(self):
        quant = manifest("quant", engine={"mode": "eager"})
        assert judge(Gate(margins={"sts": 0.05}), evidence(sts(0.01), candidate_manifest=quant)).outcome == "pass"

    def test_what_an_engine_does_not_say_is_no_difference(self):
        quant = manifest("quant", engine={"mode": None, "device": None, "version": None})
        assert judge(self.GATE, evidence(self.COLUMNS, candidate_manifest=quant)).outcome == "fail"
