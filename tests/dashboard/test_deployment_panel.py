"""The price of serving on the overview: the sentence of `fidelity recommend --scenario`, and the costs by rate."""

import json
from pathlib import Path

import pytest

from fidelity.dashboard.deployment_panel import cost_points
from fidelity.price.deployment import Deployment, advise
from fidelity.price.sheets import load_sheet
from fidelity.report.deployment import sentences
from fidelity.store.record_files import MANIFEST, write_record
from tests.dashboard.conftest import charted, page_text, table
from tests.price.test_deployment import measured
from tests.price.test_served import sheet as small_sheet

H200 = Path(__file__).parents[2] / "docs" / "results" / "h200-8b"


def put(sheet, root):
    folder = root / "prices" / sheet.baseline
    folder.mkdir(parents=True)
    write_record(folder / MANIFEST, sheet)
    return root


def headings(app):
    return [heading.value for heading in app.subheader]


def descriptions(app):
    """The charts' texts for screen readers."""
    return [json.loads(chart.proto.spec)["description"] for chart in app.get("vega_lite_chart")]


def test_the_sentence_is_that_of_the_command(opened, recorded, store):
    assert "Price of serving" not in headings(opened(recorded))
    sheet = measured()
    app = opened(put(sheet, store), scenario="docstring", load="many requests")
    assert "Price of serving" in headings(app)
    expected = sentences(advise(sheet, Deployment("docstring", "async", 1.0), why_not=None))
    assert expected[0] in page_text(app)
    assert "Random weights: price only, never drift." in page_text(app)
    assert table(app, "Format")["W8A8-INT8"]["Queries for 1"] == "85,699"  # 23.81 requests/s within 1.91 s


def test_a_line_for_each_format_with_a_text_alternative(opened, store):
    sheet = load_sheet([H200 / "asynchronous.json"])
    app = opened(put(sheet, store), scenario="docstring", load="many requests")
    drawn = charted(app)
    for form in ("BF16", "W8A8-FP8", "W8A8-INT8", "W4A16-INT4 g128"):
        assert f"'format': '{form}'" in drawn
    [alt] = [text for text in descriptions(app) if text.startswith("Cost of a query in docstring")]
    assert "W8A8-INT8: " in alt


def test_costs_by_hand():
    points = cost_points(small_sheet(), "rag", price_per_hour=3600.0)
    quant = points[points["format"] == "W4A16"]
    # 1, 4 and 6 queries per second of a machine that costs 1 per second; the last one all at once.
    assert list(quant["value"]) == pytest.approx([1.0, 0.25, 1 / 6])
    assert list(quant["rate"]) == [1.0, 4.0, 6.0]
    assert list(quant["sent"]) == ["1 requests/s", "4 requests/s", "all at once"]


def test_one_request_at_a_time_has_no_chart_and_the_gate_of_the_page_judges(opened, store):
    app = opened(put(small_sheet(), store), scenario="rag", load="one at a time")
    assert "only BF16 can be recommended" in page_text(app)
    assert table(app, "Format")["W4A16"]["Why not"] == "not compared in this store"
    assert not any(text.startswith("Cost of a query") for text in descriptions(app))


def test_damaged_prices_leave_the_rest_of_the_page(opened, store):
    put(small_sheet(), store)
    (store / "prices" / "base" / MANIFEST).write_text("{")
    app = opened(store)
    assert "The prices can't be read" in page_text(app)
    assert "Price of serving" not in headings(app)
