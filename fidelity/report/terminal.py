"""The table in the terminal."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fidelity.comparison.history import HistoryEntry
from fidelity.comparison.results import ComparisonSet, Scores
from fidelity.floor import Summary
from fidelity.gate import Verdict
from fidelity.price.pareto import drift_and_price
from fidelity.report import trends
from fidelity.report.conflicts import conflict_headlines
from fidelity.report.content import (
    NOT_QUALITY,
    describe_run,
    floor_of,
    format_of,
    mean_chance_level,
    notes,
    pooled_columns,
    shown_in_table,
    size_of,
    summaries_of,
)
from fidelity.report.price import PriceTable, price_table, published_table
from fidelity.report.trends import trend
from fidelity.report.verdicts import NO_GATE
from fidelity.store.runs import Run

READING = (
    "Second line of a cell: excess over the floor, the mean over prompts; positive is worse.",
    "Last row: the candidates' answers against the baseline's to other prompts: as low as a metric gets here.",
)
STRANGERS = "other prompts' answers"


def print_table(result: ComparisonSet, console: Console, verdicts: Mapping[str, Verdict] = NO_GATE) -> None:
    """How many answers conflict, the table, the verdicts, and what has to be said beside them."""
    for headline in conflict_headlines(result):
        console.print(Text(headline, style="bold"))
    _print_numbers(result, console)
    price = _print_price(result, console)
    for verdict in verdicts.values():
        _print_verdict(verdict, console)
    for note in (*(READING if result.controls else READING[1:]), *price, *notes(result, verdicts), NOT_QUALITY):
        console.print(Text(note))


def _print_numbers(result: ComparisonSet, console: Console) -> None:
    """The control's row is the floor, then a row per candidate; under each value its excess."""
    floor = floor_of(result)
    rows = [(f"{_names(result.controls)}\n(the floor)", result.controls, floor)] if result.controls else []
    for candidate in result.candidates:
        extra = f"\n+{len(candidate.extra_prompts)} other prompts" if candidate.extra_prompts else ""
        rows.append((_title(candidate.run) + extra, (candidate,), summaries_of(result, candidate)))
        if own := pooled_columns(candidate.own_controls):
            rows.append((f"{_names(candidate.own_controls)}\n(its own floor)", candidate.own_controls, own))
    columns = dict.fromkeys(name for _, _, summaries in rows for name in summaries if shown_in_table(name))
    values = {name: {s[name].value if name in s else None for _, _, s in rows} for name in columns}
    names = [name for name, of_column in values.items() if len(of_column) > 1]
    counts = result.baseline.manifest.counts
    failed = f", {counts.failures} failed" if counts.failures else ""
    about = f"{describe_run(result.baseline)}, {counts.prompts} prompts{failed}"
    console.print(Text(f"Baseline {result.baseline.name}: {about}"))
    first = max(_width(title) for title in (STRANGERS, *(title for title, _, _ in rows)))
    widths = {name: max(_width(_heading(name)), 6) for name in names}
    blocks = _blocks(widths, console.width - first, taken=14) or [[]]  # "n" and "failed" come first, if nothing else
    for number, block in enumerate(blocks):
        table = Table(show_edge=False, pad_edge=False)
        table.add_column("run", no_wrap=True)
        for name in (*(("n", "failed") if number == 0 else ()), *block):
            table.add_column(_heading(name), justify="right")
        for title, scores, summaries in rows:
            sums = (str(sum(len(s.prompt_ids) for s in scores)), str(sum(len(s.failed_prompts) for s in scores)))
            table.add_section()
            table.add_row(
                Text(title if number == 0 else title.partition("\n")[0]),
                *(sums if number == 0 else ()),
                *(_cell(summaries.get(n)) for n in block),
            )
        if block:
            table.add_section()
            lows = [mean_chance_level(result, name) for name in block]
            cells = ["" if low is None else f"{low:.3f}" for low in lows]
            table.add_row(STRANGERS, *(("", "") if number == 0 else ()), *cells)
        console.print(table)
    for value in dict.fromkeys(next(iter(of_column)) for of_column in values.values() if len(of_column) == 1):
        same = ", ".join(name for name, of_column in values.items() if of_column == {value})
        console.print(Text(f"{'Nothing to score' if value is None else f'{value:.3g}'} in every run: {same}"))


