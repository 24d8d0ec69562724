"""Gates on the command line: exit codes, what is printed, and judging a stored comparison again."""

import json
import shutil

import pytest
import yaml

from fidelity.gate import judging

N = 100
GATE = {"margins": {"identical": 0.2}}


@pytest.fixture
def write(workspace):
    """Writes a recorded run of N prompts; those given by `changed` have another answer."""

    def write(name, changed=(), missing=(), **keys):
        rows = [
            {"id": f"p{n}", "text": f"answer {n}" + (" and more" if n in changed else "")}
            for n in range(N)
            if n not in missing
        ]
        return workspace.recorded(name, rows, **keys)

    return write


@pytest.fixture
def base(write):
    write("again", changed={0})
    return write("base", control={"path": "again.jsonl"}, metrics=["identical", "rouge", "first_divergence"])


@pytest.fixture
def good(write):
    return write("good", changed={1, 2})


@pytest.fixture
def bad(write):
    return write("bad", changed=range(N))


@pytest.fixture
def gate(workspace):
    return workspace.file("gate.yaml", json.dumps(GATE))


def comparison(workspace, candidate):
    (path,) = (workspace.folder / "fidelity-store" / "comparisons").glob(f"base--{candidate}-*")
    return path


def verdict_of(workspace, number=0):
    return json.loads((workspace.folder / "out.json").read_text())["comparisons"][number]["verdict"]


class TestCompare:
    def test_pass_is_0(self, fidelity, workspace, base, good, gate):
        code, out, _ = fidelity("compare", base, good, "--gate", gate, "--json", "out.json", "--full")
        assert code == 0
        assert "good: PASS. Every line passes, each at 95%." in out
        # 2 of 100 differ, 1 of the control's: 0.99 - (0.98 + 0.97) / 2.
        assert "Mean excess +0.015, at most +0." in out
        assert "Drift is displacement, not quality" in out
        verdict = verdict_of(workspace)
        assert verdict["outcome"] == "pass"
        assert [line["name"] for line in verdict["lines"]] == ["identical", "max_failed"]
        assert verdict["lines"][0]["value"] == pytest.approx(0.015)

    def test_fail_is_1(self, fidelity, base, good, bad, gate):
        code, out, _ = fidelity("compare", base, good, bad, "--gate", gate)
        assert code == 1
        assert "good: PASS" in out
        assert "bad: FAIL. Beyond the limit: identical (1 of 2 lines)." in out

    def test_what_the_data_cannot_tell_is_2(self, fidelity, base, write, gate):
        code, out, _ = fidelity("compare", base, write("some", changed=range(22)), "--gate", gate)
        assert code == 2
        assert "some: INCONCLUSIVE. Undecided: identical (1 of 2 lines)." in out

    def test_without_a_control_it_is_2(self, fidelity, bad, write, gate):
        code, out, _ = fidelity("compare", write("base", metrics=["identical"]), bad, "--gate", gate)
        assert code == 2
        assert "bad: INCONCLUSIVE. No control" in out

    def test_without_a_gate_there_is_no_verdict(self, fidelity, workspace, base, bad):
        assert fidelity("compare", base, bad, "--json", "out.json")[0] == 0
        assert verdict_of(workspace) is None

    def test_a_candidate_that_could_not_be_compared_is_2_and_a_fail_outweighs_it(
        self, fidelity, workspace, base, good, bad, gate
    ):
        other = workspace.recorded("other", [{"id": "z", "text": "x"}])
        assert fidelity("compare", base, other, good, "--gate", gate)[0] == 2
        assert fidelity("compare", base, other, bad, "--gate", gate)[0] == 1

    def test_failures_are_judged(self, fidelity, base, write, gate):
        code, out, _ = fidelity("compare", base, write("mute", changed={50}, missing=range(40)), "--gate", gate)
        assert code == 1
        assert "40 of 100 prompts without an answer, at least 31." in out

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("margins: {rougel: 0.1}", "margins.rougel: no such column is scored; did you mean"),
            ("margins: {first_divergence: 3}", "a descriptive column, which can't be judged; use "),
            ("breaks: {json: 0.1}", "breaks.json: break_json is not scored; add `- breaks` to 'metrics:' in"),
            ("marigns: {rougeL: 0.1}", "gate.yaml: unknown key 'marigns'; did you mean 'margins'?"),
            ("", "gate.yaml: expected a mapping of keys"),
        ],
    )  # fmt: skip
    def test_a_wrong_gate_is_2_before_anything_is_generated(self, fidelity, workspace, base, bad, text, message):
        workspace.file("gate.yaml", text)
        code, _, error = fidelity("compare", base, bad, "--gate", "gate.yaml")
        assert code == 2
        assert message in error
        assert not (workspace.folder / "fidelity-store" / "runs").exists()

    def test_a_defect_while_judging_is_2(self, fidelity, base, bad, gate, monkeypatch):
        monkeypatch.setattr(judging, "judge_margin", lambda *_: 1 / 0)
        assert fidelity("compare", base, bad, "--gate", gate)[0] == 2


