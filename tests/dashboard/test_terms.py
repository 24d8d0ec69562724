"""Every term that a page shows has its meaning behind it."""

import re

import pytest

from fidelity.dashboard.terms import COLUMNS, TERMS, explained, help_of_column
from fidelity.report import shown_in_table
from tests.conftest import ROOT
from tests.dashboard.conftest import comparison

EVERYDAY = {
    *("", "Answers", "Category", "Model", "Size", "Compared", "Run", "Id", "Prompt", "Why", "Group", "Bound", "n"),
    *("Notes on the numbers", "Manifest", "Baseline / candidate", "median", "bytes", "memory", "tokens/s"),
    *("first token", "whole answer", "cost"),
}
"""Headings that need no explanation."""


def headings(app):
    """The headings of a page's tables: their words, and their tips."""
    drawn = "\n".join(one.proto.body for one in app.get("html"))
    for heading in re.findall(r"<th>(.*?)</th>", drawn):
        tip = re.search(r'title="(.*?)"', heading)
        yield re.sub(r"<[^>]*>", "", heading), tip[1] if tip else ""


@pytest.mark.parametrize("page", ["overview", "comparison", "gate", "history"])
def test_every_heading_of_a_table_is_explained_or_everyday(opened, recorded, page):
    shown = dict(headings(opened(recorded, page, comparison=comparison(recorded, "w4a16").name)))
    assert shown or page == "overview"
    assert {word for word, tip in shown.items() if not tip} <= EVERYDAY | {
        word for word in shown if word.startswith(("10%", "90%"))
    }


def test_every_column_of_the_recordings_is_explained(opened, recorded):
    app = opened(recorded, "comparison", comparison=comparison(recorded, "w4a16").name)
    names = [name for name in app.selectbox(key="metric").options if shown_in_table(name)]
    assert len(names) > 5
    assert [name for name in names if not help_of_column(name)] == []


def test_sections_and_filters_have_their_terms_behind_them(opened, recorded):
    app = opened(recorded, "comparison", comparison=comparison(recorded, "w4a16").name)
    tips = {heading.value: heading.proto.help for heading in app.subheader}
    assert TERMS["conflict"] in tips["Conflicts with the baseline"]
    assert TERMS["floor"] in tips["All metrics"]


def test_the_glossary_has_the_dashboards_terms():
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    for term in ("floor", "excess", "conflict", "break", "control", "chance level", "margin", "verdict", "metric"):
        assert term in TERMS
        assert term in glossary


def test_a_foreign_word_stays_text_and_a_prompt_s_name_is_no_column():
    assert "<script" not in explained("<script>", "a <b>")
    assert help_of_column("my-own-metric") == ""
    assert all(tip.endswith(".") for tip in [*TERMS.values(), *COLUMNS.values()])
