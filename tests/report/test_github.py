"""What is written by itself in GitHub Actions."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from fidelity.errors import StoreError
from fidelity.report import add_step_summary, annotation, without_commands
from tests.report.conftest import HOSTILE, verdict

ACTIONS = {"GITHUB_ACTIONS": "true"}


@pytest.mark.parametrize(
    ("outcome", "command"), [("fail", "::error "), ("inconclusive", "::warning "), ("pass", "::notice ")]
)
def test_one_annotation_has_the_verdict(recordings, outcome, command):
    result = replace(recordings, candidates=recordings.candidates[:1])
    line = annotation(result, {"bf16-serial": verdict("bf16-serial", outcome, reason="So.")}, environment=ACTIONS)
    assert line == f"{command}title=fidelity%3A {outcome}::So."


def test_many_candidates_are_one_annotation(recordings, verdicts):
    line = annotation(recordings, verdicts, environment=ACTIONS)
    assert line == "::error title=fidelity%3A fail::fail: w8a8-fp8; inconclusive: bf16-eager; pass: bf16-serial."


def test_without_a_gate_it_is_a_notice(recordings):
    assert (
        annotation(recordings, environment=ACTIONS)
        == "::notice title=fidelity::No gate was given, so nothing was judged."
    )


def test_text_cannot_end_the_command(recordings):
    result = replace(recordings, candidates=recordings.candidates[:1])
    line = annotation(
        result, {"bf16-serial": verdict("bf16-serial", "fail", reason=f"5 %\r\n{HOSTILE}")}, environment=ACTIONS
    )
    assert line.startswith("::error title=fidelity%3A fail::5 %25 <script>")
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line


def test_elsewhere_there_is_none(recordings, verdicts, tmp_path):
    assert annotation(recordings, verdicts, environment={}) is None
    add_step_summary(recordings, verdicts, environment={})


def test_the_summary_is_the_markdown_report_added_to_what_is_there(recordings, verdicts, tmp_path):
    file = tmp_path / "summary.md"
    file.write_text("# before\n")
    add_step_summary(recordings, verdicts, environment={"GITHUB_STEP_SUMMARY": str(file)})
    assert file.read_text().startswith("# before\n## ❌ fidelity: fail")


def test_a_summary_that_cannot_be_written_is_an_error(recordings, tmp_path):
    with pytest.raises(StoreError, match="the step summary can't be written"):
        add_step_summary(recordings, environment={"GITHUB_STEP_SUMMARY": str(tmp_path)})


def test_what_is_printed_is_no_command_of_github_actions():
    printed = StringIO()
    with without_commands(Console(file=printed), environment=ACTIONS):
        printed.write("::error::injected\n")
    stop, line, again = printed.getvalue().splitlines()
    token = stop.removeprefix("::stop-commands::")
    assert len(token) == 32
    assert (line, again) == ("::error::injected", f"::{token}::")


def test_elsewhere_nothing_is_written():
    printed = StringIO()
    with without_commands(Console(file=printed), environment={}):
        printed.write("table")
    assert printed.getvalue() == "table"
