"""The forms in which a comparison is told, and the exit code that comes of it."""

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from fidelity.cli.options import write

if TYPE_CHECKING:
    from fidelity.comparison.results import ComparisonSet
    from fidelity.gate import Gate
    from fidelity.store.store import Store


def add_reports(command: argparse.ArgumentParser) -> None:
    """`--json`, `--markdown`, `--junit`, `--html`."""
    for option, what in (
        ("--json", "the numbers, unrounded, as JSON"),
        ("--markdown", "a report that fits a pull-request comment"),
        ("--junit", "the gate's lines as test cases, for CI systems"),
        ("--html", "a report to look through, with every pair; one file that needs no network"),
    ):
        command.add_argument(option, type=Path, metavar="FILE", help=f"write {what}")
    command.add_argument(
        "--published", action="store_true", help="show what others have published of drift, size and speed"
    )


def report_all(result: "ComparisonSet", gate: "Gate | None", store: "Store", chosen: argparse.Namespace) -> int:
    """Judge, and say what was found in every form that was asked for; what wasn't compared could not be judged.

    In GitHub Actions the step's summary and an annotation are written unasked.
    """
    from rich.console import Console

    from fidelity import report
    from fidelity.comparison import results
    from fidelity.comparison.history import history
    from fidelity.gate import exit_code

    verdicts = results.verdicts(result, gate) if gate else {}
    console = Console()
    with report.without_commands(console, environment=os.environ):
        report.print_table(result, console, verdicts)
        if chosen.published:
            report.print_published(result, console)
    if chosen.json:
        write(chosen.json, json.dumps(report.as_json(result, verdicts), indent=2, ensure_ascii=False) + "\n")
    if chosen.junit:
        write(chosen.junit, report.as_junit(result, verdicts))
    if chosen.markdown or chosen.html or os.environ.get("GITHUB_STEP_SUMMARY"):
        name = result.baseline.name
        past = history(store, gate, baseline=name, newest=report.PAST) if gate and verdicts else []
        for path, form in ((chosen.markdown, report.as_markdown), (chosen.html, report.as_html)):
            if path:
                write(path, form(result, verdicts, past))
        report.add_step_summary(result, verdicts, past, environment=os.environ)
    if annotation := report.annotation(result, verdicts, environment=os.environ):
        print(annotation, flush=True)
    outcomes = [verdict.outcome for verdict in verdicts.values()]
    unjudgeable = result.not_compared or report.mislabeled(result)
    return exit_code([*outcomes, "inconclusive"] if unjudgeable else outcomes)
