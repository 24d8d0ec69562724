"""The charts, each from a table of plain numbers; colours that colour-blind people can tell apart, on both grounds."""

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

FORMATS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#7F7F9F")
"""Okabe and Ito's colours; every format has a shape of its own too."""
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")
FLOOR, CANDIDATE = "#8D96A3", "#1F86C9"
SCALES = {"light": ("#eef3f9", "#0b4a8f"), "dark": ("#1d2b3b", "#8fc1ff")}
"""From no excess to the most, in a light and in a dark theme."""
_PLAIN: dict[str, Any] = {"labelFlush": False, "domain": False, "ticks": False, "labelFontSize": 13}
_IN_SHORT = {
    "parameters": "replace(format(datum.value, '~s'), 'G', 'B')",
    "bytes": "format(datum.value, '~s') + 'B'",
}
"""Labels of an axis: 7B parameters, 14GB."""
MOST_POINTS = 4_000
"""Points that a scatter shows; of more it shows every so-manieth."""


def dark() -> bool:
    """Whether the reader's theme is a dark one."""
    return st.context.theme.type == "dark"


def matrix(cells: pd.DataFrame, metric: str) -> alt.LayerChart:
    """Size x format. `cells` has `size`, `format`, `excess`, `text`, `symbol`, `why`, `id`; sizes in their order."""
    low, high = SCALES["dark" if dark() else "light"]
    most = max(0.01, float(cells["excess"].max()) if cells["excess"].notna().any() else 0.01)
    sizes, formats = list(dict.fromkeys(cells["size"])), list(dict.fromkeys(cells["format"]))
    picked = alt.selection_point(name="cell", fields=["id"], empty=False)
    base = alt.Chart(cells).encode(
        x=alt.X(
            "format:N",
            sort=formats,
            title=None,
            axis=alt.Axis(
                orient="top",
                labelAngle=0,
                labelLimit=170,
                labelFlush=False,
                domain=False,
                ticks=False,
                labelFontSize=13,
            ),
        ),
        y=alt.Y(
            "size:N",
            sort=sizes,
            title=None,
            axis=alt.Axis(labelLimit=260, **_PLAIN),
        ),
        tooltip=[
            alt.Tooltip(f"{c}:N", title=t)
            for c, t in (("candidate", "candidate"), ("said", "excess"), ("why", "verdict"))
        ],
    )
    colour = alt.Color(
        "excess:Q",
        title=f"excess of {metric}",
        scale=alt.Scale(range=[low, high], domain=[0, most], clamp=True),
        legend=alt.Legend(orient="bottom", gradientLength=220, gradientThickness=8, format=".2f", titleLimit=300),
    )
    unknown = "rgba(125, 135, 148, .18)"
    boxes = base.mark_rect(cornerRadius=4, stroke="rgba(125, 135, 148, .5)", strokeWidth=1, cursor="pointer").encode(
        color=alt.condition("isValid(datum.excess)", colour, alt.value(unknown))
    )
    ink = "#12161b" if dark() else "#ffffff"
    other = "#e5e9ee" if dark() else "#1b2027"
    on_cell = alt.condition(f"isValid(datum.excess) && datum.excess > {most * 0.5}", alt.value(ink), alt.value(other))
    numbers = base.mark_text(
        fontSize=15, fontWeight=600, dy=-8 if cells["symbol"].any() else 0, cursor="pointer"
    ).encode(text="text:N", color=on_cell)
    verdicts = base.mark_text(fontSize=12, dy=12, cursor="pointer").encode(text="symbol:N", color=on_cell)
    layered: alt.LayerChart = alt.layer(boxes.add_params(picked), numbers, verdicts).properties(
        height=alt.Step(64), width="container"
    )
    return layered


