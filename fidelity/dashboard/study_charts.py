"""The charts of a study: drift by size, format and price."""

import math
from collections.abc import Mapping

import pandas as pd

from fidelity.dashboard.looks import Look
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

LABEL_HEIGHT, LABEL_WIDTH = 0.055, 0.14
"""The height and the width of a label as shares of the chart's."""
_IN_SHORT = {
    "parameters": "replace(format(datum.value, '~s'), 'G', 'B')",
    "bytes": "format(datum.value, '~s') + 'B'",
}
"""Labels of an axis: 7B parameters, 14GB."""


def drift(
    points: pd.DataFrame, looks: Mapping[str, Look], margin: float | None, *, x: str, x_title: str, y_title: str
) -> Spec:
    """An excess against a size, one line per format with its name at the end, intervals, the floor and the margin.

    `points`: x, `value`, `low`, `high`, `format`, `candidate`, `size`. x is positive, on a log axis.
    """
    left, right = float(points[x].min()) / 1.6, float(points[x].max()) * 1.6
    axis = quantity(
        x,
        title=x_title,
        scale={"type": "log", "domain": [left, right], "nice": False},
        axis={"labelExpr": _IN_SHORT[x], "grid": False, "values": _round(left, right)},
    )
    y = quantity("value", title=y_title, scale={"zero": True, "nice": True})
    own = {"x": axis, "color": _color(points, looks)}
    layers = _references(y_title, margin)
    layers.append(
        layer(
            {"type": "rule", "strokeWidth": 2, "opacity": 0.75},
            **own,
            y=quantity("low", title=y_title),
            y2={"field": "high"},
        )
    )
    if points[x].nunique() > 1:
        layers.append(layer({"type": "line", "strokeWidth": 1.8}, **own, y=y))
    tips = [
        nominal("candidate"),
        nominal("format"),
        quantity(x, title=x_title, format=".3s"),
        *interval_tips(y_title),
    ]
    dots = {"type": "point", "size": 75, "filled": True, "opacity": 1}
    layers.append(layer(dots, **own, y=y, shape=_shape(points, looks), tooltip=tips))
    names = _labels(points, x)
    at_edge = {"x": {"value": "width"}, "y": quantity("label", title=y_title)}
    mark = {"type": "point", "size": 60, "filled": True, "opacity": 1, "xOffset": 12}
    layers.append(layer(mark, names, **at_edge, color=own["color"], shape=_shape(points, looks)))
    label = {"type": "text", "align": "left", "dx": 20, "fontSize": 12, "limit": 150}
    layers.append(layer(label, names, **at_edge, text=nominal("format")))
    return layered(layers, height=330, data=points)


def _references(y_title: str, margin: float | None, *, across: str = "y") -> list[Spec]:
    """The floor and the margin as labeled lines, for excesses along the axis `across`."""
    lines = pd.DataFrame(
        [(0.0, "floor"), *([(margin, "margin")] if margin is not None else [])], columns=["value", "name"]
    )
    place = {across: quantity("value", title=y_title)}
    text = {"type": "text", "align": "left", "dx": 4, "dy": -7, "fontWeight": 600}
    edge = {"x": {"value": 0}} if across == "y" else {"y": {"value": 0}}
    return [layer(DASHED, lines, **place), layer(text, lines, **place, **edge, text=nominal("name"))]


def _color(points: pd.DataFrame, looks: Mapping[str, Look]) -> Spec:
    formats = list(dict.fromkeys(points["format"]))
    return nominal("format", scale=scale(formats, [looks[name].color for name in formats]), legend=None)


def _shape(points: pd.DataFrame, looks: Mapping[str, Look]) -> Spec:
    formats = list(dict.fromkeys(points["format"]))
    return nominal("format", scale=scale(formats, [looks[name].shape for name in formats]), legend=None)


def _labels(points: pd.DataFrame, x: str) -> pd.DataFrame:
    """The formats' names at the height of their last points, moved apart where they would overlap."""
    last = points.sort_values(x).groupby("format", sort=False).tail(1).sort_values("value")
    drawn = pd.concat([points[end] for end in ("value", "low", "high")]).dropna()
    span = max(float(drawn.max()), 0.0) - min(float(drawn.min()), 0.0)
    gap = LABEL_HEIGHT * (span or 1.0)
    heights: list[float] = []
    for value in last["value"]:
        heights.append(max(value, heights[-1] + gap) if heights else value)
    too_high = max(0.0, (heights[-1] - float(drawn.max())) / 2) if heights else 0.0
    return pd.DataFrame({"format": last["format"].to_numpy(), "label": [height - too_high for height in heights]})


def cost_by_rate(points: pd.DataFrame, looks: Mapping[str, Look]) -> Spec:
    """The cost of a query against the rate of requests, a line per format.

    `points`: `rate`, `value` (the cost), `answer` (seconds), `format`, `sent` (the rate in words), in order.
    """
    x = quantity("rate", title="requests per second", scale={"zero": False, "nice": True}, axis={"grid": False})
    y = quantity("value", title="cost of a query", scale={"type": "log", "nice": False, "padding": 12})
    legend = {"orient": "top", "title": None}
    own = {"x": x, "y": y, "color": {**_color(points, looks), "legend": legend}}
    tips = [
        nominal("format"),
        nominal("sent", title="sent"),
        quantity("value", title="cost of a query", format=".3g"),
        quantity("answer", title="median answer, s", format=".3g"),
    ]
    dots = {"type": "point", "size": 75, "filled": True, "opacity": 1}
    shape = {**_shape(points, looks), "legend": legend}
    layers = [layer({"type": "line", "strokeWidth": 1.8}, **own), layer(dots, **own, shape=shape, tooltip=tips)]
    return layered(layers, height=330, data=points)


