"""Gate files: nothing in one is silently ignored, no limit is one that nothing could exceed, and none waits in vain."""

import json
import re
import tomllib

import pytest

from fidelity.config import load_run
from fidelity.errors import ConfigError
from fidelity.gate import Gate, check_columns, load_gate, out_of_reach
from fidelity.metrics import every_metric
from fidelity.records import Column
from fidelity.stats import betting_bound, clopper_pearson, fewest_prompts, prompts_needed
from fidelity.study.study import load_study
from tests.conftest import ROOT, Silent

COLUMNS = {
    "sts": Column("sts", ()),
    "rougeL": Column("rougeL", ()),
    "break_json": Column("break_json", (), better="lower"),
    "distinct": Column("distinct", (), bounds=(-1.0, 1.0)),
    "kl": Column("kl", (), weights=(), better="lower", bounds=None),
    "kl_lower_bound": Column("kl_lower_bound", (), weights=(), better="lower", bounds=None),
    "own.kl_lower_bound[decile=1]": Column("own.kl_lower_bound[decile=1]", (), better="lower", bounds=None),
    "ear": Column("ear", ()),
    "ear_upper": Column("ear_upper", ()),
    "first_divergence": Column("first_divergence", (), better="neither", bounds=None),
}


class TestRepeatedKeys:
    @pytest.mark.parametrize(
        ("text", "key", "lines"),
        [
            ("margins: {sts: 0.01}\nmargins: {sts: 0.9}", "margins", (2, 1)),
            ("margins: {sts: 0.01, rougeL: 0.1, sts: 0.9}", "sts", (1, 1)),
            ("margins:\n  sts: 0.01\n  'sts': 0.9", "sts", (3, 2)),
            ("breaks:\n  json: 0.01\n  \"json\": 0.9", "json", (3, 2)),
            ("confidence: 0.99\nmargins: {sts: 0.1}\nconfidence: 0.6", "confidence", (3, 1)),
            ("x: [{a: [{b: 1, b: 2}]}]\nmargins: {sts: 0.1}", "b", (1, 1)),
            ("tail: &strict {sts: 0.01}\nmargins: {<<: *strict, sts: 0.9}", "sts", (2, 1)),
            ("tail: &a {sts: 0.9}\nbreaks: &b {sts: 0.1}\nmargins:\n  <<: [*a, *b]\n", "sts", (2, 1)),
            ("margins: {sts: 0.01}\n<<: {margins: {sts: 0.9}}", "margins", (2, 1)),
            ("margins:\n  <<: {sts: 0.1}\n  <<: {sts: 0.9}", "<<", (3, 2)),
            ("? margins\n: {sts: 0.01}\n!!str margins: {sts: 0.9}", "margins", (3, 1)),
        ],
    )  # fmt: skip
    def test_are_refused_with_file_line_and_key(self, tmp_path, text, key, lines):
        path = tmp_path / "gate.yaml"
        path.write_text(text)
        with pytest.raises(ConfigError) as caught:
            load_gate(path)
        message = str(caught.value)
        assert f"{path}: line {lines[0]}: duplicate key {key!r}, first used in line {lines[1]}" in message

    def test_every_one_is_named(self, tmp_path):
        path = tmp_path / "gate.yaml"
        path.write_text("margins: {sts: 0.1, sts: 0.2}\nbreaks: {json: 0.1, json: 0.2}\n")
        with pytest.raises(ConfigError, match=r"'json'(.|\n)*'sts'"):
            load_gate(path)

    def test_in_runs_and_studies_too(self, workspace):
        run = workspace.file(
            "run.yaml", "name: a\nengine: {kind: vllm, dtype: float16, dtype: bfloat16}\nmodel: model\n"
        )
        with pytest.raises(ConfigError, match=r"run.yaml: line 2: duplicate key 'dtype'"):
            load_run(run)
        family = "{baseline: base.yaml, candidates: [quant.yaml]}"
        study = workspace.file("study.yaml", f"name: s\nfamilies: [{family}]\ngate:\n  margins: {{a: 1, a: 2}}\n")
        with pytest.raises(ConfigError, match=r"study.yaml: line 4: duplicate key 'a'"):
            load_study(study)

    def test_a_run_may_override_what_it_merges(self, workspace):
        text = "name: a\nmodel: model\nengine: {<<: {kind: vllm, dtype: float16}, dtype: bfloat16}\n"
        assert load_run(workspace.file("run.yaml", text)).engine.dtype == "bfloat16"

    def test_merges_without_a_repeated_key_are_as_ever(self, tmp_path):
        path = tmp_path / "gate.yaml"
        path.write_text("tail: &shared {sts: 0.2}\nmargins: {<<: *shared, rougeL: 0.1}\n")
        assert load_gate(path).margins == {"sts": 0.2, "rougeL": 0.1}

    @pytest.mark.parametrize("text", ["&a [*a]", "margins: &m {sts: 0.1, x: *m}", "a: &a {<<: &b {<<: *a}}"])
    def test_what_contains_itself_ends(self, tmp_path, text):
        path = tmp_path / "gate.yaml"
        path.write_text(text)
        with pytest.raises(ConfigError):
            load_gate(path)

    @pytest.mark.parametrize(
        "text",
        [
            "margins: [{sts: 0.01}, {sts: 0.9}]",
            "margins: [[sts, 0.01], [sts, 0.9]]",
            "margins: {sts: {mean: 0.01}}",
            "margins: {sts: [0.01, 0.9]}",
        ],
    )
    def test_a_column_has_one_limit_and_no_list(self, tmp_path, text):
        path = tmp_path / "gate.yaml"
        path.write_text(text)
        with pytest.raises(ConfigError, match="margins"):
            load_gate(path)