def drift(
    points: pd.DataFrame, floor: pd.DataFrame, published: pd.DataFrame, *, x: str, x_title: str, y_title: str
) -> alt.LayerChart:
    """A column against a size, one line a format, with intervals; the floor as a band.

    `points`: x, `value`, `low`, `high`, `format`, `candidate`. `floor`: x, `value`, `low`, `high`. `published`: x,
    `value`, `format`, `model`. x is positive and on a log axis; there may be one size only.
    """
    known = pd.concat([frame[x] for frame in (points, floor, published) if len(frame)])
    left, right = float(known.min()) / 1.6, float(known.max()) * 1.6
    axis = alt.X(
        f"{x}:Q",
        title=x_title,
        scale=alt.Scale(type="log", domain=[left, right], nice=False),
        axis=alt.Axis(labelExpr=_IN_SHORT[x], grid=False, values=_round(left, right)),
    )
    y = alt.Y("value:Q", title=y_title, scale=alt.Scale(zero=False, nice=True))
    formats = list(dict.fromkeys(points["format"]))
    colour = alt.Color(
        "format:N",
        title=None,
        scale=alt.Scale(domain=formats, range=[FORMATS[n % len(FORMATS)] for n in range(len(formats))]),
        legend=alt.Legend(orient="bottom", symbolSize=90, labelLimit=220, columns=2),
    )
    shape = alt.Shape(
        "format:N",
        title=None,
        legend=None,
        scale=alt.Scale(domain=formats, range=[SHAPES[n % len(SHAPES)] for n in range(len(formats))]),
    )
    layers: list[Any] = []
    if len(floor):
        ends = floor.sort_values(x)
        band = pd.concat([ends.head(1).assign(**{x: left}), ends, ends.tail(1).assign(**{x: right})])
        layers.append(
            alt.Chart(band)
            .mark_area(color=FLOOR, opacity=0.28)
            .encode(x=axis, y=alt.Y("low:Q", title=y_title), y2="high:Q")
        )
        layers.append(alt.Chart(band).mark_line(color=FLOOR, strokeDash=[4, 3], strokeWidth=1.5).encode(x=axis, y=y))
        layers.append(
            alt.Chart(band.tail(1))
            .mark_text(text="floor", align="right", dy=-9, dx=-4, color=FLOOR, fontWeight=600)
            .encode(x=axis, y=y)
        )
    if len(published):
        layers.append(
            alt.Chart(published)
            .mark_point(shape="cross", color=FLOOR, size=70, opacity=0.9, angle=45)
            .encode(
                x=axis,
                y=y,
                tooltip=[
                    alt.Tooltip("model:N"),
                    alt.Tooltip("format:N"),
                    alt.Tooltip("value:Q", title="published", format=".2f"),
                ],
            )
        )
    tips = [
        alt.Tooltip("candidate:N"),
        alt.Tooltip("format:N"),
        alt.Tooltip(f"{x}:Q", title=x_title, format=".3s"),
        alt.Tooltip("value:Q", title=y_title, format=".3f"),
        alt.Tooltip("low:Q", title="from", format=".3f"),
        alt.Tooltip("high:Q", title="to", format=".3f"),
    ]
    base = alt.Chart(points).encode(x=axis, color=colour)
    layers.append(base.mark_rule(strokeWidth=2, opacity=0.75).encode(y=alt.Y("low:Q", title=y_title), y2="high:Q"))
    if points[x].nunique() > 1:
        layers.append(base.mark_line(strokeWidth=1.8).encode(y=y))
    layers.append(base.mark_point(size=75, filled=True, opacity=1).encode(y=y, shape=shape, tooltip=tips))
    layered: alt.LayerChart = alt.layer(*layers).properties(height=330, width="container")
    return layered


def histogram(values: pd.DataFrame, metric: str) -> alt.LayerChart:
    """How many pairs have which value: `values` has `side` (floor, candidate), `left`, `right`, `share`."""
    x = alt.X("left:Q", title=metric, axis=alt.Axis(grid=False), scale=alt.Scale(nice=False))
    y = alt.Y("share:Q", title="share of pairs", axis=alt.Axis(format="%", tickCount=5))
    tips = [
        "side:N",
        alt.Tooltip("left:Q", title="from", format=".3f"),
        alt.Tooltip("right:Q", title="to", format=".3f"),
        alt.Tooltip("share:Q", format=".1%"),
    ]
    layers = []
    for side, opacity in (("candidate", 0.8), ("floor", 0.45)):
        own = alt.Chart(values[values["side"] == side].assign(nothing=0.0)).mark_rect(opacity=opacity)
        layers.append(own.encode(x=x, x2="right:Q", y=y, y2="nothing:Q", color=_sides(), tooltip=tips))
    layered: alt.LayerChart = alt.layer(*layers).properties(height=300, width="container")
    return layered


