"""What can be harm: conflicts by kind with examples, and newly broken answers."""

from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from fidelity.comparison.stored import load_comparison
from fidelity.dashboard.cache import computed_in_background, path_of
from fidelity.dashboard.catalog import CatalogEntry, Shelf, attempt
from fidelity.dashboard.summaries import ColumnSummary
from fidelity.dashboard.widgets import come_back, markup_table, note, quiet, subheader
from fidelity.gate import break_column
from fidelity.report.conflicts import IN_WORDS, worst_conflicts
from fidelity.report.verdicts import number

BREAK, CONFLICT = "break_", "conflict_"


def draw(shelf: Shelf, entry: CatalogEntry, columns: Mapping[str, ColumnSummary]) -> None:
    """Draw both."""
    left, right = st.columns(2, gap="large")
    with left:
        subheader("Conflicts with the baseline", "conflict")
        _conflicts(columns)
    with right:
        subheader("Newly broken answers", "break")
        _breaks(columns)
    if f"{CONFLICT}any" in columns:
        _show_examples(shelf, entry)


def _conflicts(columns: Mapping[str, ColumnSummary]) -> None:
    rows = {name: row for name, row in columns.items() if name.startswith(CONFLICT) and row.value is not None}
    if not rows:
        note("The metric 'conflicts' was not scored on this comparison.")
        return
    names = {f"{CONFLICT}{kind}": word for kind, word in IN_WORDS.items()} | {f"{CONFLICT}any": "any of them"}
    ordered = sorted(rows.values(), key=lambda row: (row.name != f"{CONFLICT}any", -(row.value or 0.0)))
    markup_table(
        ("Kind", "Answers", "Share", "Floor"),
        [
            (names.get(row.name, row.name), _of(row), number(row.value, share=True), number(row.floor, share=True))
            for row in ordered
        ],
    )
    quiet("Answers that can't both be true. The floor is the share in the controls.")


def _show_examples(shelf: Shelf, entry: CatalogEntry) -> None:
    path = path_of(shelf, entry.id)
    examples = computed_in_background("conflict examples", path, lambda: attempt(lambda: _examples(path))[0] or [])
    if examples is None:
        quiet("Reading examples ...")
        come_back()
    elif examples:
        markup_table(("Prompt", "Conflict", "Baseline / candidate"), examples)


def _of(row: ColumnSummary) -> str:
    return f"{round((row.value or 0.0) * row.n)} of {row.n}"


def _examples(path: Path) -> list[tuple[str, str, str]]:
    """The worst conflicts: prompt, kind, and both values."""
    result = load_comparison(path, lows=False)
    (candidate,) = result.candidates
    rows = []
    for sentence in worst_conflicts(result, candidate, None):
        prompt, _, rest = sentence.partition(": ")
        kind, _, values = rest.partition(": ")
        if values:
            rows.append((prompt, IN_WORDS.get(kind, kind), values))
    return rows


def _breaks(columns: Mapping[str, ColumnSummary]) -> None:
    broken = [row for name, row in columns.items() if name.rpartition(".")[2].startswith(BREAK)]
    if not broken:
        note(f"The metric 'breaks' was not scored on this comparison (columns {break_column('json')}, ...).")
        return
    markup_table(
        ("Check", "Answers", "Share", "Floor"),
        [
            (
                row.name.replace(BREAK, "").replace("_", " "),
                _of(row),
                number(row.value, share=True),
                number(row.floor, share=True),
            )
            for row in sorted(broken, key=lambda row: -(row.value or 0.0))
        ],
    )
    quiet("Answers that are broken although the baseline's is not. The floor is the share in the controls.")
