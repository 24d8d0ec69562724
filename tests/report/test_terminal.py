"""What a terminal shows: the answer first, in twelve lines of 80 columns, and every column only when asked for."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from fidelity.metrics import KINDS
from fidelity.report import print_comparison
from fidelity.report.answer import HEADINGS, AnswerRow, AnswerTable, answer
from fidelity.report.column_groups import GROUPS
from fidelity.report.terminal import _print_answer
from tests.report.conftest import RECORDED, compared


@pytest.fixture(scope="session")
def scored(tmp_path_factory):
    files = [RECORDED / f"{name}.yaml" for name in ("bf16", "bf16-serial", "bf16-eager", "w8a8-fp8")]
    return compared(
        tmp_path_factory.mktemp("answer") / "store", *files, metrics=["identical", "rouge", "conflicts", "length"]
    )


def printed(result, verdicts=None, *, width=80, full=False, color=False):
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=color, color_system="standard" if color else None)
    print_comparison(result, console, verdicts or {}, full=full)
    return file.getvalue()


def the_answer(text):
    """The lines before the first empty one."""
    return text.split("\n\n")[0].splitlines()


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_answer_takes_twelve_lines_with_a_verdict_for_each_candidate(scored, verdicts, width):
    lines = the_answer(printed(scored, verdicts, width=width))
    assert len(lines) <= 12
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("Baseline bf16: BF16, 64 prompts")
    rows = {line.split()[0]: line.split()[-1] for line in lines[-4:]}
    assert rows["bf16-serial"] == "PASS"
    assert rows["bf16-eager"] == "INCONCLUSIVE"
    assert rows["w8a8-fp8"] == "FAIL"


def test_long_names_of_five_candidates_leave_every_verdict_in_twelve_lines():
    cells = tuple("1/40" if place in (1, 3) else "" for place in range(len(HEADINGS)))
    names = [f"a-long-name-of-a-quantized-copy-of-a-model-number-{n}-w4a16-gptq-group-size-128" for n in range(5)]
    rows = (AnswerRow("again (control)", cells, "", True), *(AnswerRow(name, cells, "FAIL", False) for name in names))
    file = io.StringIO()
    given = AnswerTable("Baseline base: BF16, 40 prompts", rows, sentences=(), notes=())
    _print_answer(given, Console(file=file, width=80))
    lines = file.getvalue().splitlines()
    assert len(lines) <= 12
    assert max(map(len, lines)) <= 80
    assert [line.split()[0][-19:] + line.split()[-1] for line in lines[-5:]] == ["gptq-group-size-128FAIL"] * 5
    assert len({line.split()[0] for line in lines[-5:]}) == 5


def test_the_failed_candidates_sentence_comes_first(scored, verdicts):
    lines = printed(scored, verdicts, width=500).splitlines()
    assert lines[1].startswith("w8a8-fp8 (W8A8-FP8): ")
    assert " answers conflict: " in lines[1]
    assert lines[1].endswith("64 of 64 are worded differently (control: 20).")
    assert lines[3].startswith("bf16-serial (BF16): ")


def test_a_row_counts_the_same_answers_of_the_recordings(scored):
    """13 of 64 serial answers differ, and 20 of the control's: the recordings' own README has the numbers."""
    rows = {row.name: dict(zip(HEADINGS, row.cells, strict=True)) for row in answer(scored).rows}
    assert rows["bf16-rev (control)"]["same answers"] == "44/64"
    assert rows["bf16-serial"]["same answers"] == "51/64"
    assert rows["w8a8-fp8"]["same answers"] == "0/64"
    assert rows["w8a8-fp8"]["failed"] == "0"
    assert not rows["w8a8-fp8"]["meaning"]


def test_without_a_gate_nothing_is_called_pass(scored):
    text = printed(scored)
    assert "PASS" not in text
    assert text.count("no gate") == 3


def test_one_candidate_without_a_control_has_a_row_with_its_failures(tmp_path, scored):
    alone = replace(scored, controls=(), candidates=scored.candidates[:1])
    lines = the_answer(printed(alone))
    assert "64 prompts" in lines[0]
    assert "failed" in lines[-2]
    assert lines[-1].split()[0] == "bf16-serial"
    assert "No floor" in printed(alone)


def test_a_candidate_that_was_not_compared_has_a_row(scored):
    broken = replace(scored, not_compared={"w4a16": "w4a16.jsonl: can't be read"})
    text = printed(broken)
    assert next(line for line in text.splitlines() if line.startswith("w4a16")).endswith("not compared")
    assert "w4a16: not compared: w4a16.jsonl: can't be read" in text


def test_lines_that_passed_are_shown_only_in_full(scored, verdicts):
    assert "rougeL drifted." in printed(scored, verdicts)
    assert "pass  failures" not in printed(scored, verdicts, width=300)
    assert "pass  failures" in printed(scored, verdicts, width=300, full=True)


def test_in_full_each_group_has_one_row_for_a_candidate_where_the_width_allows(scored):
    text = printed(scored, width=200, full=True)
    for group in ("meaning", "words"):
        table = text[text.index(f"\n{group}  ") :].split("\n\n")[0]
        assert sum(line.startswith("w8a8-fp8") for line in table.splitlines()) == 1
    assert "0.377 +0.581" not in the_answer(text)


def test_every_kind_of_metric_is_in_one_group():
    kinds = [kind for members in GROUPS.values() for kind in members]
    assert sorted(kinds) == sorted(cls.model_fields["kind"].default for cls in KINDS)


def test_colors_are_those_of_the_verdict_and_no_color_is_obeyed(scored, verdicts, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[1;31mFAIL" in printed(scored, verdicts, color=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[1mFAIL" in printed(scored, verdicts, color=True)


def test_six_candidates_all_have_their_row_in_the_answer(scored, verdicts):
    many = replace(scored, candidates=scored.candidates * 2)
    lines = the_answer(printed(many, verdicts))
    assert len(lines) <= 12
    assert sum(line.split()[-1] in ("PASS", "FAIL", "INCONCLUSIVE") for line in lines) == 6


def test_a_name_that_does_not_fit_is_broken_after_a_separator():
    cells = ("0.996", "64/72", "0.0%", "2/72", "0", "", "")
    rows = (
        AnswerRow("smollm2-135m-bf16.control1 (control)", cells, "", True),
        AnswerRow("smollm2-135m-w8a8-int8", cells, "no gate", False),
        AnswerRow("name" * 6, cells, "no gate", False),
    )
    file = io.StringIO()
    _print_answer(AnswerTable("Baseline base", rows, sentences=(), notes=()), Console(file=file, width=70))
    names = [line.split("  ")[0].strip() for line in file.getvalue().splitlines()[3:]]
    assert names == [
        "smollm2-135m-bf16.",
        "control1 (control)",
        "smollm2-135m-w8a8-int8",
        "namenamenamenamenamena",
        "me",
    ]
