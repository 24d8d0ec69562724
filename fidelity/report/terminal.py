"""The table in the terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fidelity.floor import Summary
from fidelity.pipeline import ComparisonSet
from fidelity.report.content import (
    NOT_QUALITY,
    describe_run,
    floor_of,
    lowest,
    notes,
    shown_in_table,
    summaries_of,
)
from fidelity.store import Run

READING = (
    "Second line of a cell: excess over the floor, the mean over prompts; positive is worse.",
    "Last row: the candidates' answers against the baseline's to other prompts: as low as a metric gets here.",
)
STRANGERS = "other prompts' answers"


def print_table(result: ComparisonSet, console: Console) -> None:
    """The table: the control's row is the floor, then a row per candidate; under each value its excess."""
    floor = floor_of(result)
    rows = [(f"{', '.join(c.run.name for c in result.controls)}\n(the floor)", result.controls, floor)] if floor else []
    rows += [(_title(c.run), (c,), summaries_of(result, c)) for c in result.candidates]
    names = list(dict.fromkeys(name for _, _, summaries in rows for name in summaries if shown_in_table(name)))
    counts = result.baseline.manifest["counts"]
    console.print(
        Text(f"Baseline {result.baseline.name}: {describe_run(result.baseline)}, {counts['prompts']} prompts")
    )
    first = max(_width(title) for title in (STRANGERS, *(title for title, _, _ in rows)))
    for number, block in enumerate(_blocks(names, console.width, first=first)):
        table = Table(show_edge=False, pad_edge=False)
        table.add_column("run", no_wrap=True)
        for name in (*(("n", "failed") if number == 0 else ()), *block):
            table.add_column(_heading(name), justify="right")
        for title, scores, summaries in rows:
            counts = (str(sum(len(s.prompt_ids) for s in scores)), str(sum(s.pairing.failed for s in scores)))
            table.add_section()
            table.add_row(Text(title), *(counts if number == 0 else ()), *(_cell(summaries.get(n)) for n in block))
        table.add_section()
        lows = [lowest(result, name) for name in block]
        cells = ["" if low is None else f"{low:.3f}" for low in lows]
        table.add_row(STRANGERS, *(("", "") if number == 0 else ()), *cells)
        console.print(table)
    for note in (*(READING if result.controls else READING[1:]), *notes(result), NOT_QUALITY):
        console.print(Text(note))


def _title(run: Run) -> str:
    return f"{run.name}\n{describe_run(run)}"


def _cell(summary: Summary | None) -> str:
    if summary is None or summary.value is None:
        return "-"
    value = f"{summary.value:.0f}" if summary.kind == "median" else f"{summary.value:.3f}"
    return value if summary.excess is None else f"{value}\n{summary.excess:+.3f}"


def _heading(name: str) -> str:
    return name.replace("_", "\n")


def _width(text: str) -> int:
    return max(len(line) for line in text.split("\n"))


def _blocks(names: list[str], width: int, *, first: int) -> list[list[str]]:
    """The metric columns in as many tables as the terminal's width asks for."""
    blocks: list[list[str]] = []
    room = 0
    for name in names:
        wide = max(_width(_heading(name)), 6) + 3
        if room < wide:
            room = width - first - (0 if blocks else 14)  # the first table also has n and failed
            blocks.append([])
        blocks[-1].append(name)
        room -= wide
    return blocks
