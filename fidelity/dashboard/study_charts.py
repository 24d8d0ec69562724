"""The charts of a study: drift by size, format and price."""

import math

import pandas as pd
import streamlit as st

from fidelity.dashboard.vega import (
    CANDIDATE,
    DASHED,
    FLOOR,
    PLAIN,
    ROUGH,
    Spec,
    interval_tips,
    layer,
    layered,
    nominal,
    quantity,
    scale,
)

FORMATS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#7F7F9F")
"""Okabe and Ito's colors; every format also has its own shape."""
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")
SCALES = {"light": ("#eef3f9", "#0b4a8f"), "dark": ("#1d2b3b", "#8fc1ff")}
"""The color range from no excess to the most, for light and dark themes."""
_IN_SHORT = {
    "parameters": "replace(format(datum.value, '~s'), 'G', 'B')",
    "bytes": "format(datum.value, '~s') + 'B'",
}
"""Labels of an axis: 7B parameters, 14GB."""


def matrix(cells: pd.DataFrame, metric: str) -> Spec:
    """A matrix of size and format. `cells` has `size`, `format`, `excess`, `text`, `symbol`, `why`, `id`, by size.

    A click selects the cell's `id`, as the selection `cell`.
    """
    low, high = SCALES["dark" if dark() else "light"]
    most = max(0.01, float(cells["excess"].max()) if cells["excess"].notna().any() else 0.01)
    known, dim = "isValid(datum.excess)", f"!isValid(datum.excess) || datum.excess <= {most * 0.5}"
    places = {
        "x": nominal(
            "format",
            sort=list(dict.fromkeys(cells["format"])),
            axis={**PLAIN, "orient": "top", "labelAngle": 0, "labelLimit": 170, "labelFontSize": 13},
        ),
        "y": nominal(
            "size",
            sort=list(dict.fromkeys(cells["size"])),
            axis={**PLAIN, "labelLimit": 260, "labelFontSize": 13},
        ),
        "tooltip": [
            nominal("candidate", title="candidate"),
            nominal("shown", title="excess"),
            nominal("why", title="verdict"),
        ],
    }
    colour = quantity(
        "excess",
        title=f"excess of {metric}",
        scale={"range": [low, high], "domain": [0, most], "clamp": True},
        legend={
            "orient": "bottom",
            "gradientLength": 220,
            "gradientThickness": 8,
            "format": ".2f",
            "titleLimit": 300,
        },
    )
    grey = {"value": "rgba(125, 135, 148, .18)"}
    ink, other = ("#12161b", "#e5e9ee") if dark() else ("#ffffff", "#1b2027")
    on_cell = {"condition": {"test": dim, "value": other}, "value": ink}
    boxes = layer(
        {
            "type": "rect",
            "cornerRadius": 4,
            "stroke": "rgba(125, 135, 148, .5)",
            "strokeWidth": 1,
            "cursor": "pointer",
        },
        **places,
        color={"condition": {"test": known, **colour}, **grey},
    )
    boxes["params"] = [{"name": "cell", "select": {"type": "point", "fields": ["id"]}}]
    above = -8 if cells["symbol"].any() else 0
    text = {"type": "text", "cursor": "pointer"}
    numbers = layer(
        {**text, "fontSize": 15, "fontWeight": 600, "dy": above}, **places, text=nominal("text"), color=on_cell
    )
    verdicts = layer({**text, "fontSize": 12, "dy": 12}, **places, text=nominal("symbol"), color=on_cell)
    return layered([boxes, numbers, verdicts], height={"step": 64}, data=cells)


def drift(
    points: pd.DataFrame, floor: pd.DataFrame, published: pd.DataFrame, *, x: str, x_title: str, y_title: str
) -> Spec:
    """A column against a size, one line per format, with intervals, and the floor as a band.

    `points`: x, `value`, `low`, `high`, `format`, `candidate`. `floor`: x, `value`, `low`, `high`. `published`: x,
    `value`, `format`, `model`. x is positive, on a log axis; a single size is possible.
    """
    sizes = pd.concat([frame[x] for frame in (points, floor, published) if len(frame)])
    left, right = float(sizes.min()) / 1.6, float(sizes.max()) * 1.6
    axis = quantity(
        x,
        title=x_title,
        scale={"type": "log", "domain": [left, right], "nice": False},
        axis={"labelExpr": _IN_SHORT[x], "grid": False, "values": _round(left, right)},
    )
    y = quantity("value", title=y_title, scale=ROUGH)
    layers: list[Spec] = []
    if len(floor):
        ends = floor.sort_values(x)
        band = pd.concat([ends.head(1).assign(**{x: left}), ends, ends.tail(1).assign(**{x: right})])
        area = {"type": "area", "color": FLOOR, "opacity": 0.28}
        name = {"type": "text", "text": "floor", "align": "right", "dy": -9, "dx": -4, "color": FLOOR}
        layers += [
            layer(area, band, x=axis, y=quantity("low", title=y_title), y2={"field": "high"}),
            layer({**DASHED, "type": "line"}, band, x=axis, y=y),
            layer({**name, "fontWeight": 600}, band.tail(1), x=axis, y=y),
        ]
    if len(published):
        cross = {"type": "point", "shape": "cross", "color": FLOOR, "size": 70, "opacity": 0.9, "angle": 45}
        tips = [nominal("model"), nominal("format"), quantity("value", title="published", format=".2f")]
        layers.append(layer(cross, published, x=axis, y=y, tooltip=tips))
    formats = list(dict.fromkeys(points["format"]))
    own = {
        "x": axis,
        "color": nominal(
            "format",
            scale=scale(formats, FORMATS),
            legend={"orient": "bottom", "symbolSize": 90, "labelLimit": 220, "columns": 2},
        ),
    }
    shape = nominal("format", legend=None, scale=scale(formats, SHAPES))
    rule = {"type": "rule", "strokeWidth": 2, "opacity": 0.75}
    layers.append(layer(rule, **own, y=quantity("low", title=y_title), y2={"field": "high"}))
    if points[x].nunique() > 1:
        layers.append(layer({"type": "line", "strokeWidth": 1.8}, **own, y=y))
    tips = [
        nominal("candidate"),
        nominal("format"),
        quantity(x, title=x_title, format=".3s"),
        *interval_tips(y_title),
    ]
    dots = {"type": "point", "size": 75, "filled": True, "opacity": 1}
    layers.append(layer(dots, **own, y=y, shape=shape, tooltip=tips))
    return layered(layers, height=330, data=points)


