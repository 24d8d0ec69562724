"""Several answers to a prompt on every page, by prompt and repeat; and reasoning next to the answers."""

import json
import re

import pytest

from fidelity.config import load_run
from fidelity.metrics.diversity import Diversity
from fidelity.metrics.identical import Identical
from fidelity.metrics.rouge import Rouge
from fidelity.pipeline import ComparisonRequest, compare
from fidelity.store.store import Store
from tests.comparison.test_repeats import rows
from tests.conftest import Silent
from tests.dashboard.conftest import PAGES, listed, page_text, table

BASE = {"a": ["one two", "one three", "one four"], "b": ["x", "y", "z"]}
QUANT = {"a": ["one two", None, "one five"], "b": ["x", "w", "z"]}


@pytest.fixture
def root(workspace):
    """A store with a candidate that failed in one repeat only."""
    workspace.file("again.jsonl", "\n".join(map(json.dumps, rows(BASE))))
    base = workspace.recorded("base", rows(BASE), control={"path": "again.jsonl"})
    configs = [load_run(base), load_run(workspace.recorded("quant", rows(QUANT)))]
    metrics = [Identical(), Rouge(), Diversity()]
    compare(ComparisonRequest(configs[0], configs[1:], metrics), store=Store(workspace.store), listener=Silent())
    return workspace.store


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens(opened, root, page):
    assert page_text(opened(root, page))


def test_each_repeat_is_a_pair_of_its_own(opened, root):
    app = opened(root, "pairs", metric="identical")
    table = {row["Id"]: float(row["identical"]) for row in listed(app)}
    assert table == {"a": 1, "a #2": 0, "b": 1, "b #1": 0, "b #2": 1}


def test_the_address_opens_one_repeat(opened, root):
    drawn = page_text(opened(root, "pairs", metric="identical", pair="a:2", view="Side by side"))
    shown = re.sub("<[^>]*>", "", drawn)  # conflicts are marked in the texts
    assert "a, repeat 2" in shown
    assert "one four" in shown
    assert "one five" in shown
    assert "one three" not in shown


def test_numbers_are_by_prompt(opened, root):
    shown = table(opened(root, "comparison"), "Metric")
    # a: 1 of the 2 repeats that it has, b: 2 of 3; the mean of the two prompts is 7/12, not the pairs' 3/5.
    assert shown["identical"]["Value"] == f"{7 / 12:.3f}"
    assert shown["identical"]["Prompts"] == "2"


def test_an_open_pair_has_its_thinking_apart(opened, workspace):
    thoughts = {"base": "Two and two.", "quant": "Well, three."}
    lines = {name: [{"id": "a", "text": f"<think>\n{thought}\n</think>\n\n4."}] for name, thought in thoughts.items()}
    configs = [load_run(workspace.recorded(name, rows)) for name, rows in lines.items()]
    compare(ComparisonRequest(configs[0], configs[1:], [Identical()]), store=Store(workspace.store), listener=Silent())
    app = opened(workspace.store, "pairs", metric="identical", view="Side by side")
    assert "think>" not in page_text(app)
    (expander,) = [e for e in app.expander if e.label == "Thinking"]
    assert "Well, three" in "".join(element.proto.body for element in expander.get("html"))
