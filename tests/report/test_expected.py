"""Expected answers from the prompts to the reports: drops, gains and McNemar's test by hand."""

import io
import json
from dataclasses import replace

import jsonschema
import pytest
from rich.console import Console

from fidelity.comparison.evidence import verdicts
from fidelity.comparison.stored import load_comparison
from fidelity.config import load_run
from fidelity.gate import Gate
from fidelity.metrics import metric_of_kind
from fidelity.pipeline import ComparisonRequest, compare
from fidelity.report import as_html, as_json, as_junit, as_markdown, json_schema, print_comparison
from fidelity.store.inventory import check, repair
from fidelity.store.store import Store
from tests.conftest import Silent, Workspace

N = 40
"""Prompts: n + 1 is expected; the baseline answers right but for p0 and p1, the control but for p0 and p2."""


def rows(wrong, *, expected=True):
    def row(n):
        asked = {"id": f"p{n}", "prompt": f"What is {n} + 1?", "text": str(0 if n in wrong else n + 1)}
        return asked | ({"expected": n + 1} if expected else {})

    return [row(n) for n in range(N)]


@pytest.fixture
def workspace(tmp_path):
    space = Workspace(tmp_path)
    space.recorded("again", rows({0, 2}))
    space.recorded("base", rows({0, 1}), control={"path": "again.jsonl"})
    # Eight drops (3 to 10), one gain (1); p2 is right. Against the control: 8 lost, p2 won.
    space.recorded("quant", rows({0, *range(3, 11)}, expected=False))
    return space


def compared(space, *, metrics=("expected",)):
    request = ComparisonRequest(
        load_run(space.folder / "base.yaml"),
        [load_run(space.folder / "quant.yaml")],
        [metric_of_kind(kind) for kind in metrics],
    )
    return compare(request, store=Store(space.store), listener=Silent())


SENTENCE = (
    "quant: 31 of 40 expected answers are right (baseline: 38, again: 38): 8 drops, 1 gains (again: 1 and 1); "
    "against again 8 lost, 1 won, exact McNemar p = 0.039"
)
# McNemar by hand: 9 discordant prompts, 8 of them lost: 2 (C(9,8) + C(9,9)) / 2^9 = 2 * 10 / 512 = 0.0390625.


def test_every_report_has_drops_gains_and_the_test(workspace):
    result = compared(workspace)
    text = io.StringIO()
    print_comparison(result, Console(file=text, width=400), full=True)
    assert SENTENCE in text.getvalue()
    assert "quant: drops: p3, p4, p5, p6, p7, p8, p9, p10" in text.getvalue()
    for report in (as_html(result), as_junit(result), as_markdown(result)):
        assert SENTENCE in report
    data = json.loads(json.dumps(as_json(result)))
    jsonschema.Draft202012Validator(json_schema()).validate(data)
    expected = data["comparisons"][0]["expected"]
    counts = {"prompts": 40, "baseline_right": 38, "right": 31, "drops": 8, "gains": 1, "name": "quant"}
    assert {key: expected[key] for key in counts} == counts
    assert expected["controls"][0]["mcnemar"] == {"control_only": 8, "candidate_only": 1, "p_value": 0.0390625}
    assert expected["by_prompt"]["p3"] == {"baseline": True, "candidate": False, "controls": [True]}
    (path,) = (one.comparison.path for one in result.candidates)
    assert as_json(load_comparison(path))["comparisons"][0]["expected"] == expected


def test_no_expected_answers_change_no_report(workspace):
    workspace.recorded("again", rows({0, 2}, expected=False))
    workspace.recorded("base", rows({0, 1}, expected=False), control={"path": "again.jsonl"})
    result = compared(workspace)
    assert as_json(result)["comparisons"][0]["expected"] is None
    assert "expected answers" not in as_markdown(result)


def gated(result, limit, **more):
    # A gate never passes on recordings of models that aren't known to be quantized: only its line matters here.
    (verdict,) = verdicts(result, Gate(drops={"max": limit}, **more)).values()
    return next(line for line in verdict.lines if line.kind == "drop")


def test_the_gate_judges_drops(workspace):
    result = compared(workspace)
    line = gated(result, 0.05)
    assert (line.title, line.value, line.n) == ("dropped answers", 8 / 40, 40)
    # 8 of 40 are at least 10.4% (Clopper & Pearson), and more than the control's 1: McNemar 10/512 on one side.
    assert line.reason.startswith("8 of 40 prompts right in the baseline and wrong in the candidate, at least 10.4%")
    assert gated(result, 0.4).outcome == "pass"
    assert gated(result, 0.2).outcome == "inconclusive"


def test_a_limit_that_accepts_any_copy_of_a_bad_model_passes_nothing(workspace):
    # The baseline is right on 8 of 40 prompts: 0.15 would accept a copy that drops 6 of them.
    workspace.recorded("base", rows({*range(32)}), control={"path": "again.jsonl"})
    workspace.recorded("again", rows({*range(32)}, expected=False))
    workspace.recorded("quant", rows({*range(32)}, expected=False))
    line = gated(compared(workspace), 0.15)
    assert line.outcome == "inconclusive"
    assert (
        "the baseline is right on 20.0% of the prompts, so 0.15 accepts a copy that drops half of that" in line.reason
    )


def test_prompts_without_an_expected_answer_do_not_count_for_coverage(workspace):
    few = [{**row, "expected": None} if n >= 10 else row for n, row in enumerate(rows({0, 1}))]
    workspace.recorded("base", few, control={"path": "again.jsonl"})
    line = gated(compared(workspace), 0.4)
    assert (line.n, line.coverage) == (10, 1.0)


def test_a_corrected_answer_is_judged_without_generating_again(workspace):
    prompts = [{"id": f"p{n}", "prompt": f"What is {n} + 1?", "expected": 0} for n in range(N)]
    first = compared(workspace)
    file = workspace.file("prompts.jsonl", "\n".join(map(json.dumps, prompts)))
    base = load_run(workspace.folder / "base.yaml")
    request = ComparisonRequest(
        base.model_copy(update={"prompts": file}),
        [load_run(workspace.folder / "quant.yaml")],
        [metric_of_kind("expected")],
    )
    result = compare(request, store=Store(workspace.store), listener=Silent())
    assert result.baseline.id == first.baseline.id  # the digest is about outputs
    assert as_json(result)["comparisons"][0]["expected"]["right"] == 9


def test_a_damaged_file_of_expected_answers_costs_only_itself(workspace):
    result = compared(workspace)
    file = result.baseline.path / "expected.json"
    file.write_text("{}")
    (damage,) = check(Store(workspace.store)).damages
    assert damage.path == file
    repair(Store(workspace.store))
    assert as_json(compared(workspace))["comparisons"][0]["expected"]["right"] == 31


def test_without_a_control_nothing_is_tested(workspace):
    result = replace(compared(workspace), controls=())
    (headline,) = [line for line in as_markdown(result).splitlines() if "expected answers" in line]
    assert "McNemar" not in headline
    assert "8 drops, 1 gains" in headline
