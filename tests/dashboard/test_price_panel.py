"""What the drift buys, on the pages: the numbers of `fidelity.price.pareto`."""

import pandas as pd
import pytest

from fidelity.comparison.stored import load_comparison
from fidelity.dashboard import study_charts
from fidelity.price.pareto import drift_and_price
from fidelity.report.price import times
from tests.dashboard.conftest import charted, comparison, matrix, page_text


def test_the_overview_has_the_ratios_of_the_reports(opened, token_scored):
    _, point = drift_and_price(load_comparison(comparison(token_scored, "int8")), column="top1_agreement").points
    app = opened(token_scored, metric="top1_agreement", price="tokens_per_s")
    assert "Price and drift" in [heading.value for heading in app.subheader]
    assert times(point.ratios["tokens_per_s"]).replace(" ", "\N{NO-BREAK SPACE}") in page_text(app)
    assert f"'ratio': {point.ratios['tokens_per_s'].value}" in charted(app)


def test_the_comparison_shows_every_measure(opened, token_scored):
    app = opened(token_scored, "comparison", metric="top1_agreement")
    assert "tokens/s" in page_text(app)
    assert "requests/s" in page_text(app)


def test_without_measurements_there_is_no_price(opened, recorded):
    assert "Price and drift" not in [heading.value for heading in opened(recorded).subheader]


def test_published_prices_and_drift_are_tables_beside_ones_own(opened, token_scored):
    app = opened(token_scored, metric="rougeL", price="bytes", published="true")
    assert "Kurtic et al. 2025, Arena-Hard. Similarity" in page_text(app)
    assert "Llama-3.2-3B QLoRA" in page_text(app)
    assert "Llama" not in charted(app)
    assert matrix(app)


def test_labels_of_points_that_are_close_to_each_other_are_moved_apart():
    points = pd.DataFrame({"ratio": [0.6, 0.6, 0.61, 1.2], "drift": [0.300, 0.301, 0.302, 0.300]})
    heights = study_charts._label_heights(points)
    gap = study_charts.LABEL_HEIGHT * 0.302
    assert heights[0] == heights[3] == 0.300  # the last one is far to the right
    assert heights[1] == pytest.approx(0.300 + gap)
    assert heights[2] == pytest.approx(0.300 + 2 * gap)