class TestValues:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("confidence: 95", "confidence: Input should be less than 1: for 0.95 of all, or 95%, write 0.95"),
            ("confidence: 97.5", "write 0.975"),
            ("confidence: 95%", "write 0.95"),
            ("confidence: '95 %'", "write 0.95"),
            ("confidence: 950", "confidence: Input should be less than 1"),
            ("confidence: 1", "confidence: Input should be less than 1"),
            ("confidence: 0.5", "confidence: Input should be greater than 0.5"),
            ("confidence: 0.05", "confidence: Input should be greater than 0.5"),
            ("confidence: .nan", "confidence: "),
            ("breaks: {json: 2}", "breaks.json: Input should be less than 1: for 0.02 of all, or 2%, write 0.02"),
            ("breaks: {json: .nan}", "breaks.json: "),
            ("breaks: {json: -0.1}", "breaks.json: Input should be greater than 0"),
            ("max_failed: 2", "max_failed: Input should be less than 1: for 0.02 of all, or 2%, write 0.02"),
            ("max_failed: .nan", "max_failed: "),
            ("margins: {kl_lower_bound: .inf}", "margins.kl_lower_bound: Input should be a finite number"),
            ("margins: {kl_lower_bound: .nan}", "margins.kl_lower_bound: Input should be a finite number"),
            ("margins: {kl_lower_bound: -0.1}", "margins.kl_lower_bound: Input should be greater than 0"),
            ("tail: {kl_lower_bound: .inf}", "tail.kl_lower_bound: Input should be a finite number"),
        ],
    )
    def test_no_number_that_nothing_could_exceed(self, tmp_path, text, message):
        path = tmp_path / "gate.yaml"
        path.write_text(text if text.startswith("margins") else f"{text}\nmargins: {{sts: 0.1}}")
        with pytest.raises(ConfigError) as caught:
            load_gate(path)
        assert f"{path}: {message}" in str(caught.value) or message in str(caught.value)

    @pytest.mark.parametrize(
        ("gate", "message"),
        [
            ({"margins": {"sts": 1}}, "margins.sts: 1 can't be exceeded"),
            ({"margins": {"sts": 1e308}}, "margins.sts: 1e+308 can't be exceeded"),
            ({"tail": {"sts": 1.5}}, "tail.sts: 1.5 can't be exceeded"),
            ({"margins": {"distinct": 2}}, "distinct is between -1 and 1; choose a limit below 2"),
            ({"margins": {"kl": 1e308}}, "margins.kl: 1e+308 accepts any model"),
            ({"margins": {"kl": 12.5}}, "one that guesses its tokens loses at most 12.5 nats"),
            ({"tail": {"kl": 99}}, "tail.kl: 99 accepts any model"),
        ],
    )
    def test_limits_are_inside_the_columns_range(self, gate, message):
        with pytest.raises(ConfigError) as caught:
            check_columns(Gate(**gate), COLUMNS)
        assert message in str(caught.value)

    def test_limits_inside_are_accepted(self):
        margins = {"sts": 0.99, "distinct": 1.9, "kl": 12, "ear": 0.1}
        check_columns(Gate(margins=margins, breaks={"json": 0.9}), COLUMNS)

    @pytest.mark.parametrize("key", ["margins", "tail"])
    @pytest.mark.parametrize("name", ["kl_lower_bound", "own.kl_lower_bound[decile=1]", "ear_upper"])
    def test_bounds_that_drift_may_exceed_are_refused(self, key, name):
        with pytest.raises(ConfigError, match="a limit on it limits nothing; use 'ear', or 'kl' with kl:"):
            check_columns(Gate(**{key: {name: 0.1}}), COLUMNS)

    def test_a_column_that_could_be_scored_comes_with_the_line_to_add(self):
        with pytest.raises(ConfigError) as caught:
            check_columns(Gate(margins={"chrf": 0.1, "zzz": 0.1}), COLUMNS, addable={"chrf": "add `- chrf`"})
        assert "margins.chrf: chrf is not scored; add `- chrf`" in str(caught.value)
        assert "margins.zzz: no such column" in str(caught.value)  # and every mistake at once