def drift_and_price(
    points: pd.DataFrame, looks: Mapping[str, Look], front: pd.DataFrame, x_title: str, y_title: str
) -> Spec:
    """Drift against a ratio: `ratio`, `low`, `high`, `drift`, `format`, `candidate`, `size`, `outcome`, `label`.

    The baseline is the cross at (1, 0). Points with a `dominated_by` are hollow. `front` has the points of each
    model's Pareto front (`baseline`, `ratio`, `drift`), in order.
    """
    x = quantity("ratio", title=x_title, scale={"type": "log", "nice": False, "padding": 34}, axis={"grid": False})
    y = quantity("drift", title=y_title, scale={"nice": True})
    colour = _color(points, looks)
    origin = pd.DataFrame({"ratio": [1.0], "drift": [0.0]})
    tips = [
        nominal("candidate"),
        nominal("format"),
        nominal("size", title="model"),
        nominal("outcome", title="verdict"),
        quantity("ratio", title="ratio", format=".3f"),
        quantity("drift", title=y_title, format="+.3f"),
        nominal("dominated_by", title="dominated by"),
    ]
    ends = points.dropna(subset=["low", "high"])
    hollow = {"condition": {"test": "datum.dominated_by != ''", "value": 0.0}, "value": 0.9}
    step = {"type": "line", "interpolate": "step-before", "color": FLOOR, "strokeWidth": 1.5, "opacity": 0.8}
    interval = {"type": "rule", "opacity": 0.6, "strokeWidth": 2}
    layers = [
        layer(step, front, x=x, y=y, detail=nominal("baseline"), order={"field": "ratio", "type": "quantitative"}),
        layer({"type": "point", "shape": "cross", "size": 110, "filled": True, "color": FLOOR}, origin, x=x, y=y),
        layer({"type": "text", "text": "baseline", "dy": -12, "fontWeight": 600}, origin, x=x, y=y),
        layer(interval, ends, y=y, color=colour, x=quantity("low", title=x_title), x2={"field": "high"}),
        layer(
            {"type": "point", "size": 100},
            x=x,
            y=y,
            color=colour,
            tooltip=tips,
            shape=_shape(points, looks),
            fillOpacity=hollow,
            fill=colour,
        ),
        layer(
            {"type": "text", "align": "left", "dx": 9, "dy": 1},
            x=x,
            y=quantity("label_drift", title=y_title),
            text=nominal("label"),
        ),
    ]
    return layered(layers, height=330, data=points.assign(label_drift=_label_heights(points)))


def _label_heights(points: pd.DataFrame) -> list[float]:
    """The heights of the labels to the right of their points, moved apart where they would overlap."""
    ratios = [math.log(ratio) for ratio in points["ratio"]] if len(points) else []
    across = LABEL_WIDTH * ((max(ratios) - min(ratios)) or 1.0) if ratios else 1.0
    gap = LABEL_HEIGHT * ((float(points["drift"].max()) - min(0.0, float(points["drift"].min()))) or 1.0)
    heights: dict[int, float] = {}
    for n in sorted(range(len(ratios)), key=lambda n: float(points["drift"].iloc[n])):
        height = float(points["drift"].iloc[n])
        near = sorted(heights[other] for other in heights if abs(ratios[other] - ratios[n]) < across)
        for taken in near:
            if abs(taken - height) < gap:
                height = taken + gap
        heights[n] = height
    return [heights[n] for n in range(len(ratios))]


def ladder(points: pd.DataFrame, title: str, margin: float | None) -> Spec:
    """A row for each candidate with its interval, for one size; columns as in `drift`."""
    ordered = points.sort_values("value", ascending=False)
    y = nominal("candidate", sort=list(ordered["candidate"]), axis={**PLAIN, "labelLimit": 240})
    x = quantity("value", title=title, scale=ROUGH)
    rule = {"type": "rule", "strokeWidth": 2, "color": CANDIDATE, "opacity": 0.75}
    dots = {"type": "point", "filled": True, "size": 80, "color": CANDIDATE, "opacity": 1}
    layers = [
        *_references(title, margin, across="x"),
        layer(rule, ordered, y=y, x=quantity("low", title=title), x2={"field": "high"}),
        layer(dots, ordered, y=y, x=x, tooltip=[nominal("candidate"), nominal("format"), *interval_tips(title)]),
    ]
    return layered(layers, height={"step": 34})


def _round(left: float, right: float) -> list[float]:
    """The labels of a log axis: powers of ten, and 2 and 5 times them if there are few."""
    powers = [10.0**n for n in range(int(math.log10(left)) - 1, int(math.log10(right)) + 2)]
    steps = (1.0,) if right > 1e3 * left else (1.0, 2.0, 5.0)
    return [step * power for power in powers for step in steps if left <= step * power <= right]