class TestCheck:
    @pytest.fixture(autouse=True)
    def _compared(self, fidelity, base, good, bad):
        fidelity("compare", base, good, bad)

    @pytest.mark.parametrize(("candidate", "code"), [("good", 0), ("bad", 1)])
    def test_the_same_verdict_from_the_store_alone(self, fidelity, workspace, base, good, bad, gate, candidate, code):
        fidelity("compare", base, good, bad, "--gate", gate, "--json", "out.json")
        before = json.loads((workspace.folder / "out.json").read_text())
        (before["comparison"],) = [c for c in before.pop("comparisons") if c["candidate"]["name"] == candidate]
        for file in [*workspace.folder.glob("*.jsonl"), base, good, bad]:
            file.unlink()
        path = comparison(workspace, candidate)
        assert fidelity("gate", "check", path, "--gate", gate, "--json", "out.json")[0] == code
        after = json.loads((workspace.folder / "out.json").read_text())
        (after["comparison"],) = after.pop("comparisons")
        assert after == before

    def test_a_store_may_be_moved(self, fidelity, workspace, gate):
        shutil.move(workspace.folder / "fidelity-store", workspace.folder / "elsewhere")
        (path,) = (workspace.folder / "elsewhere" / "comparisons").glob("base--bad-*")
        assert fidelity("gate", "check", path, "--gate", gate)[0] == 1

    def test_columns_of_several_commands_are_there_together(self, fidelity, workspace, base, bad):
        fidelity("compare", base, bad, "--metric", "length")
        gate = workspace.file("gate.yaml", "margins: {length_similarity_chars: 0.2, rougeL: 0.2}")
        code, out, _ = fidelity("gate", "check", comparison(workspace, "bad"), "--gate", gate)
        assert code == 1
        assert "length_similarity_chars" in out

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("comparisons/none", "not a finished run or comparison"),
            ("comparisons/base--again-*", "not a finished comparison of a candidate"),
            ("runs/base-*", "not a finished comparison of a candidate"),
        ],
    )
    def test_what_is_no_comparison(self, fidelity, workspace, gate, name, message):
        store = workspace.folder / "fidelity-store"
        path = next(store.glob(name), store / name)
        code, _, error = fidelity("gate", "check", path, "--gate", gate)
        assert code == 2
        assert message in error

    def test_a_run_that_is_gone(self, fidelity, workspace, gate):
        shutil.rmtree(workspace.folder / "fidelity-store" / "runs")
        code, _, error = fidelity("gate", "check", comparison(workspace, "bad"), "--gate", gate)
        assert code == 2
        assert "not a finished run" in error


class TestInit:
    @pytest.fixture(autouse=True)
    def _compared(self, fidelity, base, good):
        fidelity("compare", base, good)

    def test_what_is_written_is_a_gate_with_its_reasons(self, fidelity, workspace):
        path = comparison(workspace, "good")
        assert fidelity("gate", "init", path, "--output", "new.yaml")[0] == 0
        text = (workspace.folder / "new.yaml").read_text()
        assert text.startswith("# Provisional")
        assert max(map(len, text.splitlines())) <= 120
        assert "the starter set (72) is" in " ".join(text.replace("#", "").split())
        assert "# No tail: 5% of 100 prompts are too few; it needs 200 prompts." in text
        assert set(yaml.safe_load(text)["margins"]) == {"rougeL"}

    def test_a_limit_that_is_wanted_stands_as_it_is(self, fidelity, workspace):
        fidelity("gate", "init", comparison(workspace, "good"), "--margin", "identical=0.125")
        assert yaml.safe_load((workspace.folder / "gate.yaml").read_text())["margins"]["identical"] == 0.125

    @pytest.mark.parametrize(
        ("limit", "message"),
        [
            ("identical=0.01", "margins.identical: 0.01 can't be passed with 100 prompts, even by a candidate without "
             "drift; use at least 345 prompts (at 95%), or a limit of 0.04"),
            ("identicla=0.1", "margins.identicla: no such column is scored; did you mean 'identical'?"),
            ("identical=5", "margins.identical: 5 can't be exceeded"),
            ("identical", "'identical' is not of the form NAME=X"),
            ("identical=-1", "'identical=-1' is not of the form NAME=X"),
        ],
    )  # fmt: skip
    def test_a_limit_that_can_not_be(self, fidelity, workspace, limit, message):
        code, _, error = fidelity("gate", "init", comparison(workspace, "good"), "--margin", limit)
        assert code == 2
        assert message in error
        assert not (workspace.folder / "gate.yaml").exists()

    def test_nothing_is_overwritten(self, fidelity, workspace, gate):
        code, _, error = fidelity("gate", "init", comparison(workspace, "good"))
        assert code == 2
        assert "already exists" in error
        assert json.loads(gate.read_text()) == GATE

    def test_without_a_control(self, fidelity, workspace, write, good):
        fidelity("compare", write("bare", metrics=["identical"]), good)
        (path,) = (workspace.folder / "fidelity-store" / "comparisons").glob("bare--good-*")
        code, _, error = fidelity("gate", "init", path)
        assert code == 2
        assert "has no control, so there is no floor" in error


