"""`import fidelity`: comparing texts, files and runs, tables, verdicts, and what is refused."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

import fidelity
from fidelity.config import load_run
from fidelity.errors import ConfigError, MissingPackageError, StoreError
from fidelity.gate import Gate
from fidelity.metrics.identical import Identical
from fidelity.metrics.kl import Kl
from fidelity.metrics.rouge import Rouge
from fidelity.metrics.sts import Sts
from tests.conftest import ROOT
from tests.encoders.fake_encoder import FakeEncoder
from tests.store.test_old_stores import OLD

BASE = ["one two three", "four five", "six"]
HEAVY = "torch transformers vllm streamlit pandas pyarrow scipy numpy pydantic yaml"


def column(result, name, run="candidate"):
    table = result.to_pandas()
    return table.loc[table["run"] == run, name].tolist()


class TestImport:
    def test_it_loads_nothing(self):
        code = f"import sys, fidelity; print({{m.partition('.')[0] for m in sys.modules}} & set({HEAVY.split()!r}))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "set()\n"

    def test_names_are_there_and_others_are_not(self):
        assert {"compare", "compare_texts", "load", "judge", "__version__"} <= set(dir(fidelity))
        assert fidelity.compare.__doc__.startswith("Compare one candidate or several")
        with pytest.raises(AttributeError, match="module 'fidelity' has no attribute 'compaer'"):
            _ = fidelity.compaer


class TestTexts:
    def test_values_floor_and_excess_by_hand(self):
        result = fidelity.compare_texts(
            BASE, ["one two three", "x", "y"], ["one two three", "four five", "z"], metrics=["identical"]
        )
        assert column(result, "identical") == [1.0, 0.0, 0.0]
        assert column(result, "identical", "control") == [1.0, 1.0, 0.0]
        [row] = result.to_pandas(per="column").to_dict("records")
        # 1/3 of the candidate's answers and 2/3 of the control's are the baseline's: 1/3 beyond the floor.
        assert (row["run"], row["column"], row["n"]) == ("candidate", "identical", 3)
        assert [row[key] for key in ("value", "floor", "excess")] == pytest.approx([1 / 3, 2 / 3, 1 / 3])

    def test_a_missing_output_is_a_failure_and_never_text(self):
        table = fidelity.compare_texts(BASE, ["one two three", None, "six"], metrics=["identical"]).to_pandas()
        assert table["prompt_id"].tolist() == ["p0", "p2", "p1"]
        assert table["failure"].isna().tolist() == [True, True, False]
        assert "no output" in table["failure"].tolist()[2]
        assert math.isnan(table["identical"].tolist()[2])

    def test_by_prompt_id_and_several_candidates_and_controls(self):
        base = {"b": "two", "a": "one"}
        others = {"q 1": {"a": "one", "b": "x"}, "q2": {"a": "one", "b": "two"}}
        result = fidelity.compare(base, others, control=[base, {"a": "x", "b": "two"}], metrics=[Identical()])
        assert result.candidates == ("q-1", "q2")
        assert set(result.to_pandas()["run"]) == {"control1", "control2", "q-1", "q2"}
        assert column(result, "identical", "q-1") == [0.0, 1.0]  # in the baseline's order
        assert column(result, "identical", "control2") == [1.0, 0.0]

    def test_prompts_are_shown_beside_the_texts(self):
        result = fidelity.compare_texts(["a"], ["b"], prompts=["What?"], metrics=["identical"])
        [row] = result.to_pandas().to_dict("records")
        assert (row["prompt"], row["baseline"], row["output"]) == ("What?", "a", "b")

    def test_without_pandas_the_numbers_come_as_json(self, monkeypatch):
        result = fidelity.compare_texts(BASE, BASE, metrics=["identical"])
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(MissingPackageError, match=r"pip install 'llm-fidelity\[pandas\]'"):
            result.to_pandas()
        assert result.to_json()["comparisons"][0]["columns"]["identical"]["mean"] == 1.0

    @pytest.mark.parametrize(
        ("arguments", "keys", "message"),
        [
            ((BASE, ["one"]), {}, "candidate: 1 texts, and the baseline has 3; give None"),
            (([], []), {}, "baseline: no texts"),
            ((BASE, BASE), {"prompts": ["x"]}, "baseline: 3 texts and 1 prompts"),
            ((BASE, {"baseline": BASE}), {}, "a candidate can't be called 'baseline'"),
            ((BASE, {"q": 3}), {}, "q: a list of texts is expected, found int"),
            ((BASE, BASE, [BASE, 3]), {}, "control2: a list of texts is expected, found int"),
            ((BASE, BASE), {"metrics": ["rogue"]}, "there is no metric 'rogue'; did you mean 'rouge'"),
        ],
    )
    def test_what_is_refused(self, arguments, keys, message):
        with pytest.raises(ConfigError, match=message):
            fidelity.compare_texts(*arguments, **keys)

    def test_texts_that_look_like_anything_are_texts(self):
        odd = ["base.yaml", "", "\x00\ud800 \u2028", "/etc/passwd"]
        assert column(fidelity.compare(odd, odd, metrics=["identical"]), "identical") == [1.0] * 4

    def test_nothing_stays_on_disk(self):
        result = fidelity.compare_texts(BASE, BASE, metrics=["identical"])
        folder = result.scored.baseline.path.parents[2]
        assert folder.is_dir()
        del result
        assert not folder.exists()


class TestRuns:
    def test_recorded_files_yaml_configs_and_stored_runs_give_the_same(self, workspace, monkeypatch):
        monkeypatch.chdir(workspace.folder)
        rows = [{"id": f"q{n}", "text": text} for n, text in enumerate(BASE)]
        base = workspace.recorded("base", rows, control={"path": "again.jsonl"})
        workspace.recorded("again", rows)
        quant = workspace.recorded("quant", [{**row, "text": "six"} for row in rows])
        first = fidelity.compare("base.jsonl", "quant.jsonl", control=Path("again.jsonl"), metrics=["identical"])
        assert column(first, "identical", "quant") == [0.0, 0.0, 1.0]
        stored = {run.name: run.path for run in (first.scored.baseline, first.scored.candidates[0].run)}
        for others in (quant, [str(quant)], load_run(quant), [stored["quant"]]):
            again = fidelity.compare(base, others, metrics=["identical"])
            assert again.to_pandas().equals(first.to_pandas())
        assert fidelity.load("fidelity-store").to_pandas().equals(first.to_pandas())
        assert fidelity.load(first.scored.candidates[0].comparison.path).to_json() == first.to_json()

    def test_generated_ones_with_as_many_controls_as_asked_for(self, fake_vllm, workspace):
        workspace.prompts(*(f"question {n}" for n in range(6)))
        result = fidelity.compare(
            workspace.baseline(), workspace.run("quant"), control=2, limit=4, store=workspace.store
        )
        assert [scores.run.name for scores in result.scored.controls] == ["base.control1", "base.control2"]
        assert set(result.to_pandas()["prompt_id"]) == {"p0", "p1", "p2", "p3"}
        alone = fidelity.compare(workspace.baseline(), workspace.run("quant"), control=0, store=workspace.store)
        assert alone.scored.controls == ()

    def test_a_candidate_that_cannot_be_compared_stops_nobody(self, workspace):
        rows = [{"id": "q", "text": "x"}]
        names = [workspace.recorded(name, rows) for name in ("base", "fine")]
        other = workspace.recorded("other", [{"id": "another", "text": "x"}])
        result = fidelity.compare(names[0], [names[1], other], metrics=["identical"], store=workspace.store)
        assert result.candidates == ("fine",)
        assert "no answered prompt" in result.not_compared["other"]

    @pytest.mark.parametrize("source", ["nowhere", "nowhere/model", ".", ""])
    def test_what_is_no_run_is_refused_with_what_would_be(self, workspace, source):
        with pytest.raises(ConfigError, match="nothing to compare; name a run's YAML file"):
            fidelity.compare(source, source, store=workspace.store)


class TestLoad:
    def test_a_store_with_several_baselines_names_its_comparisons(self):
        with pytest.raises(ConfigError, match=r"one baseline .* is expected; name one comparison: base--int8"):
            fidelity.load(OLD / "store")

    def test_an_empty_store_and_no_store(self, tmp_path):
        (tmp_path / "comparisons").mkdir()
        with pytest.raises(ConfigError, match="none; run a comparison first"):
            fidelity.load(tmp_path)
        with pytest.raises(StoreError, match=r"it has no manifest\.json"):
            fidelity.load(tmp_path / "nowhere")

    def test_tables_of_an_old_store_have_the_numbers_of_its_report(self):
        [path] = (OLD / "store" / "comparisons").glob("town--town-fp8-*")
        expected = json.loads((OLD / "expected" / f"{path.name}.json").read_text())["comparisons"][0]["columns"]
        rows = fidelity.load(path).to_pandas(per="column").set_index("column")
        assert {name: rows.loc[name, "value"] for name in expected} == pytest.approx(
            {name: numbers["mean"] for name, numbers in expected.items()}
        )
        excess = {name: numbers["excess"]["mean"] for name, numbers in expected.items()}
        assert {name: rows.loc[name, "excess"] for name in expected} == pytest.approx(excess)


class TestJudge:
    @pytest.fixture
    def result(self):
        texts = [f"a{n} b{n} c{n}" for n in range(60)]
        same = [f"a{n} b{n} x" for n in range(60)]
        return fidelity.compare_texts(texts, {"same": same, "other": ["no"] * 60}, texts, metrics=["rouge"])

    def test_a_mapping_a_file_and_a_gate_judge_alike(self, result, tmp_path):
        written = {"margins": {"rougeL": 0.5}}
        (tmp_path / "gate.yaml").write_text(json.dumps(written))
        gates = (written, Gate.model_validate(written), tmp_path / "gate.yaml", str(tmp_path / "gate.yaml"))
        outcomes = [{name: v.outcome for name, v in fidelity.judge(result, gate).items()} for gate in gates]
        # Two of three words are the same in every pair: an excess of 1/3 against 0.5; nothing is left of the other.
        assert outcomes == [{"same": "pass", "other": "fail"}] * 4

    @pytest.mark.parametrize(
        ("gate", "message"), [({"margin": {}}, "did you mean 'margins'"), ({"margins": {"sts": 0.1}}, "sts")]
    )
    def test_a_wrong_gate_is_refused(self, result, gate, message):
        with pytest.raises(ConfigError, match=message):
            fidelity.judge(result, gate)


class TestMetricAlone:
    def test_columns_by_name_with_a_value_for_each_pair(self):
        columns = Rouge().score_texts(["a b", "c"], ["a b", "d"])
        assert columns["rougeL"].values == (1.0, 0.0)
        assert Rouge(label="second").score_texts([], [])["second.rougeL"].values == ()

    def test_one_that_prefers_token_ids_compares_characters(self):
        from fidelity.metrics.prefix_agreement import PrefixAgreement

        columns = PrefixAgreement().score_texts(["a b c d"], ["a b x d"])
        assert columns["prefix_agreement_chars"].values == (4 / 7,)

    def test_an_encoder_is_opened_once(self, monkeypatch):
        opened = []
        monkeypatch.setattr("fidelity.encoders.locate", lambda name: name)
        monkeypatch.setattr("fidelity.encoders.open_encoder", lambda source: opened.append(source) or FakeEncoder())
        sts = Sts(encoder="somewhere")
        for _ in range(2):
            assert list(sts.score_texts(["x"], ["x"])["sts"].values) == [1.0]
        assert opened == ["somewhere"]

    def test_what_texts_do_not_have_is_named(self):
        with pytest.raises(ConfigError, match="the metric 'kl' needs"):
            Kl().score_texts(["a"], ["a"])
        with pytest.raises(ConfigError, match="2 texts and 1"):
            Rouge().score_texts(["a", "b"], ["a"])


def test_the_readme_names_the_page():
    assert "(docs/python.md)" in (ROOT / "README.md").read_text()
