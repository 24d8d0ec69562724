"""Serving: the cheapest format for a use case, and the cost of a query against the rate of requests."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from fidelity.dashboard import study_charts
from fidelity.dashboard.catalog import Shelf, attempt
from fidelity.dashboard.looks import looks_of
from fidelity.dashboard.widgets import chart, markup_table, note, quiet, subheader
from fidelity.outside.strings import one_line
from fidelity.price.deployment import Deployment, advise
from fidelity.price.served import SECONDS_PER_HOUR, curves
from fidelity.report.deployment import cost_cells, name_of, sentences
from fidelity.store.price_sheets import Mode, PriceSheet, read_sheets

MODES: Mapping[Mode, str] = {"async": "many requests", "sync": "one at a time"}
READING = (
    "Each point is a rate of requests that was sent; the last one of a line is all requests at once, at the rate "
    "that was answered. Lines between points are interpolated."
)


def draw(shelf: Shelf, formats: Sequence[str], why_not: Mapping[str, str] | None) -> None:
    """The sentence of `fidelity recommend --scenario` and its chart; nothing without prices in the store.

    Args:
        shelf: The store.
        formats: The page's formats, which have the same looks here.
        why_not: Why the page's gate does not pass a candidate, by run's name; None without a gate. It has judged other
            models than those with random weights, so it isn't used for them.
    """
    sheets, why = attempt(lambda: read_sheets(shelf.root))
    if why:
        note(f"The prices can't be read: {why}")
    if not sheets:
        return
    subheader("Price of serving")
    names = [sheet.baseline for sheet in sheets]
    left, middle, right, last = st.columns([2, 2, 2, 2], vertical_alignment="bottom")
    with left:
        baseline = st.selectbox("Baseline", names, key="served", bind="query-params", format_func=one_line)
    sheet = sheets[names.index(baseline)]
    with middle:
        use_case = st.selectbox(
            "Use case", list(sheet.use_cases), key="scenario", bind="query-params", format_func=one_line
        )
    modes = [mode for mode in MODES if any((p.use_case, p.mode) == (use_case, mode) for p in sheet.points)]
    if not modes:
        note(f"{one_line(use_case)} has not been measured yet.")
        return
    with right:
        mode = st.selectbox("Load", modes, key="load", bind="query-params", format_func=lambda mode: MODES[mode])
    with last:
        price = st.number_input("Price per hour", min_value=0.01, value=1.0, key="hourly", bind="query-params")
    judged = None if any(server.random_weights for server in sheet.servers.values()) else why_not
    advice, why = attempt(lambda: advise(sheet, Deployment(use_case, mode, price), why_not=judged))
    if advice is None:
        note(f"No format can be recommended: {why}")
    else:
        first, *rest = sentences(advice)
        note(f"{first} {' '.join(rest)}")
        markup_table(("Format", "Value", "Cost over the baseline", "Queries for 1", "Why not"), cost_cells(advice))
    if mode == "async":
        _chart(sheet, use_case, price, formats)


def _chart(sheet: PriceSheet, use_case: str, price: float, formats: Sequence[str]) -> None:
    points = cost_points(sheet, use_case, price_per_hour=price)
    if points.empty:
        return
    looks = looks_of([*formats, *points["format"]])
    drawn = study_charts.cost_by_rate(points, looks)
    lines = [
        f"{form}: {own['value'].iloc[0]:.3g} at {own['rate'].iloc[0]:.3g} requests/s to {own['value'].iloc[-1]:.3g} at "
        f"{own['rate'].iloc[-1]:.3g}"
        for form, own in points.groupby("format", sort=False)
    ]
    alt = f"Cost of a query in {one_line(use_case)} against the rate of requests. {'; '.join(lines)}."
    chart(drawn, points, f"cost-{use_case}", key="cost-chart", alt=alt)
    quiet(READING)


def cost_points(sheet: PriceSheet, use_case: str, *, price_per_hour: float) -> pd.DataFrame:
    """A row for each format and rate: `rate` (requests/s, as sent), `value` (cost of a query), `answer`, `format`.

    All requests at once have the rate that was answered.
    """
    rows = []
    for run, line in curves(sheet, use_case).items():
        form = name_of(sheet, run)
        for rate, answered, answer in line:
            cost = price_per_hour / SECONDS_PER_HOUR / answered
            sent = "all at once" if rate is None else f"{rate:.3g} requests/s"
            rows.append({"rate": rate or answered, "value": cost, "answer": answer, "format": form, "sent": sent})
    return pd.DataFrame(rows, columns=["rate", "value", "answer", "format", "sent"])