class TestOwnControl:
    """A candidate's own control: its own floor, shown next to it, but not judged."""

    @pytest.fixture
    def wobbly(self, write):
        write("wobbly-again", changed=range(40))
        return write("wobbly", changed={1, 2}, control={"path": "wobbly-again.jsonl"})

    def test_it_is_compared_with_the_candidate(self, fidelity, workspace, base, wobbly, gate):
        code, out, _ = fidelity("compare", base, wobbly, "--gate", gate, "--json", "out.json", "--full")
        assert code == 0
        assert "wobbly-again" in out
        assert "(its own floor)" in out
        (compared,) = json.loads((workspace.folder / "out.json").read_text())["comparisons"]
        # 38 of 100 answers of the candidate change when it runs again; against the baseline it changed 2.
        assert compared["own_floor"]["columns"]["identical"]["mean"] == pytest.approx(0.62)
        assert compared["columns"]["identical"]["excess"]["mean"] == pytest.approx(0.015)

    def test_it_comes_back_from_the_store(self, fidelity, workspace, base, wobbly, gate):
        fidelity("compare", base, wobbly)
        _, out, _ = fidelity("gate", "check", comparison(workspace, "wobbly"), "--gate", gate, "--full")
        assert "(its own floor)" in out

    def test_a_candidate_has_none_unless_its_yaml_asks_for_it(self, fidelity, workspace, base, good):
        fidelity("compare", base, good, "--json", "out.json")
        (compared,) = json.loads((workspace.folder / "out.json").read_text())["comparisons"]
        assert compared["own_floor"] is None


class TestHistory:
    @pytest.fixture(autouse=True)
    def _compared(self, fidelity, base, good, bad):
        fidelity("compare", base, good, bad)

    def test_the_gates_numbers_over_past_comparisons(self, fidelity, workspace, write, base, gate):
        fidelity("compare", base, write("later", changed=range(22)))
        code, out, _ = fidelity("history", "base", "--gate", gate, "--json", "out.json")
        assert code == 0
        entries = json.loads((workspace.folder / "out.json").read_text())
        assert [(e["candidate"], e["verdict"]["outcome"]) for e in entries] == [
            ("good", "pass"), ("bad", "fail"), ("later", "inconclusive")
        ]  # fmt: skip
        assert entries[1]["verdict"]["lines"][0]["value"] == pytest.approx(0.985)
        assert "+0.985" in out
        assert "Drift is displacement, not quality" in out

    def test_reports_look_back(self, fidelity, workspace, write, base, bad, gate):
        fidelity(
            "compare", base, write("later", changed=range(22)), "--gate", gate, "--markdown", "a.md", "--html", "a.html"
        )
        report = (workspace.folder / "a.md").read_text()
        trend = report.partition("The last 3 comparisons with this baseline")[2].partition("</details>")[0]
        assert [row.split(" | ")[1::2][:2] for row in trend.split("\n") if row.startswith("| 20")] == [
            ["good", "pass"], ["bad", "fail"], ["later", "inconclusive"]
        ]  # fmt: skip
        assert '<section id="trend">' in (workspace.folder / "a.html").read_text()

    def test_reports_have_no_trend_with_nothing_to_look_back_on(self, fidelity, workspace, base, good, bad, gate):
        fidelity("compare", base, good, bad, "--gate", gate, "--markdown", "a.md")
        assert "comparisons with this baseline" not in (workspace.folder / "a.md").read_text()

    def test_a_control_is_no_entry(self, fidelity, gate):
        assert "again" not in fidelity("history", "--gate", gate)[1]

    def test_what_this_gate_can_not_judge_is_said(self, fidelity, workspace, base, write):
        fidelity("compare", base, write("later", changed={7}), "--metric", "rouge")
        gate = workspace.file("gate.yaml", "margins: {identical: 0.2}")
        code, out, _ = fidelity("history", "--gate", gate)
        assert code == 0
        assert "not judged" in out
        assert "margins.identical: no such column" in out

    def test_a_baseline_that_is_not_there(self, fidelity, gate):
        code, _, error = fidelity("history", "bsae", "--gate", gate)
        assert code == 2
        assert "no comparison with the baseline 'bsae'; baselines here: base" in error
        assert (
            "empty: no such store; run fidelity compare" in fidelity("history", "--gate", gate, "--store", "empty")[2]
        )
