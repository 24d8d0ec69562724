"""The order of pairs in all five reports: five fatal edits come before harmless noise, which costs far more words.

The noise is a paraphrase of 30 of the control's and of 65 of the candidate's 100 answers.
"""

import re

import pytest

from tests.dashboard.conftest import listed
from tests.gate.test_conflicts import EDITS, PARAPHRASE, PROSE, answers
from tests.report.test_html import data_of

FATAL = {"p7": "negation", "p21": "dose", "p42": "year", "p63": "direction", "p84": "names"}
"""Prompts and their edits; the two in the middle are paraphrased too."""


@pytest.fixture
def compared(fidelity, workspace):
    """The command's output, after it wrote every report."""
    base, noise = answers(PROSE), answers(PARAPHRASE)
    control = [noise[n] if n % 10 in (1, 4, 8) else text for n, text in enumerate(base)]
    candidate = [noise[n] if n % 20 < 13 else text for n, text in enumerate(base)]
    for prompt, edit in FATAL.items():
        n = int(prompt[1:])
        candidate[n] = EDITS[edit][1](base[n])
        assert candidate[n] != base[n]
    candidate[42] = noise[42].replace("came out in 19", "came out in 18")
    rows = {
        name: [{"id": f"p{n}", "text": text} for n, text in enumerate(texts)]
        for name, texts in (("again", control), ("base", base), ("int4", candidate))
    }
    workspace.recorded("again", rows["again"])
    metrics = ["conflicts", "rouge", "edit", "breaks"]
    configs = [
        workspace.recorded("base", rows["base"], control={"path": "again.jsonl"}, metrics=metrics),
        workspace.recorded("int4", rows["int4"]),
    ]
    code, out, _ = fidelity("compare", *configs, "--store", workspace.store, "--markdown", "o.md", "--html", "o.html")
    assert code == 0
    return out


def test_fatal_pairs_come_first_in_every_report(compared, fidelity, workspace, opened):
    (comparison,) = (workspace.store / "comparisons").glob("base--int4-*")
    terminal = re.findall(r"^  (p\d+): (\w+): ", compared, re.MULTILINE)
    markdown = re.findall(r"^\*\*(p\d+)\*\*", (workspace.folder / "o.md").read_text(), re.MULTILINE)
    data = data_of((workspace.folder / "o.html").read_text())
    html = [data["prompts"][pair["p"]]["id"] for pair in data["candidates"][0]["pairs"]]
    dashboard = [row["Id"] for row in listed(opened(workspace.store, "pairs"))]
    code, out, _ = fidelity("show", str(comparison), "--worst", "5")
    assert code == 0
    shown = re.findall(r"^== (p\d+) ==$", out, re.MULTILINE)

    assert len(html) == len(dashboard) == 100
    assert {prompt for prompt, _ in terminal} == set(html[:5]) == set(dashboard[:5]) == set(shown) == set(FATAL)
    assert terminal[0] == ("p7", "negation")  # what is denied turns around all that it is about
    assert set(markdown) <= set(FATAL)
    assert len(markdown) == 3
    assert dashboard[:5] == html[:5] == shown == [prompt for prompt, _ in terminal]


def test_without_conflicts_first_the_dashboard_goes_by_the_metric(compared, workspace, opened):
    app = opened(workspace.store, "pairs", metric="rougeL")
    app.toggle(key="alarms").set_value(False).run()
    table = listed(app)
    excess = [float(row["excess of rougeL"]) for row in table]
    assert excess == sorted(excess, reverse=True)
    assert not {row["Id"] for row in table[:5]} & {"p7", "p21", "p63", "p84"}
