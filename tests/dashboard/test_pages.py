"""What every page shows of a store, and that no broken store ends in a traceback."""

import json
import shlex
import shutil

import pytest
import yaml

from fidelity.comparison.evidence import verdicts
from fidelity.comparison.stored import load_comparison
from fidelity.dashboard.cache import DEMO
from fidelity.dashboard.first_page import RECORDED
from fidelity.gate import Gate
from fidelity.report import as_json
from fidelity.report.verdicts import number
from tests.dashboard.conftest import (
    PAGES,
    charted,
    comparison,
    listed,
    markup,
    matrices,
    matrix,
    page_text,
    table,
)
from tests.manifests import edited
from tests.report.conftest import HOSTILE, compared


class TestEveryPage:
    @pytest.mark.parametrize("page", PAGES)
    def test_it_opens(self, opened, recorded, page):
        assert page_text(opened(recorded, page))

    @pytest.mark.parametrize("page", PAGES)
    def test_on_an_empty_store_it_says_what_to_do(self, opened, tmp_path, page):
        app = opened(tmp_path / "none", page)
        assert "no finished run" in page_text(app) if page == "runs" else "fidelity compare" in app.code[0].value

    @pytest.mark.parametrize("page", ["overview", "comparison", "pairs", "gate"])
    def test_a_single_comparison_is_enough(self, opened, store, page):
        for other in ("bf16-serial", "w8a8-fp8", "w8a8-int8"):
            shutil.rmtree(comparison(store, other))
        shutil.rmtree(store / "studies")
        assert page_text(opened(store, page))

    def test_comparisons_with_a_control_are_not_in_the_list(self, opened, recorded):
        ids = opened(recorded, "comparison").selectbox(key="comparison").options
        assert len(list((recorded / "comparisons").glob("bf16-rev--w4a16-*"))) == 1
        assert sorted(id_.rpartition("-")[0] for id_ in ids) == [
            "bf16--bf16-serial",
            "bf16--w4a16",
            "bf16--w8a8-fp8",
            "bf16--w8a8-int8",
        ]


class TestOverview:
    def test_cells_have_the_numbers_of_the_json_report_and_the_gates_verdict(self, opened, recorded):
        app = opened(recorded, metric="rougeL")
        cells = {cell["id"]: cell for cell in matrix(app).values()}
        for candidate, outcome in (("bf16-serial", "? inconclusive"), ("w4a16", "✗ fail")):
            path = comparison(recorded, candidate)
            mean = as_json(load_comparison(path))["comparisons"][0]["columns"]["rougeL"]["excess"]["mean"]
            assert f"'value': {mean}" in charted(app)
            assert cells[path.name]["text"] == number(mean, sign=True)
            assert cells[path.name]["word"] == outcome

    def test_another_metric_is_chosen_for_the_whole_page(self, opened, recorded):
        app = opened(recorded)
        app.selectbox(key="metric").set_value("rouge1").run()
        assert not app.exception
        assert app.subheader[0].value == "Excess of rouge1 over the floor, by size and format"

    def test_the_address_chooses_it_too(self, opened, recorded):
        assert "rouge1" in opened(recorded, metric="rouge1").subheader[0].value

    def test_a_metric_that_is_not_there_is_ignored(self, opened, recorded):
        assert "rougeL" in opened(recorded, metric="no such").subheader[0].value

    def test_a_failed_cell_says_why(self, opened, store):
        record = store / "studies" / "h100-recordings" / "manifest.json"
        lost = {"comparison": None, "why": "no kernel for <b>W4A8</b>"}
        edited(record, lambda data: {**data, "cells": [{**data["cells"][0], **lost}, *data["cells"][1:]]})
        assert "no kernel for &lt;b&gt;W4A8&lt;/b&gt;" in markup(opened(store))

    def test_the_first_run_offers_the_recordings(self, opened, tmp_path):
        app = opened(tmp_path)
        app.button(key="demo").click().run()
        assert not app.exception
        assert (tmp_path / DEMO / "comparisons").is_dir(), page_text(app)
        assert "These are the demo" in page_text(app)
        assert RECORDED.endswith("study.yaml")


