"""A comparison in the terminal: the answer, the verdicts, and on request every column."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from fidelity.comparison.history import HistoryEntry
from fidelity.comparison.results import ComparisonSet, Scores
from fidelity.floor import Summary
from fidelity.gate import Verdict
from fidelity.price.pareto import drift_and_price
from fidelity.report import trends
from fidelity.report.answer import HEADINGS, AnswerTable, answer
from fidelity.report.column_groups import by_group
from fidelity.report.conflicts import worst_conflicts
from fidelity.report.content import (
    NOT_QUALITY,
    floor_of,
    mean_chance_level,
    notes,
    pooled_columns,
    shown_in_table,
    summaries_of,
    warnings,
)
from fidelity.report.expected import expected_details, expected_headlines
from fidelity.report.price import PriceTable, price_table, published_table
from fidelity.report.trends import trend
from fidelity.report.verdicts import NO_GATE, URGENCY
from fidelity.report.votes import vote_lines

NAME_SEPARATORS = " -_./"
MIN_NAME = 12
"""Characters of a run's name that a row of the answer has at least."""
ANSWER_LINES = 12
"""How long the answer may be: what a terminal shows without scrolling."""
COLORS = {"PASS": "green", "FAIL": "bold red", "INCONCLUSIVE": "yellow"}
READING = (
    "A cell: the value, and its mean excess over the floor; positive is worse.",
    "Chance level: the candidates' answers against the baseline's answers to other prompts.",
)
FLOOR, OWN_FLOOR, CHANCE_LEVEL = "(the floor)", "(its own floor)", "chance level"
MORE = (
    "--full shows every column, --html FILE every pair; fidelity show prints the worst pairs, fidelity dashboard opens "
    "all of it."
)


def print_comparison(
    result: ComparisonSet, console: Console, verdicts: Mapping[str, Verdict] = NO_GATE, *, full: bool = False
) -> None:
    """The answer first, then why a gate did not pass it, then what limits it; `full` adds all columns and the price."""
    _print_answer(answer(result, verdicts), console)
    expected = (*expected_headlines(result), *(expected_details(result) if full else ()))
    for line in (*expected, *vote_lines(result, details=full)):
        console.print(Text(line))
    for candidate in result.candidates:
        if lines := list(worst_conflicts(result, candidate, verdicts.get(candidate.run.name))):
            console.print(Text(f"\nConflicts of {candidate.run.name}, the worst first:"))
            for line in lines:
                console.print(Text(f"  {line}"))
    for verdict in sorted(verdicts.values(), key=lambda verdict: URGENCY.index(verdict.outcome)):
        _print_verdict(verdict, console, full=full)
    price: tuple[str, ...] = ()
    if full:
        _print_columns(result, console)
        price = _print_price(result, console)
    console.print()
    reading = (READING if result.controls else READING[1:]) if full else ()
    about = notes(result, verdicts) if full else warnings(result, verdicts)
    for note in (*reading, *price, *about, NOT_QUALITY, *(() if full else (MORE,))):
        console.print(Text(note))


def _print_answer(given: AnswerTable, console: Console) -> None:
    """The baseline, a row for each run, and before them as many sentences as there is room for; the others follow."""
    baseline, names = Text(given.baseline), [row.name for row in given.rows]
    width = max(console.width - console.measure(_answer_table(given, [""] * len(names))).maximum, MIN_NAME)
    table = _answer_table(given, [_broken(name, width) for name in names])
    if _height(table, console) + _height(baseline, console) > ANSWER_LINES:
        table = _answer_table(given, _shortened(names, width))
    room = ANSWER_LINES - _height(table, console) - _height(baseline, console) - len(given.notes)
    console.print(baseline)
    left = []
    for forms in given.sentences:
        texts = [Text(text, style="bold") for text in forms if text]
        fitting = next((text for text in texts if _height(text, console) <= room), None)
        if fitting is None:
            left.append(texts[0])
        else:
            console.print(fitting)
            room -= _height(fitting, console)
    console.print(table)
    for note in given.notes:
        console.print(Text(note))
    if left:
        console.print()
    for sentence in left:
        console.print(sentence)


