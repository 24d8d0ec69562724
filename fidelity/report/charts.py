"""Charts for the HTML report: rows of bars as inline SVG, without colors, scripts or styles of their own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

from fidelity.comparison.results import ComparisonSet, Scores
from fidelity.floor import Summary
from fidelity.outside.strings import visible
from fidelity.records import Column
from fidelity.report.content import floor_of, shown_in_table, summaries_of
from fidelity.report.verdicts import number

BINS = 24
LEAST = 0.05
"""The minimum height of a bar that isn't 0, relative to the highest bar."""
FLOOR = " (floor)"
FigureRow = tuple[str, str, str]
"""A run's name, its bars, and the number next to them."""


@dataclass(frozen=True, slots=True)
class ChartedRun:
    """A control or a candidate in the charts."""

    name: str
    scores: Scores
    averages: Mapping[str, float | None]


def distributions(result: ComparisonSet) -> list[str]:
    """A figure for each column with more than two values: a histogram over the pairs for each run."""
    sides = _sides(result)
    figures = []
    for name in _names(sides, shown_in_table):
        members = [(side, side.scores.columns[name].column) for side in sides if name in side.scores.columns]
        known = [value for _, column in members for value in column.values if value is not None]
        if len(set(known)) < 3:
            continue
        first = members[0][1]
        low, high, left, right = _range(first, known)
        digits = 0 if first.summary == "median" else 3
        rows = [
            (side.name, _histogram(column, low, high), number(side.averages.get(name), digits=digits))
            for side, column in members
        ]
        figures.append(_figure(name, rows, left, right))
    return figures


def profiles(result: ComparisonSet) -> list[str]:
    """A figure for each metric that was scored along the output: one bar per tenth, from the beginning."""
    sides = _sides(result)
    figures = []
    for metric, members in groupby(_names(sides, lambda n: n.endswith("]")), key=lambda name: name.partition("[")[0]):
        stretches = list(members)
        rows = [
            (side.name, _bars([side.averages.get(name) or 0.0 for name in stretches], highest=1.0), "")
            for side in sides
        ]
        figures.append(_figure(f"{metric} along the output", rows, "beginning", "end"))
    return figures


def _sides(result: ComparisonSet) -> list[ChartedRun]:
    floor = _averages(floor_of(result))
    controls = [ChartedRun(f"{control.run.name}{FLOOR}", control, floor) for control in result.controls]
    return [*controls, *(ChartedRun(c.run.name, c, _averages(summaries_of(result, c))) for c in result.candidates)]


def _averages(summaries: Mapping[str, Summary]) -> dict[str, float | None]:
    return {name: summary.value for name, summary in summaries.items()}


def _names(sides: Sequence[ChartedRun], chosen: Callable[[str], bool]) -> list[str]:
    return [name for name in dict.fromkeys(n for side in sides for n in side.scores.columns) if chosen(name)]


def _range(column: Column, known: Sequence[float]) -> tuple[float, float, str, str]:
    """The ends of the axis and their labels. A column without a known range is shown without its outermost percents."""
    if column.bounds:
        return (*column.bounds, f"{column.bounds[0]:g}", f"{column.bounds[1]:g}")
    ordered, out = sorted(known), len(known) // 100
    low, high = ordered[out], ordered[-1 - out]
    left, right = ("≤ " if ordered[0] < low else ""), ("≥ " if ordered[-1] > high else "")
    return low, high, f"{left}{low:.3g}", f"{right}{high:.3g}"


def _histogram(column: Column, low: float, high: float) -> str:
    counts = [0] * BINS
    width = (high - low) or 1.0
    for value in column.values:
        if value is not None:
            counts[max(0, min(BINS - 1, int(BINS * (value - low) / width)))] += 1
    return _bars(counts, highest=max(counts) or 1)


def _bars(values: Sequence[float], *, highest: float) -> str:
    """Bars in a box of 100 x 100 that is stretched to its place. Nonzero values are always visible."""
    step = 100 / len(values)
    bars = []
    for place, value in enumerate(values):
        if value > 0:
            height = 100 * max(LEAST, min(1.0, value / highest))
            bars.append(
                f'<rect x="{place * step:.2f}" y="{100 - height:.1f}" width="{0.86 * step:.2f}" height="{height:.1f}"/>'
            )
    return f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">{"".join(bars)}</svg>'


def _figure(title: str, rows: Sequence[FigureRow], left: str, right: str) -> str:
    lines = "".join(
        f'<div class="bars{" floor" if who.endswith(FLOOR) else ""}"><bdi title="{_text(who)}">{_text(who)}</bdi>'
        f"{bars}<span>{_text(value)}</span></div>"
        for who, bars, value in rows
    )
    axis = f'<div class="axis"><span>{_text(left)}</span><span>{_text(right)}</span></div>'
    return f"<figure><figcaption>{_text(title)}</figcaption>{lines}{axis}</figure>"


def _text(text: str) -> str:
    return escape(visible(text))
