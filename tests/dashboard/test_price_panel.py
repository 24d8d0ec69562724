"""What the drift buys, on the pages: the numbers of `fidelity.price.pareto`."""

from fidelity.comparison.stored import load_comparison
from fidelity.price.pareto import drift_and_price
from fidelity.report.price import times
from tests.dashboard.conftest import charted, comparison, page_text


def test_the_overview_has_the_ratios_of_the_reports(opened, token_scored):
    _, point = drift_and_price(load_comparison(comparison(token_scored, "int8")), column="top1_agreement").points
    app = opened(token_scored, metric="top1_agreement", price="tokens_per_s")
    assert "Price and drift" in [heading.value for heading in app.subheader]
    assert times(point.ratios["tokens_per_s"]) in page_text(app)
    assert f"'ratio': {point.ratios['tokens_per_s'].value}" in charted(app)


def test_the_comparison_shows_every_measure(opened, token_scored):
    app = opened(token_scored, "comparison", metric="top1_agreement")
    assert "tokens/s" in page_text(app)
    assert "requests/s" in page_text(app)


def test_without_measurements_there_is_no_price(opened, recorded):
    assert "Price and drift" not in [heading.value for heading in opened(recorded).subheader]


def test_what_others_published_is_marked_if_asked_along_the_axis_that_it_has(opened, token_scored):
    assert "Llama-3.2-3B QLoRA" not in charted(opened(token_scored, metric="rougeL", price="bytes"))
    app = opened(token_scored, metric="rougeL", price="bytes", published="true")
    assert "Kurtic et al. report drift without prices" in page_text(app)
    drawn = charted(app)
    for mark in ("'name': 'Llama-3.2-3B QLoRA'", "'name': 'Llama-3.1-8B W4A16-INT4'"):
        assert mark in drawn
