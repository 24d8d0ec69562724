"""Published results beside one's own: a matrix of sizes and formats."""

import streamlit as st

from fidelity.dashboard.study_matrix import size_of
from fidelity.dashboard.widgets import markup_table, note, quiet
from fidelity.report.price import published_table
from fidelity.report.published import Published, published


def draw(metric: str) -> None:
    """The published values of this metric by size and format, or which metrics have some; then published prices."""
    st.subheader(f"Published values of {metric}", anchor=False)
    _values(metric)
    prices = published_table(None)
    markup_table(("Published prices", *prices.headings), [(row.name, *row.cells) for row in prices.rows])
    for sentence in prices.notes:
        quiet(sentence)


def _values(metric: str) -> None:
    points = [point for point in published() if metric in point.scores]
    if not points:
        known = ", ".join(dict.fromkeys(name for point in published() for name in point.scores))
        note(f"Nobody has published {metric}. Published are {known}.")
        return
    formats = list(dict.fromkeys(point.format for point in points))
    models: dict[tuple[str, float], dict[str, Published]] = {}
    for point in points:
        name = point.name.removesuffix(point.format).strip()
        models.setdefault((name, point.parameters), {})[point.format] = point
    rows = [
        (name, size_of(int(parameters)), *(_value(own.get(form), metric) for form in formats))
        for (name, parameters), own in sorted(models.items(), key=lambda model: model[0][1])
    ]
    markup_table(("Model", "Size", *formats), rows)
    sources = ", ".join(dict.fromkeys(point.source for point in points))
    quiet(
        f"{sources}. Similarity with the unquantized model's answers, 1 is identical. No floor was subtracted, so "
        "these are not comparable with an excess."
    )


def _value(point: Published | None, metric: str) -> str:
    return f"{point.scores[metric]:.2f}" if point else "–"