def by_category(means: pd.DataFrame, metric: str) -> alt.LayerChart:
    """A row for each category: `category`, `n`, `floor`, `candidate`; worst first as given."""
    order = list(means["category"])
    long = means.melt(["category", "n"], ["floor", "candidate"], var_name="side", value_name="value").dropna()
    y = alt.Y(
        "category:N", sort=order, title=None, axis=alt.Axis(labelLimit=180, labelFlush=False, ticks=False, domain=False)
    )
    links = (
        alt.Chart(means.dropna())
        .mark_rule(color=FLOOR, strokeWidth=2, opacity=0.6)
        .encode(y=y, x=alt.X("floor:Q", title=metric), x2="candidate:Q")
    )
    dots = (
        alt.Chart(long)
        .mark_point(filled=True, size=80, opacity=1)
        .encode(
            y=y,
            x=alt.X("value:Q", title=metric, scale=alt.Scale(zero=False, nice=True)),
            color=_sides(),
            shape=alt.Shape(
                "side:N", legend=None, scale=alt.Scale(domain=["floor", "candidate"], range=["diamond", "circle"])
            ),
            tooltip=["category:N", "side:N", alt.Tooltip("value:Q", format=".3f"), alt.Tooltip("n:Q", title="prompts")],
        )
    )
    layered: alt.LayerChart = alt.layer(links, dots).properties(height=alt.Step(26), width="container")
    return layered


def along(profile: pd.DataFrame, metric: str) -> alt.LayerChart:
    """A profile along the output: `stretch` (1 is its beginning), `side`, `value`, `low`, `high`."""
    x = alt.X("stretch:Q", title="tenth of the answer", axis=alt.Axis(tickMinStep=1, grid=False))
    colour = _sides()
    band = (
        alt.Chart(profile).mark_area(opacity=0.2).encode(x=x, y=alt.Y("low:Q", title=metric), y2="high:Q", color=colour)
    )
    line = (
        alt.Chart(profile)
        .mark_line(point=True, strokeWidth=2)
        .encode(
            x=x,
            y=alt.Y("value:Q", title=metric, scale=alt.Scale(zero=False)),
            color=colour,
            tooltip=["side:N", "stretch:Q", alt.Tooltip("value:Q", format=".3f")],
        )
    )
    layered: alt.LayerChart = alt.layer(band, line).properties(height=250, width="container")
    return layered


