"""Drift against bytes and parameters."""

import pandas as pd
import streamlit as st

from fidelity.dashboard import study_charts
from fidelity.dashboard.looks import looks_of
from fidelity.dashboard.widgets import chart, note, quiet, subheader
from fidelity.gate import Gate

PRICES = {"bytes": "bytes of the weight files", "parameters": "parameters of the model"}
"""The axes that drift is drawn against."""


def draw(table: pd.DataFrame, metric: str, gate: Gate | None) -> None:
    """A chart for each axis, or one row per candidate where a single size has no axis."""
    shown = table.dropna(subset=["excess"])
    if shown.empty:
        note(f"{metric} has no excess to draw: no comparison has a floor for it.")
        return
    points = shown.drop(columns=["value", "low", "high"]).rename(
        columns={"excess": "value", "excess_low": "low", "excess_high": "high"}
    )
    looks = looks_of(list(table["format"]))
    margin = gate.margins.get(metric) if gate else None
    title = f"excess of {metric}"
    drawable = [price for price in PRICES if points[price].dropna().nunique() > 1]
    with st.container(key="wide-drift"):  # below each other in narrow windows
        places = st.columns(max(1, len(drawable)), gap="large")
    for place, price in zip(places, drawable, strict=False):
        with place:
            subheader(f"Drift against {price}", "drift", "floor", "margin")
            known = points.dropna(subset=[price])
            drawn = study_charts.drift(known, looks, margin, x=price, x_title=PRICES[price], y_title=title)
            chart(drawn, known, f"{metric}-against-{price}", alt=f"{title} against {PRICES[price]}, by format")
    if not drawable:
        subheader("Drift by format", "drift", "floor", "margin")
        chart(study_charts.ladder(points, title, margin), points, f"{metric}-by-format", alt=f"{title} by format")
    quiet(
        "Up is worse; 0 is the floor. Vertical lines are 95% intervals. The marks are those of the matrix's headings."
        if drawable
        else "To the right is worse; 0 is the floor. Lines are 95% intervals."
    )
