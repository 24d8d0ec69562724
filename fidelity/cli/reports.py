"""The forms in which a comparison is told, and the exit code that comes of it."""

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fidelity.cli.options import write

if TYPE_CHECKING:
    from fidelity.comparison import ComparisonSet
    from fidelity.gate import Verdict


def add_reports(command: argparse.ArgumentParser) -> None:
    """`--json`, `--markdown`, `--junit`, `--html`."""
    for option, what in (
        ("--json", "the numbers, unrounded, as JSON"),
        ("--markdown", "a report that fits a pull-request comment"),
        ("--junit", "the gate's lines as test cases, for CI systems"),
        ("--html", "a report to look through, with every pair; one file that needs no network"),
    ):
        command.add_argument(option, type=Path, metavar="FILE", help=f"write {what}")


def report_all(result: "ComparisonSet", verdicts: "Mapping[str, Verdict]", chosen: argparse.Namespace) -> int:
    """Say what was found in every form that was asked for; a candidate that wasn't compared could not be judged.

    In GitHub Actions the step's summary and an annotation are written unasked.
    """
    from rich.console import Console

    from fidelity import report
    from fidelity.gate import exit_code

    report.print_table(result, Console(), verdicts)
    if chosen.json:
        write(chosen.json, json.dumps(report.as_json(result, verdicts), indent=2, ensure_ascii=False) + "\n")
    forms = ((chosen.markdown, report.as_markdown), (chosen.junit, report.as_junit), (chosen.html, report.as_html))
    for path, form in forms:
        if path:
            write(path, form(result, verdicts))
    report.add_step_summary(result, verdicts, environment=os.environ)
    if said := report.annotation(result, verdicts, environment=os.environ):
        print(said, flush=True)
    outcomes = [verdict.outcome for verdict in verdicts.values()]
    return exit_code([*outcomes, "inconclusive"] if result.not_compared else outcomes)
