"""What the drift buys, on the pages: the numbers of `fidelity.price.pareto`."""

from fidelity.comparison.results import load_comparison
from fidelity.price.pareto import drift_and_price
from fidelity.report.price import times
from tests.dashboard.conftest import charted, comparison, said


def test_the_overview_has_the_ratios_of_the_reports(opened, forced):
    _, point = drift_and_price(load_comparison(comparison(forced, "int8")), column="top1_agreement").points
    app = opened(forced, metric="top1_agreement", price="tokens_per_s")
    assert "What the drift buys" in [heading.value for heading in app.subheader]
    assert times(point.ratios["tokens_per_s"]) in said(app)
    assert f"'ratio': {point.ratios['tokens_per_s'].value}" in charted(app)


def test_the_comparison_shows_every_measure(opened, forced):
    app = opened(forced, "comparison", metric="top1_agreement")
    assert "tokens/s" in said(app)
    assert "requests/s" in said(app)


def test_without_measurements_there_is_no_bargain(opened, recorded):
    assert "What the drift buys" not in [heading.value for heading in opened(recorded).subheader]


def test_what_others_published_is_marked_if_asked_along_the_axis_that_it_has(opened, forced):
    assert "Llama-3.2-3B QLoRA" not in charted(opened(forced, metric="rougeL", price="bytes"))
    app = opened(forced, metric="rougeL", price="bytes", published="true")
    assert "Kurtic's are a drift without a price" in said(app)
    drawn = charted(app)
    for mark in ("'name': 'Llama-3.2-3B QLoRA'", "'name': 'Llama-3.1-8B W4A16-INT4'"):
        assert mark in drawn