def drift_and_price(points: pd.DataFrame, published: pd.DataFrame, x_title: str, y_title: str) -> Spec:
    """Drift against a ratio: `ratio`, `low`, `high`, `drift`, `format`, `candidate`, `dominated_by` (then hollow).

    The baseline is the cross at (1, 0). `published`: `name`, `source`, and `ratio` or `drift`; published results only
    have one of them and are ticks along its axis.
    """
    formats = list(dict.fromkeys(points["format"]))
    x = quantity("ratio", title=x_title, scale={"type": "log", "nice": False, "padding": 24}, axis={"grid": False})
    y = quantity("drift", title=y_title, scale={"nice": True})
    colour = nominal(
        "format", scale=scale(formats, FORMATS), legend={"orient": "bottom", "columns": 3, "labelLimit": 220}
    )
    origin = pd.DataFrame({"ratio": [1.0], "drift": [0.0]})
    tips = [
        nominal("candidate"),
        nominal("format"),
        quantity("ratio", title="ratio", format=".3f"),
        quantity("drift", title=y_title, format="+.3f"),
        nominal("dominated_by", title="dominated by"),
    ]
    ends = points.dropna(subset=["low", "high"])
    hollow = {"condition": {"test": "datum.dominated_by != ''", "value": 0.0}, "value": 0.9}
    layers = [
        layer({"type": "point", "shape": "cross", "size": 110, "filled": True, "color": FLOOR}, origin, x=x, y=y),
        layer({"type": "text", "text": "baseline", "dy": -12, "color": FLOOR, "fontWeight": 600}, origin, x=x, y=y),
        layer(
            {"type": "rule", "opacity": 0.6, "strokeWidth": 2},
            ends,
            y=y,
            color=colour,
            x=quantity("low", title=x_title),
            x2={"field": "high"},
        ),
        layer(
            {"type": "point", "size": 100},
            x=x,
            y=y,
            color=colour,
            tooltip=tips,
            shape=nominal("format", legend=None, scale=scale(formats, SHAPES)),
            fillOpacity=hollow,
            fill={**colour, "legend": None},
        ),
    ]
    tick = {"type": "tick", "color": FLOOR, "thickness": 2, "size": 18}
    tips = [
        nominal("name"),
        nominal("source"),
        quantity("ratio", format=".2f"),
        quantity("drift", title="1 - score", format=".2f"),
    ]
    if len(published):
        priced, drifted = published.dropna(subset=["ratio"]), published.dropna(subset=["drift"])
        layers += [
            layer({**tick, "orient": "vertical"}, priced, x=x, y={"value": "height"}, tooltip=tips),
            layer({**tick, "orient": "horizontal"}, drifted, x={"value": 0}, y=y, tooltip=tips),
        ]
    return layered(layers, height=330, data=points)


def ladder(points: pd.DataFrame, title: str, *, floor: bool) -> Spec:
    """A row for each candidate with its interval, for one size; columns as in `drift`, with the floor as a band."""
    ordered = points.sort_values("value", ascending=False)
    y = nominal("candidate", sort=list(ordered["candidate"]), axis={**PLAIN, "labelLimit": 240})
    x = quantity("value", title=title, scale=ROUGH)
    layers: list[Spec] = []
    band = points[["floor", "floor_low", "floor_high"]].dropna().drop_duplicates()
    if floor and len(band) == 1:
        low, box = quantity("floor_low", title=title), {"type": "rect", "color": FLOOR, "opacity": 0.28}
        name = {"type": "text", "text": "floor", "color": FLOOR, "fontWeight": 600, "align": "right", "dx": -6, "y": 8}
        layers += [
            layer(box, band, x=low, x2={"field": "floor_high"}),
            layer(DASHED, band, x=quantity("floor", title=title)),
            layer(name, band, x=low),
        ]
    elif not floor:
        layers.append(layer(DASHED, pd.DataFrame({"value": [0.0]}), x=x))
    rule = {"type": "rule", "strokeWidth": 2, "color": CANDIDATE, "opacity": 0.75}
    dots = {"type": "point", "filled": True, "size": 80, "color": CANDIDATE, "opacity": 1}
    layers += [
        layer(rule, ordered, y=y, x=quantity("low", title=title), x2={"field": "high"}),
        layer(dots, ordered, y=y, x=x, tooltip=[nominal("candidate"), nominal("format"), *interval_tips(title)]),
    ]
    return layered(layers, height={"step": 34})


def dark() -> bool:
    """Whether the user's theme is dark."""
    return st.context.theme.type == "dark"


def _round(left: float, right: float) -> list[float]:
    """The labels of a log axis: powers of ten, and 2 and 5 times them if there are few."""
    powers = [10.0**n for n in range(int(math.log10(left)) - 1, int(math.log10(right)) + 2)]
    steps = (1.0,) if right > 1e3 * left else (1.0, 2.0, 5.0)
    return [step * power for power in powers for step in steps if left <= step * power <= right]
