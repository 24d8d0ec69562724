"""Expected answers on the comparison page: counts, the test, and which prompts were dropped and gained."""

import pytest

from tests.dashboard.conftest import comparison, page_text, table
from tests.report.test_expected import SENTENCE, compared, rows


@pytest.fixture
def judged(workspace):
    """The comparison of `tests/report/test_expected.py`: p3 to p10 are dropped, p1 is gained."""
    workspace.recorded("again", rows({0, 2}))
    workspace.recorded("base", rows({0, 1}), control={"path": "again.jsonl"})
    workspace.recorded("quant", rows({0, *range(3, 11)}, expected=False))
    compared(workspace, metrics=("expected", "identical"))
    return workspace.store


def test_each_run_has_its_drops_and_gains(opened, judged):
    app = opened(judged, "comparison", comparison=comparison(judged, "quant").name)
    assert SENTENCE in page_text(app)
    runs = table(app, "Run")
    assert [runs["quant"][key] for key in ("Right", "Drops", "Gains", "Unclear")] == ["31", "8", "1", "0"]
    assert [runs["again"][key] for key in ("Right", "Drops", "Gains")] == ["38", "1", "1"]
    assert runs["again"]["McNemar p"] == "0.039"
    assert runs["baseline"]["Right"] == "38"


def test_the_changed_prompts_are_listed_drops_first(opened, judged):
    app = opened(judged, "comparison", comparison=comparison(judged, "quant").name)
    changed = table(app, "Prompt")
    assert list(changed) == [*(f"p{n}" for n in range(3, 11)), "p1"]
    assert list(changed["p3"].values()) == ["p3", "drop", "right", "right", "wrong"]
    assert list(changed["p1"].values()) == ["p1", "gain", "wrong", "right", "right"]


def test_a_comparison_without_expected_answers_has_no_such_section(opened, recorded):
    app = opened(recorded, "comparison", comparison=comparison(recorded, "w4a16").name)
    assert "Expected answers" not in [heading.value for heading in app.subheader]