class TestComparison:
    def test_the_numbers_are_those_of_the_json_report(self, opened, recorded):
        path = comparison(recorded, "w4a16")
        report = as_json(load_comparison(path))
        floor, own = report["floor"]["columns"], report["comparisons"][0]["columns"]
        shown = table(opened(recorded, "comparison", comparison=path.name), "Metric")
        for name, row in shown.items():
            numbers, kind = own[name], row["Mean or median"]
            digits = 0 if kind == "median" else 3
            assert row["Value"] == number(numbers[kind], digits=digits)
            assert row["Prompts"] == str(numbers["n"])
            assert row["Floor"] == number(floor[name][kind], digits=digits)
            assert row["Chance level"] == number(numbers["low"], digits=digits)
            if numbers["excess"]:
                assert row["Excess"] == number(numbers["excess"]["mean"], sign=True)
                assert float(row["from"]) <= float(row["Excess"]) <= float(row["to"])
        assert len(shown) > 8

    def test_the_verdict_is_that_of_the_gate_command(self, opened, recorded):
        path = comparison(recorded, "w4a16")
        [verdict] = verdicts(load_comparison(path), Gate(margins={"rougeL": 0.1})).values()
        shown = page_text(opened(recorded, "comparison", comparison=path.name))
        assert verdict.outcome == "fail"
        assert f"<b>FAIL</b>{verdict.reason}" in shown
        assert all(line.reason in shown for line in verdict.lines)


class TestPairs:
    def page(self, opened, recorded, **params):
        return opened(recorded, "pairs", comparison=comparison(recorded, "w8a8-int8").name, **params)

    def test_the_worst_comes_first_and_is_open(self, opened, recorded):
        app = self.page(opened, recorded, metric="rougeL")
        table = listed(app)
        assert len(table) == 64
        excess = [float(row["excess of rougeL"]) for row in table]
        assert excess == sorted(excess, reverse=True)
        assert f">{table[0]['Id']}</h2>" in page_text(app)
        assert "first divergence" in page_text(app)

    def test_changed_only(self, opened, recorded):
        app = self.page(opened, recorded)
        app.toggle(key="changed").set_value(True).run()
        assert not app.exception
        identical = as_json(load_comparison(comparison(recorded, "w8a8-int8")))["comparisons"][0]["columns"][
            "identical"
        ]
        assert len(listed(app)) == 64 - round(64 * identical["mean"])

    def test_category_text_and_line(self, opened, recorded):
        german = listed(self.page(opened, recorded, category="german"))
        assert {row["Category"] for row in german} == {"german"}
        capital = listed(self.page(opened, recorded, text="capital of france"))
        assert "qa-01" in {row["Id"] for row in capital}
        beyond = listed(self.page(opened, recorded, line="rougeL"))
        assert 0 < len(beyond) < 64
        assert all(float(row["excess of rougeL"]) > 0.05 for row in beyond)

    def test_nothing_found_is_said(self, opened, recorded):
        assert "No pair matches" in page_text(self.page(opened, recorded, text="no answer has this in it"))

    def test_a_range_and_a_box_in_the_scatter_filter_the_table(self, opened, recorded):
        boxed = listed(self.page(opened, recorded, x="rouge1", y="rougeL", box="0,0.5,0,0.3", metric="rouge1"))
        assert 0 < len(boxed) < 64
        assert all(0 <= float(row["rouge1"]) <= 0.5 for row in boxed)
        lower = listed(self.page(opened, recorded, x="rouge1", y="rougeL", box="0,0.5,0,0.1", metric="rouge1"))
        assert len(lower) < len(boxed)

    def test_the_address_opens_a_pair_in_a_view(self, opened, recorded):
        app = self.page(opened, recorded, pair="qa-01:0", view="Side by side")
        assert ">qa-01</h2>" in page_text(app)
        assert "The capital of France is Paris." in page_text(app)

    def test_tokens_say_where_they_part(self, opened, recorded):
        app = self.page(opened, recorded, pair="qa-02:0", view="Tokens")
        assert "First divergence at token" in page_text(app)


