"""The verdict on one comparison, and the gate that it is judged by."""

from pydantic import ValidationError

from fidelity.dashboard.cache import given_gate, verdict
from fidelity.dashboard.catalog import CatalogEntry, Shelf
from fidelity.dashboard.summaries import ColumnSummary
from fidelity.dashboard.widgets import banner, come_back, markup_table, note, quiet
from fidelity.floor import Summary
from fidelity.gate import Gate, Verdict
from fidelity.report import NOT_QUALITY, difference_in_words
from fidelity.report.pairs import column_of
from fidelity.report.verdicts import HEADINGS, line_cells, most_urgent_first
from fidelity.store.studies import StudyManifest


def gate_for(shelf: Shelf, entry: CatalogEntry) -> tuple[Gate | None, str]:
    """The gate of the study that a comparison belongs to, else the given one; or why it can't be used."""
    studies = [study for study in shelf.studies if any(cell.comparison == entry.id for cell in study.cells)]
    return gate_of(next((study for study in studies if study.gate), None))


def gate_of(study: StudyManifest | None) -> tuple[Gate | None, str]:
    if study and study.gate:
        try:
            return Gate.model_validate(study.gate), ""
        except ValidationError as error:
            return None, str(error)
    return given_gate()


def judge_and_show(shelf: Shelf, entry: CatalogEntry, gate: Gate, columns: dict[str, ColumnSummary]) -> None:
    """The verdict by this gate, or why there is none yet."""
    judged = verdict(shelf, entry.id, gate)
    if judged is None:
        note("Being judged; with many prompts that takes some seconds.")
        come_back()
    elif isinstance(judged, str):
        note(f"It can't be judged: {judged}")
    else:
        _show(judged, columns)


def _show(judged: Verdict, columns: dict[str, ColumnSummary]) -> None:
    """The whole, then a table with every line, what decides first."""
    banner(judged.outcome, judged.outcome.upper(), judged.reason)
    lines = []
    for line in most_urgent_first(judged.lines):
        row = columns.get(column_of(line))
        own = _summary(row, row.value) if row else None
        beside = _summary(row, row.floor) if row and row.floor is not None else None
        reason = line.reason if line.decides else f"Warns only. {line.reason}"
        lines.append((line.outcome, *line_cells(line, own, beside), reason))
    markup_table(("Outcome", *HEADINGS, "Why"), lines)
    for difference in judged.differences:
        note(f"{judged.candidate}: {difference_in_words(difference)}")
    quiet(f"{judged.basis.capitalize()}. {NOT_QUALITY}")


def _summary(row: ColumnSummary, value: float | None) -> Summary:
    return Summary(row.name, value, row.kind, row.better, row.n, row.n_unscored, row.excess, row.n_worst)