class TestReach:
    """What so few prompts can't pass, checked against the bound itself."""

    @pytest.mark.parametrize(("margin", "prompts"), [(0.1, 34), (0.05, 68), (0.02, 172)])
    def test_of_a_margin(self, margin, prompts):
        def upper(n):
            return betting_bound([f"p{i}" for i in range(n)], [0.0] * n, low=-1, high=1).upper

        assert upper(prompts) < margin <= upper(prompts - 1)
        assert fewest_prompts(margin) == prompts
        gate = Gate(margins={"sts": margin})
        assert out_of_reach(gate, COLUMNS, prompts=prompts) == []
        (message,) = out_of_reach(gate, COLUMNS, prompts=prompts - 1)
        assert f"margins.sts: {margin:g} can't be passed with {prompts - 1} prompts" in message
        assert f"use at least {prompts} prompts (at 95%), or a limit of " in message

    @pytest.mark.parametrize("confidence", [0.9, 0.95, 0.975, 0.99, 0.999])
    @pytest.mark.parametrize("margin", [0.1, 0.05, 0.01])
    def test_the_planned_number_is_the_bounds_own_within_four_percent_and_two(self, confidence, margin):
        exact = fewest_prompts(margin, confidence=confidence)
        pilot = betting_bound([str(n) for n in range(20)], [0.0] * 20, low=-1, high=1, confidence=confidence)
        assert abs(prompts_needed(pilot, margin) - exact) <= 2 + 0.04 * exact

    def test_of_a_margin_that_may_stop_any_time(self):
        n = fewest_prompts(0.1, any_time=True)
        uppers = [
            betting_bound([f"p{i}" for i in range(k)], [0.0] * k, low=-1, high=1, planned=k).upper for k in (n - 1, n)
        ]
        assert uppers[1] < 0.1 <= uppers[0]
        assert out_of_reach(Gate(margins={"sts": 0.1}), COLUMNS, prompts=n - 1, any_time=True)
        assert not out_of_reach(Gate(margins={"sts": 0.1}), COLUMNS, prompts=n, any_time=True)

    def test_a_wide_column_needs_as_much_more(self):
        assert fewest_prompts(0.1, low=-2, high=2) == fewest_prompts(0.05)
        (message,) = out_of_reach(Gate(margins={"distinct": 0.1}), COLUMNS, prompts=67)
        assert "use at least 68 prompts" in message

    def test_of_breaks(self):
        # log 0.05 / log 0.98 = 148.3
        (message,) = out_of_reach(Gate(breaks={"json": 0.02}), COLUMNS, prompts=148)
        assert "breaks.json: 0.02 can't be passed with 148 prompts" in message
        assert "use at least 149 prompts (at 95%), or a limit of 0.03" in message
        assert not out_of_reach(Gate(breaks={"json": 0.02}), COLUMNS, prompts=149)
        assert clopper_pearson(0, 149, side="upper")[1] <= 0.02 < clopper_pearson(0, 148, side="upper")[1]

    def test_of_a_tail(self):
        assert "use at least 200 prompts" in out_of_reach(Gate(tail={"sts": 0.2}), COLUMNS, prompts=199)[0]
        assert not out_of_reach(Gate(tail={"sts": 0.2}), COLUMNS, prompts=200)

    def test_what_only_warns_is_left_out(self):
        gate = Gate(margins={"sts": 0.1, "rougeL": 0.001}, tail={"rougeL": 0.1}, primary="sts")
        assert not out_of_reach(gate, COLUMNS, prompts=40)

    def test_a_bootstrap_promises_nothing(self):
        assert not out_of_reach(Gate(margins={"kl": 0.001}), COLUMNS, prompts=5)

    def test_tiny_margins_take_no_time(self):
        (message,) = out_of_reach(Gate(margins={"sts": 1e-9}), COLUMNS, prompts=100)
        assert "use at least 3453" in message

    def test_nothing_can_pass_with_one_prompt(self):
        (message,) = out_of_reach(Gate(margins={"sts": 0.5}), COLUMNS, prompts=1)
        assert "use at least 6 prompts (at 95%)" in message
        assert "or a limit" not in message