class TestGate:
    def page(self, opened, recorded):
        return opened(recorded, "gate", comparison=comparison(recorded, "bf16-serial").name)

    def test_a_moved_margin_is_judged_at_once(self, opened, recorded):
        app = self.page(opened, recorded)
        before = page_text(app)
        app.slider(key="m-rougeL").set_value(0.002).run()
        assert not app.exception
        path = comparison(recorded, "bf16-serial")
        [verdict] = verdicts(load_comparison(path), Gate(margins={"rougeL": 0.002})).values()
        assert verdict.reason in page_text(app)
        assert page_text(app) != before

    def test_what_differs_besides_quantization_is_named(self, fidelity, opened, workspace):
        rows = [{"id": f"p{n}", "text": f"answer {n}"} for n in range(60)]
        for name, mode in (("again", "compiled"), ("base", "compiled"), ("quant", "eager")):
            answers = [{**row, "text": "other"} for row in rows] if name == "quant" else rows
            workspace.file(f"{name}.jsonl", "\n".join(map(json.dumps, answers)))
            engine = {"kind": "recorded", "path": f"{name}.jsonl", "ran": {"engine": "vllm", "mode": mode}}
            more = {"control": {"path": "again.jsonl"}, "metrics": ["identical"]} if name == "base" else {}
            workspace.run(name, model=None, engine=engine, **more)
        assert fidelity("compare", "base.yaml", "quant.yaml", "--store", workspace.store)[0] == 0
        for page in ("gate", "comparison"):
            shown = page_text(opened(workspace.store, page, comparison=comparison(workspace.store, "quant").name))
            assert "its mode is eager (the baseline's: compiled)" in shown

    def test_the_yaml_is_the_gate_that_was_judged(self, opened, recorded):
        app = self.page(opened, recorded)
        app.slider(key="m-rougeL").set_value(0.08).run()
        assert Gate.model_validate(yaml.safe_load(app.code[0].value)) == Gate(margins={"rougeL": 0.08})

    def test_the_commands_work_as_printed(self, fidelity, monkeypatch, opened, recorded, tmp_path):
        app = self.page(opened, recorded)
        (tmp_path / "gate.yaml").write_text(app.code[0].value)
        check, compare = app.code[1].value.splitlines()
        monkeypatch.chdir(tmp_path)
        code, out, _ = fidelity(*shlex.split(check)[1:])
        assert code == 2, out
        assert shlex.split(compare)[:2] == ["fidelity", "compare"]

    def test_the_yaml_has_the_reasons(self, opened, recorded):
        written = self.page(opened, recorded).code[0].value
        assert "  # Two runs of the model: 0.958 (0.042 from identical)" in written
        assert written.splitlines()[-1] == "  rougeL: 0.1"

    def test_without_a_gate_file_nothing_passes_wherever_the_sliders_are(self, opened, store):
        shutil.rmtree(store / "studies")
        app = opened(store, "gate", comparison=comparison(store, "bf16-serial").name)
        assert "There is no gate file" in page_text(app)
        for margin in (0.05, app.slider(key="m-rougeL").max):
            app.slider(key="m-rougeL").set_value(margin).run()
            assert not app.exception
            assert "there is no verdict" in page_text(app)
            for outcome in ("pass", "fail", "inconclusive"):
                assert f'<div class="f-banner f-{outcome}">' not in page_text(app)
                assert outcome not in table(app, "Line")["rougeL"].values()
            assert "batches" in table(app, "Line")["rougeL"]["Noise"]
        assert yaml.safe_load(app.code[0].value)["provisional"].startswith("bf16-serial-")