def print_published(result: ComparisonSet, console: Console) -> None:
    """What others have published of the same bargain."""
    table = published_table(drift_and_price(result).column)
    _print_prices(table, "published", console)
    for note in table.notes:
        console.print(Text(note))


def _print_price(result: ComparisonSet, console: Console) -> tuple[str, ...]:
    """What each run takes beside its drift; returns what has to be said of it."""
    table = price_table(result, in_short=True)
    if table is None:
        return ()
    _print_prices(table, "price", console)
    return table.notes


def _print_prices(prices: PriceTable, title: str, console: Console) -> None:
    names = ["\n".join([row.name, *(["(dominated)"] if row.dominated_by else [])]) for row in prices.rows]
    columns = {heading.replace(" ", "\n"): cells for heading, cells in _columns(prices)}
    if prices.column:
        columns = {f"{_heading(prices.column)}\nexcess": [row.drift for row in prices.rows], **columns}
    widths = {heading: max(map(_width, (heading, *cells))) for heading, cells in columns.items()}
    first = max(map(_width, (title, *names)))
    for number, block in enumerate(_blocks(widths, console.width - first)):
        table = Table(show_edge=False, pad_edge=False)
        table.add_column(title if number == 0 else "", no_wrap=True)
        for heading in block:
            table.add_column(heading, justify="right")
        for place, name in enumerate(names):
            table.add_section()
            shown = name if number == 0 else name.partition("\n")[0]
            table.add_row(*map(Text, (shown, *(columns[heading][place] for heading in block))))
        console.print(Text(""), table)


def _columns(prices: PriceTable) -> Iterator[tuple[str, list[str]]]:
    for place, heading in enumerate(prices.headings):
        yield heading, [row.cells[place] for row in prices.rows]


def _print_verdict(verdict: Verdict, console: Console) -> None:
    """The whole, then a row for each line with its reason."""
    console.print(Text(f"\n{verdict.candidate}: {verdict.outcome.upper()}. {verdict.reason}", style="bold"))
    table = Table(show_edge=False, pad_edge=False, show_header=False, box=None, padding=(0, 2, 0, 0))
    for line in verdict.lines:
        outcome = line.outcome if line.decides else f"{line.outcome} (only warns)"
        table.add_row(Text(outcome), Text(line.title), Text(line.reason))
    console.print(table)


def print_history(entries: Sequence[HistoryEntry], console: Console) -> None:
    """A table for each baseline, oldest comparison first: the verdict, and of each line the value and its bounds."""
    for baseline in dict.fromkeys(entry.baseline for entry in entries):
        history = trend([entry for entry in entries if entry.baseline == baseline])
        table = Table(title=f"Baseline {baseline}", show_edge=False, pad_edge=False, title_justify="left")
        for place, heading in enumerate(history.headings):
            table.add_column(Text(_heading(heading)), justify="left" if place in (0, 1, 3) else "right")
        for row in history.rows:
            table.add_row(*(Text(cell.replace(" [", "\n[")) for cell in row))
        console.print(table)
    for entry in entries:
        reason = entry.verdict.reason if entry.verdict else entry.why_not
        console.print(Text(f"{entry.candidate}: {reason}"))
    console.print(Text(f"{trends.READING} {NOT_QUALITY}"))


def _names(controls: Sequence[Scores]) -> str:
    return ", ".join(control.run.name for control in controls)


def _title(run: Run) -> str:
    return "\n".join(filter(None, [run.name, *format_of(run).split(", "), size_of(run)]))


def _cell(summary: Summary | None) -> str:
    if summary is None or summary.value is None:
        return "-"
    value = f"{summary.value:.0f}" if summary.kind == "median" else f"{summary.value:.3f}"
    return value if summary.excess is None else f"{value}\n{summary.excess:+.3f}"


def _heading(name: str) -> str:
    return name.replace("_", "\n")


def _width(text: str) -> int:
    return max(len(line) for line in text.split("\n"))


def _blocks(widths: Mapping[str, int], width: int, *, taken: int = 0) -> list[list[str]]:
    """The columns in as many tables as the width asks for; of the first table's some is `taken`."""
    blocks: list[list[str]] = []
    room = 0
    for name, wide in widths.items():
        if room < wide + 3:
            room = width - (0 if blocks else taken)
            blocks.append([])
        blocks[-1].append(name)
        room -= wide + 3
    return blocks