@pytest.mark.usefixtures("fake_vllm")
class TestBeforeGenerating:
    @pytest.fixture
    def files(self, workspace):
        workspace.prompts(*(f"question {n}" for n in range(40)))
        return workspace.baseline(), workspace.run("quant")

    def compare(self, fidelity, workspace, files, gate, *more):
        path = workspace.file("gate.yaml", json.dumps(gate))
        code, out, error = fidelity("compare", *files, "--gate", path, *more)
        return code, out + error, any((workspace.folder / "fidelity-store").glob("runs/*"))

    def test_a_margin_out_of_reach_is_refused(self, fidelity, workspace, files):
        code, message, generated = self.compare(fidelity, workspace, files, {"margins": {"identical": 0.05}})
        assert (code, generated) == (2, False)
        assert "identical: 0.05 can't be passed with 40 prompts, even by a candidate without drift" in message
        assert "use at least 68 prompts (at 95%), or a limit of 0.09" in message

    def test_limit_counts(self, fidelity, workspace, files):
        gate = {"margins": {"identical": 0.1}}
        code, message, generated = self.compare(fidelity, workspace, files, gate, "--limit", 20)
        assert (code, generated) == (2, False)
        assert "can't be passed with 20 prompts" in message

    @pytest.mark.parametrize("margin", [0.086, 0.5])
    def test_one_in_reach_is_not(self, fidelity, workspace, files, margin):
        _, message, generated = self.compare(fidelity, workspace, files, {"margins": {"identical": margin}})
        assert "can't be passed" not in message
        assert generated

    def test_one_in_reach_of_a_single_candidate_is_named(self, fidelity, workspace, files):
        workspace.run("other")
        gate = {"margins": {"identical": 0.09}}
        code, message, generated = self.compare(fidelity, workspace, (*files, workspace.folder / "other.yaml"), gate)
        assert (code, generated) == (2, True)
        assert "can't be passed with 40 prompts" in message
        assert "use at least 45 prompts (at 97.5%, for 2 candidates)" in message

    def test_what_is_finished_is_judged(self, fidelity, workspace, files):
        assert fidelity("compare", *files)[0] == 0
        code, message, _ = self.compare(fidelity, workspace, files, {"margins": {"identical": 0.01}})
        assert code in (1, 2)
        assert "can't be passed" not in message

    @pytest.mark.parametrize(
        ("gate", "line"),
        [
            ({"margins": {"chrf": 0.2}}, "chrf is not scored; add `- chrf` to 'metrics:' in the baseline's YAML"),
            ({"tail": {"rougeL": 0.2}}, "rougeL is not scored; add `- rouge` to 'metrics:'"),
            ({"breaks": {"empty": 0.2}}, "break_empty is not scored; add `- breaks` to 'metrics:'"),
            ({"margins": {"contradiction": 0.2}}, "add `- {kind: nli, encoder: ENCODER}` to 'metrics:'"),
        ],
    )
    def test_a_column_that_is_not_scored_names_the_line(self, fidelity, workspace, files, gate, line):
        code, message, generated = self.compare(fidelity, workspace, files, gate)
        assert (code, generated) == (2, False)
        assert line in message

    def test_and_the_extra_that_is_missing(self, fidelity, workspace, files, monkeypatch):
        monkeypatch.setattr("fidelity.metrics.base._version", lambda p: None if p == "sentence-transformers" else "1.0")
        code, message, generated = self.compare(fidelity, workspace, files, {"margins": {"sts": 0.2}})
        assert (code, generated) == (2, False)
        assert "sts is not scored; add `- sts` to 'metrics:' in the baseline's YAML" in message
        assert "llm-fidelity[semantic]" in message

    def test_the_default_set_without_the_extra_is_an_error_too(self, fidelity, workspace, monkeypatch):
        monkeypatch.setattr("fidelity.metrics.base._version", lambda p: None if p == "sentence-transformers" else "1.0")
        workspace.prompts(*(f"question {n}" for n in range(40)))
        files = workspace.baseline(metrics=None), workspace.run("quant")
        code, message, generated = self.compare(fidelity, workspace, files, {"margins": {"sts": 0.2}})
        assert (code, generated) == (2, False)
        assert "margins.sts: sts is not scored" in message
        assert "llm-fidelity[semantic]" in message

    @pytest.mark.parametrize("metrics", [None, ["identical", "rouge"]], ids=["default", "own"])
    def test_a_gate_needs_no_package_of_other_metrics(self, fidelity, workspace, monkeypatch, metrics):
        """As after `pip install llm-fidelity` alone: what else could be gated is listed without those packages."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        core = {re.split(r"[<>=\[]", requirement)[0] for requirement in project["dependencies"]}
        extras = {package for metric in every_metric() for package in metric.packages} - core
        assert {"sacrebleu", "apted", "sentence-transformers"} <= extras
        monkeypatch.setattr("fidelity.metrics.base._version", lambda p: None if p in extras else "1.0")
        workspace.prompts(*(f"question {n}" for n in range(40)))
        files = workspace.baseline(metrics=metrics), workspace.run("quant")
        code, message, generated = self.compare(fidelity, workspace, files, {"margins": {"rougeL": 0.5}})
        assert (code in (0, 1), generated) == (True, True), message


class TestExamples:
    @pytest.mark.parametrize("name", ["study.yaml", "gpu-study.yaml", "llama-3.1.yaml"])
    def test_no_study_has_a_gate_that_its_prompts_can_not_pass(self, name):
        from fidelity.study.study import out_of_reach_in

        study = load_study(ROOT / "examples" / name)
        assert [sentence for family in study.families for sentence in out_of_reach_in(study, family, None)] == []

    def test_one_that_can_not_be_passed_is_reported_before_it_runs(self, workspace, fake_vllm):
        from fidelity.cli.comparing import metrics_of
        from fidelity.store.store import Store
        from fidelity.study.plan import plan_study
        from fidelity.study.study import run_study

        workspace.prompts(*(f"question {n}" for n in range(10)))
        data = {
            "name": "s",
            "prompts": "prompts.jsonl",
            "sampling": {"max_tokens": 8},
            "metrics": ["identical"],
            "gate": {"margins": {"identical": 0.1}},
            "families": [{"baseline": "base.yaml", "candidates": ["quant.yaml"]}],
        }
        workspace.run("base")
        workspace.run("quant")
        study = load_study(workspace.file("study.yaml", json.dumps(data)))
        assert "margins.identical: 0.1 can't be passed with 10 prompts" in "\n".join(
            plan_study(study, store=Store(workspace.store)).lines()
        )
        listener = Listening()
        run_study(study, store=Store(workspace.store), listener=listener, metrics_of=metrics_of)
        assert "0.1 can't be passed with 10 prompts" in listener.messages[0]


class Listening(Silent):
    def __init__(self):
        self.messages = []

    def say(self, text):
        self.messages.append(text)
