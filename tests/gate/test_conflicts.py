"""A gate on conflicts: fatal edits in 5, 20 and 100 of 100 answers, and harmless changes of all of them."""

import json
import re

import pytest

from fidelity.gate import Gate, Measured, judge, out_of_reach
from fidelity.metrics.conflicts import Conflicts
from tests.gate.evidence import by_id, evidence
from tests.laws import pair

N = 100
GATE = Gate(conflicts=dict.fromkeys(("number", "negation", "direction", "name", "json", "code", "any"), 0.05))
DRUGS = ("Velorin", "Cestamab", "Orlidon", "Batrizol")
PROSE = """{drug} is started at {dose} mg every {hours} hours, and the dose is reviewed after {weeks} weeks of use. \
It should not be taken together with grapefruit, because that combination strains the liver. In the first trial, \
published in {year}, Marta Lindqvist reported that blood pressure increased in most patients, whereas Tomas Ferrari \
found no change in the older group. Side effects are mild in nearly all cases. The tablets are swallowed whole."""
PARAPHRASE = """Treatment with {drug} normally begins with {dose} mg, repeated every {hours} hours; the doctor looks \
at this again {weeks} weeks later. Avoid combining it with grapefruit: the two do not go together and put a burden on \
the liver. When the first study came out in {year}, Marta Lindqvist described an increase of blood pressure for the \
majority, while Tomas Ferrari saw no difference among the elderly. Swallow the tablets as they are."""
CALL = """Here is the call:

```json
{{"tool": "book_trip",
  "arguments": {{"order": {year}, "days": {weeks}, "mode": "refund", "amount": {dose}, "confirm": false}}}}
```"""
CALL_IN_OTHER_ORDER = """Here is the call:

```json
{{
    "arguments": {{"confirm": false, "amount": {dose}.0, "mode": "refund", "days": {weeks}, "order": {year}}},
    "tool": "book_trip"
}}
```"""
CODE = """This removes what is old:

```python
def purge(path, keep_days={weeks}, dry_run=True):
    removed = 0
    for entry in sorted(path.iterdir()):
        age = (now() - entry.stat().st_mtime) / 86400
        if age > keep_days and entry.suffix == ".csv":
            if not dry_run:
                entry.unlink()
            removed += 1
    return removed
```"""
QUERY = """Run this:

```sql
DELETE FROM devices
WHERE tier = 'closed' AND last_seen < '{year}-01-01' AND archived = TRUE;
```"""


def answers(template):
    return [
        template.format(
            drug=DRUGS[n % 4], dose=5 + 5 * (n % 5), hours=4 + 2 * (n % 5), weeks=3 + 2 * (n % 6), year=1951 + n % 60
        )
        for n in range(N)
    ]


def swapped(text, a, b):
    return text.replace(a, "\0").replace(b, a).replace("\0", b)


EDITS = {
    "negation": (PROSE, lambda text: text.replace("should not be", "should be"), "negation"),
    "dose": (PROSE, lambda text: re.sub(r"(\d+) mg", r"\g<1>0 mg", text), "number"),
    "unit": (PROSE, lambda text: text.replace(" mg", " g"), "number"),
    "year": (
        PROSE,
        lambda text: re.sub(r"published in 19(\d)(\d)|published in 20(\d)(\d)", "published in 1899", text),
        "number",
    ),
    "invented": (PROSE, lambda text: text.replace("in nearly all cases", "in 62 of 100 cases"), "number"),
    "direction": (PROSE, lambda text: text.replace("increased", "decreased"), "direction"),
    "names": (PROSE, lambda text: swapped(text, "Marta Lindqvist", "Tomas Ferrari"), "name"),
    "flag": (CALL, lambda text: text.replace("false", "true"), "json"),
    "mode": (CALL, lambda text: text.replace("refund", "charge"), "json"),
    "amount": (CALL, lambda text: re.sub(r'"amount": (\d+)', r'"amount": \g<1>0', text), "json"),
    "function": (CODE, lambda text: text.replace("entry.unlink()", "path.rmtree()"), "code"),
    "constant": (CODE, lambda text: text.replace("86400", "3600"), "code"),
    "guard": (CODE, lambda text: text.replace("if not dry_run", "if dry_run"), "code"),
    "literal": (QUERY, lambda text: text.replace("closed", "open"), "code"),
    "table": (QUERY, lambda text: text.replace("devices", "users"), "code"),
    "condition": (QUERY, lambda text: text.replace(" AND archived = TRUE", ""), "code"),
}
HARMLESS = {
    "paraphrase": (PROSE, PARAPHRASE),
    "key order": (CALL, CALL_IN_OTHER_ORDER),
    "renamed": (CODE, CODE.replace("entry", "item").replace("removed", "count").replace("age ", "days_old ")),
    "layout": (QUERY, QUERY.replace("DELETE FROM", "delete from").replace("\nWHERE", " where").replace("AND", "and")),
}


