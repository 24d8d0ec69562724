"""Output for GitHub Actions: the step summary and one annotation."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from fidelity.comparison.history import HistoryEntry
from fidelity.comparison.results import ComparisonSet
from fidelity.errors import StoreError
from fidelity.gate import Outcome, Verdict
from fidelity.outside.strings import one_line
from fidelity.report.markdown import as_markdown
from fidelity.report.verdicts import NO_GATE, whole

COMMANDS: Mapping[Outcome | None, str] = {"fail": "error", "inconclusive": "warning", "pass": "notice", None: "notice"}


@contextmanager
def without_commands(console: Console, *, environment: Mapping[str, str]) -> Iterator[None]:
    """Disable GitHub's workflow commands (lines that begin with `::`) while outputs of models are printed."""
    if environment.get("GITHUB_ACTIONS") != "true":
        yield
        return
    token = secrets.token_hex(16)
    _write(console, f"::stop-commands::{token}\n")
    yield
    _write(console, f"::{token}::\n")


def _write(console: Console, command: str) -> None:
    """Write a command that is meant; what the console prints is inert."""
    console.file.write(command)
    console.file.flush()


def annotation(
    result: ComparisonSet, verdicts: Mapping[str, Verdict] = NO_GATE, *, environment: Mapping[str, str]
) -> str | None:
    """The workflow command that annotates the run, to print on its own line; None outside GitHub Actions."""
    if environment.get("GITHUB_ACTIONS") != "true":
        return None
    judged = whole(result, verdicts)
    title = f"fidelity: {judged.outcome}" if judged.outcome else "fidelity"
    return f"::{COMMANDS[judged.outcome]} title={_property(title)}::{_data(one_line(judged.sentence))}"


def add_step_summary(
    result: ComparisonSet,
    verdicts: Mapping[str, Verdict] = NO_GATE,
    past: Sequence[HistoryEntry] = (),
    *,
    environment: Mapping[str, str],
) -> None:
    """Append the Markdown report to the step summary. Does nothing outside GitHub Actions.

    Raises:
        StoreError: GitHub's summary file can't be written.
    """
    if not (file := environment.get("GITHUB_STEP_SUMMARY")):
        return
    try:
        with Path(file).open("a", encoding="utf-8") as summary:
            summary.write(as_markdown(result, verdicts, past))
    except OSError as error:
        raise StoreError(f"{file}: the step summary can't be written ({error.strerror})") from error


def _data(text: str) -> str:
    """Escape a command's message as @actions/core does."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
