"""The gate's numbers over past comparisons, as all formats show them."""

from collections.abc import Sequence
from dataclasses import dataclass

from fidelity.comparison.history import HistoryEntry, line_titles
from fidelity.gate import Line

PAST = 10
"""The number of past comparisons in a report; `fidelity history` has all."""
READING = (
    "In brackets: one-sided bounds, each at the gate's confidence. All comparisons are judged with the current gate."
)


@dataclass(frozen=True, slots=True)
class Trend:
    """A table of comparisons, oldest first."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def trend(entries: Sequence[HistoryEntry]) -> Trend:
    """The verdict of each comparison, and the value and bounds of each line of the gate."""
    titles = line_titles(entries)
    return Trend(("Compared", "Candidate", "n", "Verdict", *titles), tuple(_row(entry, titles) for entry in entries))


def _row(entry: HistoryEntry, titles: Sequence[str]) -> tuple[str, ...]:
    lines = {line.title: line for line in entry.verdict.lines} if entry.verdict else {}
    verdict = entry.verdict.outcome if entry.verdict else "not judged"
    compared = entry.created[:16].replace("T", " ")
    return (compared, entry.candidate, str(entry.prompts), verdict, *(_cell(lines.get(title)) for title in titles))


def _cell(line: Line | None) -> str:
    if line is None or line.value is None or line.lower is None or line.upper is None:
        return "-"
    form = "+.3f" if line.kind in ("margin", "tail") else ".1%"
    return f"{line.value:{form}} [{line.lower:{form}}, {line.upper:{form}}]"