class TestHistory:
    def test_every_line_of_the_gate_is_drawn_with_its_bounds(self, opened, recorded):
        app = opened(recorded, "history")
        path = comparison(recorded, "w4a16")
        [verdict] = verdicts(load_comparison(path), Gate(margins={"rougeL": 0.1})).values()
        [line] = [line for line in verdict.lines if line.name == "rougeL"]
        assert f"'value': {line.value}, 'low': {line.lower}, 'high': {line.upper}, 'limit': 0.1" in charted(app)
        assert [row["Verdict"] for row in table(app, "Compared").values()]
        assert verdict.reason in page_text(app)

    def test_without_a_gate_there_is_no_line(self, opened, store):
        shutil.rmtree(store / "studies")
        assert "no line to follow" in page_text(opened(store, "history"))


class TestRuns:
    def test_what_ran_and_where_two_differ(self, opened, recorded):
        app = opened(recorded, "runs")
        assert set(app.dataframe[0].value["run"]) >= {"bf16", "w4a16", "bf16-rev"}
        assert "W4A16-INT4 g64" in set(app.dataframe[0].value["format"])
        assert ">identity.content</td>" in page_text(app)
        assert ">engine.mode</td>" not in page_text(app)  # the same in both


class TestBroken:
    @pytest.mark.parametrize("page", ["overview", "comparison", "pairs", "gate"])
    @pytest.mark.parametrize("how", ["no manifest", "newer", "not JSON", "no keys", "no run", "corrupt", "no columns"])
    def test_it_is_shown_for_what_it_is(self, opened, store, page, how):
        path = comparison(store, "w4a16")
        expected = self.damage(path, store, how)
        app = opened(store, page, comparison=path.name, metric="rougeL")
        assert expected in page_text(app)
        assert "w8a8-fp8" in str(app.selectbox) or page == "overview"

    def damage(self, path, store, how):
        manifest = path / "manifest.json"
        match how:
            case "no manifest":
                manifest.unlink()
                return "being written"
            case "newer":
                manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "schema_version": 99}))
                return "schema version 99"
            case "not JSON":
                manifest.write_text("{")
                return "damaged"
            case "no keys":
                manifest.write_text('{"schema_version": 1}')
                return "damaged"
            case "no run":
                [run] = (store / "runs").glob("w4a16-*")
                shutil.rmtree(run)
                return "not a finished run"
            case "corrupt":
                for file in path.glob("rouge-*.parquet"):
                    file.write_bytes(b"PAR1 not really")
                return "can't be read"
            case "no columns":
                for file in path.glob("rouge-*.parquet"):
                    file.unlink()
                return "is missing, with the scores of"

    def test_a_comparison_that_is_deleted_while_open(self, opened, store):
        path = comparison(store, "w4a16")
        app = opened(store, "comparison", comparison=path.name)
        shutil.rmtree(path)
        app.run()
        assert not app.exception

    @pytest.mark.parametrize("page", PAGES)
    def test_a_comparison_without_control(self, opened, tmp_path, workspace, page):
        rows = [{"id": f"q{n}", "category": "c", "prompt": "x", "text": f"one two {n}"} for n in range(5)]
        base = workspace.recorded("base", rows, control="none")
        quant = workspace.recorded("quant", [{**row, "text": "one three"} for row in rows])
        compared(workspace.store, base, quant, metrics=["identical", "rouge"])
        app = opened(workspace.store, page)
        assert page in ("runs", "pairs", "history") or "no floor" in page_text(app) + charted(app) + str(matrices(app))


class TestHostile:
    @pytest.fixture
    def hostile_store(self, hostile):
        return hostile.baseline.path.parent.parent

    @pytest.mark.parametrize("page", PAGES)
    def test_every_page_opens(self, opened, hostile_store, page):
        shown = markup(opened(hostile_store, page))
        assert "<script>" not in shown
        assert "<img" not in shown

    @pytest.mark.parametrize("view", ["Differences", "Side by side", "Rendered", "Tokens"])
    def test_an_open_pair_is_text(self, opened, hostile_store, view):
        shown = markup(opened(hostile_store, "pairs", view=view, pair=f"id {HOSTILE}:0"))
        for acting in ("<script", "<img", "<a ", "href", "\x1b", "\u202e"):
            assert acting not in shown
