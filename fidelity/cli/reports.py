"""Writing the reports of a comparison, and its exit code."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from fidelity.cli.options import STANDARD_OUTPUT, check_writable, write
from fidelity.cli.terminal import WIDE, echo, open_console
from fidelity.errors import ConfigError, FidelityError

if TYPE_CHECKING:
    from fidelity.comparison.history import HistoryEntry
    from fidelity.comparison.results import ComparisonSet
    from fidelity.gate import Gate, Verdict
    from fidelity.store.store import Store


REPORTS = {
    "json": "the numbers, unrounded, as JSON",
    "markdown": "a report that fits in a pull-request comment",
    "junit": "the gate's checks as test cases, for CI systems",
    "html": "a report with every pair, as one file that needs no network",
}
FILES = {"json": "report.json", "markdown": "report.md", "junit": "report.xml", "html": "report.html"}
"""The names of the reports in the directory of `--output`."""


def add_reports(command: argparse.ArgumentParser) -> None:
    """`--json`, `--markdown`, `--junit`, `--html`, `--output`, `--format`, and what the text shows."""
    for option, what in REPORTS.items():
        command.add_argument(f"--{option}", type=Path, metavar="FILE", help=f"write {what}")
    command.add_argument(
        "--output", type=Path, metavar="DIR", help=f"write all reports to a directory: {', '.join(FILES.values())}"
    )
    command.add_argument(
        "--format",
        choices=("text", *REPORTS),
        default="text",
        help="what to print (default: text); a report's FILE can also be -, which prints it in place of the text",
    )
    command.add_argument("--full", action="store_true", help="print all columns, in groups, and the price of each run")
    command.add_argument("--wide", action="store_true", help="print tables as wide as they are, whatever the terminal")
    command.add_argument(
        "--published", action="store_true", help="also print published results on drift, size and speed"
    )


def check_reports(chosen: argparse.Namespace, *, inputs: Sequence[Path]) -> None:
    """Check that every report can be written, and create its folders, before hours of work begin.

    Raises:
        ConfigError: A report can't be written, two are the same file, or one would overwrite an input.
    """
    taken = {path.resolve(): f"the command reads {path}" for path in inputs}
    _choose_files(chosen)
    for option in REPORTS:
        if path := getattr(chosen, option):
            if path == STANDARD_OUTPUT:
                continue
            if why := taken.get(path.resolve()):
                raise ConfigError(f"--{option} {path}: would overwrite a file, since {why}; choose another path")
            taken[path.resolve()] = f"--{option} is written to it"
            check_writable(path, f"--{option}")


def _choose_files(chosen: argparse.Namespace) -> None:
    """Give `--output` and `--format` their meaning as options of single reports.

    Raises:
        ConfigError: Two reports would be printed, or `--output` is a file.
    """
    if chosen.output is not None:
        if chosen.output.exists() and not chosen.output.is_dir():
            raise ConfigError(f"--output {chosen.output}: is a file; name a directory")
        for option, name in FILES.items():
            setattr(chosen, option, getattr(chosen, option) or chosen.output / name)
    printed = [option for option in REPORTS if getattr(chosen, option) == STANDARD_OUTPUT]
    if chosen.format != "text" and chosen.format not in printed:
        printed.append(chosen.format)
    if len(printed) > 1:
        raise ConfigError(f"only one report can be printed, not {' and '.join(printed)}; write the others to files")
    chosen.format = printed[0] if printed else "text"


def report_all(result: "ComparisonSet", gate: "Gate | None", store: "Store", chosen: argparse.Namespace) -> int:
    """Judge, print the tables, and write every requested report. A candidate that was not compared is inconclusive.

    In GitHub Actions the step summary and an annotation are always written. A report that can't be written is an
    error, and changes no verdict.
    """
    from fidelity import report
    from fidelity.comparison import evidence
    from fidelity.gate import exit_code

    verdicts = evidence.verdicts(result, gate) if gate else {}
    console = open_console(**({"width": WIDE} if chosen.wide else {}), quiet=chosen.format != "text")
    with report.without_commands(console, environment=os.environ):
        report.print_comparison(result, console, verdicts, full=chosen.full)
        if chosen.published:
            report.print_published(result, console)
    errors = _write_all(result, verdicts, gate, store, chosen)
    for error in errors:
        echo(f"fidelity: {error}", to=sys.stderr)
    annotation = report.annotation(result, verdicts, environment=os.environ)
    if annotation and chosen.format == "text":
        print(annotation, flush=True)  # a command that is meant
    outcomes = [verdict.outcome for verdict in verdicts.values()]
    unjudgeable = result.not_compared or report.mislabeled(result) or (errors and not gate)
    return exit_code([*outcomes, "inconclusive"] if unjudgeable else outcomes)


def _write_all(
    result: "ComparisonSet",
    verdicts: "Mapping[str, Verdict]",
    gate: "Gate | None",
    store: "Store",
    chosen: argparse.Namespace,
) -> list[FidelityError]:
    """Write every requested report, and return the errors of those that failed."""
    from fidelity import report
    from fidelity.comparison.history import history

    @cache
    def past() -> "Sequence[HistoryEntry]":
        return history(store, gate, baseline=result.baseline.name, newest=report.PAST) if gate and verdicts else []

    def as_text() -> str:
        return json.dumps(report.as_json(result, verdicts), indent=2, ensure_ascii=False) + "\n"

    texts: dict[str, Callable[[], str]] = {
        "json": as_text,
        "junit": lambda: report.as_junit(result, verdicts),
        "markdown": lambda: report.as_markdown(result, verdicts, past()),
        "html": lambda: report.as_html(result, verdicts, past()),
    }
    writers: list[Callable[[], None]] = [partial(_write_as, getattr(chosen, name), texts[name]) for name in texts]
    if chosen.format != "text" and getattr(chosen, chosen.format) != STANDARD_OUTPUT:
        writers.append(partial(_write_as, STANDARD_OUTPUT, texts[chosen.format]))
    if os.environ.get("GITHUB_STEP_SUMMARY"):
        writers.append(lambda: report.add_step_summary(result, verdicts, past(), environment=os.environ))
    errors = []
    for writer in writers:
        try:
            writer()
        except FidelityError as error:
            errors.append(error)
    return errors


def _write_as(path: Path | None, text: Callable[[], str]) -> None:
    if path:
        write(path, text())
