"""Slices of a comparison, by category and by length, and the conflicts with examples."""

import pandas as pd
import pytest

from fidelity.dashboard.slices_panel import slices_of, thirds
from tests.dashboard.conftest import charted, comparison, page_text, table
from tests.report.conftest import compared


def test_a_slice_has_its_mean_and_an_interval_over_prompts():
    values = [0.1, 0.2, 0.3, 0.4, 0.5, 0.7]
    pairs = pd.DataFrame({"prompt_id": list("abcdef"), "rougeL": values})
    large, small = slices_of(pairs, pd.Series([*"xxxxx", "y"]), "rougeL").to_dict("records")
    # The standard error of the five is 0.0707, and t with four degrees of freedom is 2.776.
    assert (large["slice"], large["n"]) == ("x", 5)
    assert [large[key] for key in ("low", "value", "high")] == pytest.approx([0.1037, 0.3, 0.4963], abs=1e-4)
    assert (small["n"], small["value"]) == (1, 0.7)
    assert pd.isna(small["low"])


def test_answers_to_one_prompt_count_once():
    pairs = pd.DataFrame({"prompt_id": ["a", "a", "b"], "rougeL": [0.0, 1.0, 0.5]})
    [only] = slices_of(pairs, pd.Series(["x"] * 3), "rougeL").to_dict("records")
    assert (only["n"], only["value"]) == (2, 0.5)


def test_both_kinds_of_slices_are_on_the_page(opened, recorded):
    app = opened(recorded, "comparison", comparison=comparison(recorded, "w4a16").name)
    for name in ("german", "shortest third", "longest third"):
        assert f"'slice': '{name}'" in charted(app)
    assert "n = " in charted(app)


def test_conflicts_come_before_metrics_with_counts_and_examples(fidelity, opened, workspace):
    rows = [{"id": f"p{n}", "text": f"Take {n + 10} mg twice a day with water."} for n in range(40)]
    base = workspace.recorded("base", rows, control="none")
    wrong = [{**row, "text": row["text"].replace(" mg", "0 mg")} if n < 4 else row for n, row in enumerate(rows)]
    quant = workspace.recorded("quant", wrong)
    compared(workspace.store, base, quant, metrics=["conflicts", "rouge"])
    app = opened(workspace.store, "comparison")
    assert table(app, "Kind")["number"]["Answers"] == "4 of 40"
    assert "10 mg / 100 mg" in page_text(app)
    assert page_text(app).index("<th>Kind</th>") < page_text(app).index("<th>Metric</th>")


def test_answers_that_mostly_have_the_length_of_the_limit_are_two_slices():
    keys = pd.DataFrame({"prompt_id": list("abcd"), "repeat": 0})
    baseline = keys.assign(tokens=[100, 256, 256, 256])
    assert list(thirds(keys, baseline, "tokens")) == ["shorter", "longest", "longest", "longest"]
    assert set(thirds(keys, baseline.assign(tokens=256), "tokens")) == {"longest"}