def _answer_table(given: AnswerTable, names: Sequence[str]) -> Table:
    shown = [place for place in range(len(HEADINGS)) if any(row.cells[place] for row in given.rows)]
    table = Table(box=None, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", overflow="fold")
    for place in shown:
        table.add_column(HEADINGS[place].replace(" ", "\n"), justify="right")
    if judged := any(row.verdict for row in given.rows):
        table.add_column("verdict")
    for name, row in zip(names, given.rows, strict=True):
        verdict = [Text(row.verdict, style=COLORS.get(row.verdict, ""))] if judged else []
        style = "dim" if row.is_control else ""
        table.add_row(Text(name, style=style), *(Text(row.cells[place], style=style) for place in shown), *verdict)
    return table


def _broken(name: str, width: int) -> str:
    """A name in lines that fit, which end after a space or a separator if possible."""
    if len(name) <= width:
        return name
    end = max((at for at in range(1, width + 1) if name[at - 1] in NAME_SEPARATORS), default=width)
    return f"{name[:end].rstrip()}\n{_broken(name[end:], width)}"


def _shortened(names: Sequence[str], width: int) -> Sequence[str]:
    """Names that fit on a line, by their start and as much of their end as tells them apart, if that is possible."""
    for end in range(width // 2, width):
        short = [name if len(name) <= width else f"{name[: width - end - 1]}…{name[-end:]}" for name in names]
        if len(set(short)) == len(set(names)):
            return short
    return names


def _height(shown: RenderableType, console: Console) -> int:
    return len(console.render_lines(shown, pad=False))


def _print_columns(result: ComparisonSet, console: Console) -> None:
    """A table for each group of columns: the controls' row is the floor, then a row for each candidate."""
    floor = floor_of(result)
    rows = [(f"{_named(result.controls)} {FLOOR}", floor)] if result.controls else []
    for candidate in result.candidates:
        rows.append((candidate.run.name, summaries_of(result, candidate)))
        if own := pooled_columns(candidate.own_controls):
            rows.append((f"{_named(candidate.own_controls)} {OWN_FLOOR}", own))
    columns = dict.fromkeys(name for _, summaries in rows for name in summaries if shown_in_table(name))
    values = {name: {s[name].value if name in s else None for _, s in rows} for name in columns}
    for group, names in by_group(result, [name for name, of_column in values.items() if len(of_column) > 1]).items():
        chance = {name: mean_chance_level(result, name) for name in names}
        cells = {name: [_cell(summaries.get(name)) for _, summaries in rows] for name in names}
        for name in names:
            level = chance[name]
            cells[name].append("" if level is None else f"{level:.3f}")
        titles = [*(title for title, _ in rows), CHANCE_LEVEL]
        console.print()
        _print_block(group, titles, cells, console)
    for value in dict.fromkeys(next(iter(of_column)) for of_column in values.values() if len(of_column) == 1):
        same = ", ".join(name for name, of_column in values.items() if of_column == {value})
        console.print(Text(f"{'Nothing to score' if value is None else f'{value:.3g}'} in every run: {same}"))


def _print_block(title: str, names: Sequence[str], cells: Mapping[str, Sequence[str]], console: Console) -> None:
    """One table, cut into as many below each other as the width takes."""
    widths = {heading: max(map(_width, (_heading(heading), *column))) for heading, column in cells.items()}
    first = max(map(_width, (title, *names)))
    for block in _blocks(widths, console.width - first):
        table = Table(box=None, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(Text(title, style="bold"), no_wrap=True)
        for heading in block:
            table.add_column(Text(_heading(heading)), justify="right")
        for place, name in enumerate(names):
            shown = [cells[heading][place] for heading in block]
            if any(shown):
                table.add_row(*map(Text, (name, *shown)))
        console.print(table)


def print_published(result: ComparisonSet, console: Console) -> None:
    """Print published results on drift and price."""
    table = published_table(drift_and_price(result).column)
    _print_prices(table, "published", console)
    for note in table.notes:
        console.print(Text(note))


def _print_price(result: ComparisonSet, console: Console) -> tuple[str, ...]:
    """Print each run's price and drift, and return the notes on them."""
    table = price_table(result, in_short=True)
    if table is None:
        return ()
    _print_prices(table, "price", console)
    return table.notes


def _print_prices(prices: PriceTable, title: str, console: Console) -> None:
    names = [f"{row.name}{' (dominated)' if row.dominated_by else ''}" for row in prices.rows]
    columns = {heading: [cell.replace("\n", " ") for cell in cells] for heading, cells in _columns(prices)}
    if prices.column:
        columns = {f"{prices.column} excess": [row.drift for row in prices.rows], **columns}
    console.print()
    _print_block(title, names, columns, console)


def _columns(prices: PriceTable) -> Iterator[tuple[str, list[str]]]:
    for place, heading in enumerate(prices.headings):
        yield heading, [row.cells[place] for row in prices.rows]


def _print_verdict(verdict: Verdict, console: Console, *, full: bool) -> None:
    """The whole, then a row with its reason for each line that did not pass; `full` shows those that did, too."""
    console.print()
    console.print(Text(f"{verdict.candidate}: {verdict.outcome.upper()}. {verdict.reason}", style="bold"))
    table = Table(show_edge=False, pad_edge=False, show_header=False, box=None, padding=(0, 2, 0, 0))
    for line in verdict.lines:
        if full or line.outcome != "pass":
            outcome = line.outcome if line.decides else f"{line.outcome} (only warns)"
            table.add_row(Text(outcome), Text(line.title), Text(line.reason))
    if table.row_count:
        console.print(table)


def print_history(entries: Sequence[HistoryEntry], console: Console) -> None:
    """Print a table for each baseline, oldest comparison first: the verdict, and each line's value and bounds."""
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


def _named(controls: Sequence[Scores]) -> str:
    """One control's name; several are counted, since their names would take the room of the columns."""
    return controls[0].run.name if len(controls) == 1 else f"{len(controls)} controls"


def _cell(summary: Summary | None) -> str:
    if summary is None or summary.value is None:
        return "-"
    value = f"{summary.value:.0f}" if summary.kind == "median" else f"{summary.value:.3f}"
    return value if summary.excess is None else f"{value} {summary.excess:+.3f}"


def _heading(name: str) -> str:
    return name.replace("_", "\n").replace(" ", "\n")


def _width(text: str) -> int:
    return max(len(line) for line in text.split("\n"))


def _blocks(widths: Mapping[str, int], width: int) -> list[list[str]]:
    """The columns in as many tables as the width takes."""
    blocks: list[list[str]] = []
    room = 0
    for name, wide in widths.items():
        if room < wide + 2:
            room = width - 2
            blocks.append([])
        blocks[-1].append(name)
        room -= wide + 2
    return blocks