def shares(counts: pd.DataFrame) -> alt.Chart:
    """Shares of answers: `what`, `side`, `share`, `count`."""
    drawn: alt.Chart = (
        alt.Chart(counts)
        .mark_bar(height=9, cornerRadius=2)
        .encode(
            y=alt.Y(
                "what:N",
                title=None,
                sort=None,
                axis=alt.Axis(labelLimit=200, labelFlush=False, ticks=False, domain=False),
            ),
            yOffset=alt.YOffset("side:N", sort=["baseline", "candidate"]),
            x=alt.X("share:Q", title="share of answers", axis=alt.Axis(format="%", tickCount=5)),
            color=_sides("baseline"),
            tooltip=["what:N", "side:N", "count:Q", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(height=alt.Step(13), width="container")
    )
    return drawn


def scatter(pairs: pd.DataFrame, x: str, y: str) -> alt.Chart:
    """Every pair by two of its columns; dragging over it selects a range of both."""
    shown = pairs.iloc[:: max(1, -(-len(pairs) // MOST_POINTS))]
    data = pd.DataFrame(
        {"x": shown[x].to_numpy(), "y": shown[y].to_numpy(), "prompt": shown["prompt_id"].to_numpy()}
    ).dropna()
    drawn: alt.Chart = (
        alt.Chart(data)
        .mark_circle(size=42, opacity=0.45, color=CANDIDATE)
        .encode(
            x=alt.X("x:Q", title=x, scale=alt.Scale(zero=False, nice=True)),
            y=alt.Y("y:Q", title=y, scale=alt.Scale(zero=False, nice=True)),
            tooltip=["prompt:N", alt.Tooltip("x:Q", title=x, format=".3f"), alt.Tooltip("y:Q", title=y, format=".3f")],
        )
        .add_params(alt.selection_interval(name="range"))
        .properties(height=300, width="container")
    )
    return drawn


def surprise(tokens: pd.DataFrame, parted: int | None) -> alt.LayerChart:
    """Each token's log-probability as its own run gave it: `place`, `side`, `logprob`, `token`; where the two part."""
    colour = _sides("baseline")
    base = alt.Chart(tokens).encode(
        x=alt.X("place:Q", title="token", axis=alt.Axis(tickMinStep=1, grid=False)),
        y=alt.Y("logprob:Q", title="log-probability of the token, nats"),
        color=colour,
    )
    tips = [
        "side:N",
        alt.Tooltip("place:Q", title="token"),
        alt.Tooltip("token:Q", title="token id", format="d"),
        alt.Tooltip("logprob:Q", format=".3f"),
    ]
    layers: list[Any] = [base.mark_line(strokeWidth=1.3, opacity=0.7), base.mark_circle(size=28).encode(tooltip=tips)]
    if parted is not None:
        rule = pd.DataFrame({"place": [parted]})
        layers.append(
            alt.Chart(rule).mark_rule(color="#b98314", strokeWidth=1.5, strokeDash=[4, 3]).encode(x="place:Q")
        )
    layered: alt.LayerChart = alt.layer(*layers).properties(height=300, width="container")
    return layered


def _sides(other: str = "floor") -> alt.Color:
    return alt.Color(
        "side:N",
        title=None,
        scale=alt.Scale(domain=[other, "candidate"], range=[FLOOR, CANDIDATE]),
        legend=alt.Legend(orient="top", symbolType="square"),
    )


def binned(values: dict[str, Sequence[float]], bounds: tuple[float, float], bins: int = 25) -> pd.DataFrame:
    """What `histogram` draws: for each side the share of its values in each of equal bins; NaN is left out."""
    import numpy as np

    low, high = bounds
    edges = np.linspace(low, high if high > low else low + 1.0, bins + 1)
    rows = []
    for side, own in values.items():
        known = np.asarray(own, dtype=float)
        known = known[~np.isnan(known)]
        counts, _ = np.histogram(np.clip(known, edges[0], edges[-1]), edges)
        for left, right, count in zip(edges, edges[1:], counts, strict=False):
            rows.append(
                {"side": side, "left": left, "right": right, "share": count / max(1, len(known)), "count": int(count)}
            )
    return pd.DataFrame(rows)


def ladder(points: pd.DataFrame, title: str, *, floor: bool) -> alt.LayerChart:
    """A row for each candidate with its interval, for one size: columns as in `drift`, and the floor's as a band."""
    ordered = points.sort_values("value", ascending=False)
    y = alt.Y(
        "candidate:N",
        sort=list(ordered["candidate"]),
        title=None,
        axis=alt.Axis(labelLimit=240, labelFlush=False, ticks=False, domain=False),
    )
    x = alt.X("value:Q", title=title, scale=alt.Scale(zero=False, nice=True))
    layers: list[Any] = []
    band = points[["floor", "floor_low", "floor_high"]].dropna().drop_duplicates()
    if floor and len(band) == 1:
        layers.append(
            alt.Chart(band)
            .mark_rect(color=FLOOR, opacity=0.28)
            .encode(x=alt.X("floor_low:Q", title=title), x2="floor_high:Q")
        )
        layers.append(
            alt.Chart(band)
            .mark_rule(color=FLOOR, strokeDash=[4, 3], strokeWidth=1.5)
            .encode(x=alt.X("floor:Q", title=title))
        )
        layers.append(
            alt.Chart(band)
            .mark_text(text="floor", color=FLOOR, fontWeight=600, align="right", dx=-6, y=8)
            .encode(x=alt.X("floor_low:Q", title=title))
        )
    elif not floor:
        layers.append(
            alt.Chart(pd.DataFrame({"value": [0.0]}))
            .mark_rule(color=FLOOR, strokeDash=[4, 3], strokeWidth=1.5)
            .encode(x=x)
        )
    base = alt.Chart(ordered).encode(y=y)
    layers.append(
        base.mark_rule(strokeWidth=2, color=CANDIDATE, opacity=0.75).encode(x=alt.X("low:Q", title=title), x2="high:Q")
    )
    tips = [
        alt.Tooltip("candidate:N"),
        alt.Tooltip("format:N"),
        alt.Tooltip("value:Q", title=title, format=".3f"),
        alt.Tooltip("low:Q", title="from", format=".3f"),
        alt.Tooltip("high:Q", title="to", format=".3f"),
    ]
    layers.append(base.mark_point(filled=True, size=80, color=CANDIDATE, opacity=1).encode(x=x, tooltip=tips))
    layered: alt.LayerChart = alt.layer(*layers).properties(height=alt.Step(34), width="container")
    return layered


def _round(left: float, right: float) -> list[float]:
    """Where a log axis has its labels: powers of ten, with their doubles and fivefolds where there are few."""
    powers = [10.0**n for n in range(int(math.log10(left)) - 1, int(math.log10(right)) + 2)]
    steps = (1.0,) if right > 1e3 * left else (1.0, 2.0, 5.0)
    return [step * power for power in powers for step in steps if left <= step * power <= right]
