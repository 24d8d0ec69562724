"""Pareto charts for the HTML report: drift against each measure, one mark per run, hollow if it is dominated."""

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape

from fidelity.comparison.results import ComparisonSet
from fidelity.outside.strings import visible
from fidelity.price.measures import measure_of
from fidelity.price.pareto import AXES, Point, drift_and_price
from fidelity.report.verdicts import number

WIDTH, HEIGHT, EDGE = 420, 240, 44
"""The size of a figure and of its margins, in pixels."""
MARK = 12
"""The width of a mark."""


def pareto_charts(result: ComparisonSet) -> Iterator[str]:
    """A figure for each measure that a candidate has; none without drift. Lower and toward the better side is best."""
    analysis = drift_and_price(result)
    for name in AXES:
        points = [point for point in analysis.points if point.is_baseline or name in point.ratios]
        if len(points) > 1 and all(point.drift is not None for point in points):
            yield _pareto_chart(str(analysis.column), name, points)


def _pareto_chart(column: str, name: str, points: Sequence[Point]) -> str:
    """Ratios on a logarithmic axis, so half and twice as much are equally far from the baseline."""
    across = [math.log2(point.ratios[name].value) if name in point.ratios else 0.0 for point in points]
    up = [point.drift or 0.0 for point in points]
    x, y = _scale(across, EDGE + MARK, WIDTH - EDGE), _scale(up, HEIGHT - EDGE, EDGE / 2)
    marks = [
        _mark(point, place, x(a), y(u))
        for place, (point, a, u) in enumerate(zip(points, across, up, strict=True), start=1)
    ]
    ends = "".join(
        f'<text x="{x(a):.0f}" y="{HEIGHT - 18}" class="tick">× {2**a:.2f}</text>'
        for a in sorted({min(across), max(across)})
    )
    ends += "".join(f'<text x="4" y="{y(u) + 4:.0f}">{number(u, sign=True)}</text>' for u in sorted({min(up), max(up)}))
    measure = measure_of(name)
    title = f"{column} excess against {measure.title} ({measure.better} is better)"
    who = "".join(
        f"<li><bdi>{_text(point.run.name)}</bdi>{' (dominated)' if point.dominated_by else ''}</li>" for point in points
    )
    return (
        f"<figure><figcaption>{_text(title)}</figcaption>"
        f'<svg class="plane" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{_text(title)}">'
        f'<path d="M{EDGE} {EDGE / 2}V{HEIGHT - EDGE}H{WIDTH - EDGE}"/>{ends}{"".join(marks)}</svg>'
        f"<ol>{who}</ol></figure>"
    )


def _mark(point: Point, place: int, x: float, y: float) -> str:
    kind = "baseline" if point.is_baseline else "dominated" if point.dominated_by else "open"
    circle = f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{MARK / 2:g}"/>'
    return f'{circle}<text x="{x + 9:.1f}" y="{y - 7:.1f}">{place}</text>'


def _scale(values: Sequence[float], first: float, last: float) -> Callable[[float], float]:
    """Map the range of the values to a range of pixels."""
    low = min(values)
    step = (last - first) / ((max(values) - low) or 1.0)
    return lambda value: first + (value - low) * step


def _text(text: str) -> str:
    return escape(visible(text))
