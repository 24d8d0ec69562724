"""The verdict on one comparison, and its gate."""

from collections.abc import Mapping
from dataclasses import replace

from pydantic import ValidationError

from fidelity.dashboard.cache import given_gate, verdict
from fidelity.dashboard.catalog import CatalogEntry, Shelf
from fidelity.dashboard.summaries import ColumnSummary
from fidelity.dashboard.widgets import banner, come_back, markup_table, note, quiet, symbol_of
from fidelity.gate import Gate, Line, Verdict
from fidelity.report import NOT_QUALITY, difference_in_words
from fidelity.report.pairs import column_of
from fidelity.report.verdicts import HEADINGS, line_cells, most_urgent_first
from fidelity.store.studies import StudyManifest


def gate_for(shelf: Shelf, entry: CatalogEntry) -> tuple[Gate | None, str]:
    """The gate of a comparison's study, else the given one, or why it can't be used."""
    studies = [study for study in shelf.studies if any(cell.comparison == entry.id for cell in study.cells)]
    return gate_of(next((study for study in studies if study.gate), None))


def gate_of(study: StudyManifest | None) -> tuple[Gate | None, str]:
    if study and study.gate:
        try:
            return Gate.model_validate(study.gate), ""
        except ValidationError as error:
            return None, str(error)
    return given_gate()


def judge_and_show(
    shelf: Shelf, entry: CatalogEntry, gate: Gate, columns: Mapping[str, ColumnSummary]
) -> Verdict | None:
    """The verdict by this gate, or why there is none yet. A provisional gate shows what it measures, and no verdict."""
    judged = verdict(shelf, entry.id, gate)
    if judged is None:
        note("Judging. This takes several seconds with many prompts.")
        come_back()
        return None
    if isinstance(judged, str):
        note(f"This comparison can't be judged: {judged}")
        return None
    if not gate.provisional:
        banner(judged.outcome, judged.outcome.upper(), judged.reason)
    _show(judged, columns, outcomes=not gate.provisional)
    return judged


def _show(judged: Verdict, columns: Mapping[str, ColumnSummary], *, outcomes: bool) -> None:
    """Draw a table of all lines, deciding ones first."""
    lines = []
    for line in most_urgent_first(judged.lines):
        if not (outcomes or line.n):
            continue  # a condition of the verdict
        row = columns.get(column_of(line))
        beside = replace(row, value=row.floor) if row and row.floor is not None else None
        cells = tuple(cell.replace(" ", "\N{NO-BREAK SPACE}") for cell in line_cells(line, row, beside)[1:])
        measured = (line.title, *cells, noise_of(line), needed_by(line))
        reason = line.reason if line.decides else f"Warns only. {line.reason}"
        outcome = f"{symbol_of(line.outcome)}\N{NO-BREAK SPACE}{line.outcome}"
        lines.append((outcome, *measured, reason) if outcomes else measured)
    headings = (*HEADINGS, "Noise", "Prompts needed")
    markup_table(("Outcome", *headings, "Why") if outcomes else headings, lines)
    for difference in judged.differences:
        note(f"{judged.candidate}: {difference_in_words(difference)}")
    quiet(f"{judged.basis.capitalize()}. {NOT_QUALITY}")


def noise_of(line: Line) -> str:
    """Both shares of a line's noise: of prompts, and of the runs' batches."""
    if line.from_prompts is None:
        return ""
    batches = "" if line.from_runs is None else f", ± {line.from_runs:.3f} batches"
    return f"± {line.from_prompts:.3f} prompts{batches}"


def needed_by(line: Line) -> str:
    """How many prompts would decide a line; empty if it is decided."""
    if line.outcome != "inconclusive":
        return ""
    return f"about {float(f'{line.prompts_needed:.2g}'):,.0f}" if line.prompts_needed else "no number is enough"