def judged(baseline, candidate, control=None):
    """The candidate's verdict and its columns' means; the control says what the baseline does, or else `control`."""
    columns, floor = ({c.name: c for c in scored(baseline, texts)} for texts in (candidate, control or baseline))
    found = {
        name: Measured(column, by_id(column.values), (by_id(floor[name].values),)) for name, column in columns.items()
    }
    return judge(GATE, evidence(found, n=N)), {
        name: sum(value or 0 for value in c.values) / N for name, c in columns.items()
    }


def scored(baseline, candidate):
    return Conflicts().score(
        [pair(a, b, prompt_id=f"p{n}") for n, (a, b) in enumerate(zip(baseline, candidate, strict=True))]
    )


@pytest.mark.parametrize("k", [5, 20, 100])
@pytest.mark.parametrize("name", EDITS)
def test_fatal_edits(name, k):
    template, edit, kind = EDITS[name]
    baseline = answers(template)
    edited = [edit(text) if n % (N // k) == 0 else text for n, text in enumerate(baseline)]
    verdict, means = judged(baseline, edited)
    assert means[f"conflict_{kind}"] == pytest.approx(k / N, abs=0.02)
    assert means["conflict_any"] == pytest.approx(k / N, abs=0.02)
    assert verdict.outcome == ("inconclusive" if k == 5 else "fail")


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_changes_pass(name):
    baseline, other = map(answers, HARMLESS[name])
    verdict, means = judged(baseline, other)
    assert means["conflict_any"] == 0
    assert verdict.outcome == "pass"


def test_what_the_control_has_too_is_noise():
    baseline = answers(PROSE)
    noisy = [EDITS["dose"][1](text) if n % 5 == 0 else text for n, text in enumerate(baseline)]
    verdict, _ = judged(baseline, noisy, control=noisy)
    assert verdict.outcome == "inconclusive"
    assert "not surely more often than the control" in verdict.lines[0].reason


def test_a_limit_that_so_few_prompts_cannot_pass():
    columns = {column.name: column for column in Conflicts().score([])}
    (sentence,) = out_of_reach(Gate(conflicts={"number": 0.02, "any": 0.05}), columns, prompts=100)
    assert sentence.startswith("gate: conflicts.number: 0.02 can't be passed with 100 prompts")
    assert "149 prompts" in sentence
    assert out_of_reach(Gate(conflicts={"number": 0.02}), columns, prompts=149) == []


def test_on_the_command_line(fidelity, workspace):
    baseline = answers(PROSE)
    candidate = [EDITS["names"][1](text) if n == 7 else text for n, text in enumerate(answers(PARAPHRASE))]
    candidate[42], candidate[43] = EDITS["negation"][1](baseline[42]), EDITS["dose"][1](baseline[43])
    rows = {
        name: [{"id": f"p{n}", "text": text} for n, text in enumerate(texts)]
        for name, texts in (("again", baseline), ("base", baseline), ("mixed", candidate))
    }
    workspace.recorded("again", rows["again"])
    base = workspace.recorded("base", rows["base"], control={"path": "again.jsonl"}, metrics=["conflicts", "edit"])
    mixed = workspace.recorded("mixed", rows["mixed"])
    gate = workspace.file("gate.yaml", json.dumps({"conflicts": {"number": 0.05, "any": 0.1}}))
    code, out, _ = fidelity("compare", base, mixed, "--gate", gate, "--markdown", "out.md", "--html", "out.html")
    assert code == 0
    headline = "mixed: 3 of 100 answers conflict: 1 negation, 1 number, 1 name (the floor: 0 of 100)"
    assert " ".join(out.split()).startswith(headline)
    markdown, html = ((workspace.folder / f"out.{name}").read_text() for name in ("md", "html"))
    assert headline in markdown
    assert headline in html
    assert markdown.index("- negation: not / dropped") < markdown.index("- number: ")
    assert html.index("negation: not / dropped") < html.index("number: ")

    (path,) = (workspace.folder / "fidelity-store" / "comparisons").glob("base--mixed-*")
    code, out, _ = fidelity("show", str(path), "--worst", "2")
    assert code == 0
    assert out.index("== p42 ==") < out.index("negation: not / dropped") < out.index("== p43 ==")
    _, out, _ = fidelity("show", str(path), "--conflict", "number")
    assert "== p43 ==" in out
    assert "== p42 ==" not in out
    _, out, _ = fidelity("show", str(path), "--prompt", "p0")
    assert "== p0 ==" in out
    code, _, error = fidelity("show", str(path), "--prompt", "p100")
    assert code == 2
    assert "no pair of prompt 'p100'" in error
    gate = workspace.file("gate.yaml", json.dumps({"conflicts": {"numbers": 0.05}}))
    code, _, error = fidelity("compare", base, mixed, "--gate", gate)
    assert code == 2
    assert "did you mean 'number'" in error
