"""The charts: Vega-Lite specifications from tables of plain numbers, in colors for all kinds of color vision.

They are dicts, since Altair's objects take a third of a second per page (docs/decisions/006-dashboard.md).
"""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

FORMATS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#7F7F9F")
"""Okabe and Ito's colors; every format also has its own shape."""
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")
FLOOR, CANDIDATE = "#8D96A3", "#1F86C9"
SCALES = {"light": ("#eef3f9", "#0b4a8f"), "dark": ("#1d2b3b", "#8fc1ff")}
"""The color range from no excess to the most, for light and dark themes."""
_PLAIN = {"labelFlush": False, "domain": False, "ticks": False}
_ROUGH = {"zero": False, "nice": True}
_DASHED = {"type": "rule", "color": FLOOR, "strokeDash": [4, 3], "strokeWidth": 1.5}
_IN_SHORT = {
    "parameters": "replace(format(datum.value, '~s'), 'G', 'B')",
    "bytes": "format(datum.value, '~s') + 'B'",
}
"""Labels of an axis: 7B parameters, 14GB."""
MOST_POINTS = 4_000
"""The maximum number of points in a scatter; larger ones are thinned evenly."""
Spec = dict[str, Any]


def dark() -> bool:
    """Whether the user's theme is dark."""
    return st.context.theme.type == "dark"


def matrix(cells: pd.DataFrame, metric: str) -> Spec:
    """A matrix of size and format. `cells` has `size`, `format`, `excess`, `text`, `symbol`, `why`, `id`, by size.

    A click selects the cell's `id`, as the selection `cell`.
    """
    low, high = SCALES["dark" if dark() else "light"]
    most = max(0.01, float(cells["excess"].max()) if cells["excess"].notna().any() else 0.01)
    known, dim = "isValid(datum.excess)", f"!isValid(datum.excess) || datum.excess <= {most * 0.5}"
    places = {
        "x": _n(
            "format",
            sort=list(dict.fromkeys(cells["format"])),
            axis={**_PLAIN, "orient": "top", "labelAngle": 0, "labelLimit": 170, "labelFontSize": 13},
        ),
        "y": _n(
            "size",
            sort=list(dict.fromkeys(cells["size"])),
            axis={**_PLAIN, "labelLimit": 260, "labelFontSize": 13},
        ),
        "tooltip": [_n("candidate", title="candidate"), _n("shown", title="excess"), _n("why", title="verdict")],
    }
    colour = _q(
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
    boxes = _layer(
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
    numbers = _layer({**text, "fontSize": 15, "fontWeight": 600, "dy": above}, **places, text=_n("text"), color=on_cell)
    verdicts = _layer({**text, "fontSize": 12, "dy": 12}, **places, text=_n("symbol"), color=on_cell)
    return _layered([boxes, numbers, verdicts], height={"step": 64}, data=cells)


def drift(
    points: pd.DataFrame, floor: pd.DataFrame, published: pd.DataFrame, *, x: str, x_title: str, y_title: str
) -> Spec:
    """A column against a size, one line per format, with intervals, and the floor as a band.

    `points`: x, `value`, `low`, `high`, `format`, `candidate`. `floor`: x, `value`, `low`, `high`. `published`: x,
    `value`, `format`, `model`. x is positive, on a log axis; a single size is possible.
    """
    sizes = pd.concat([frame[x] for frame in (points, floor, published) if len(frame)])
    left, right = float(sizes.min()) / 1.6, float(sizes.max()) * 1.6
    axis = _q(
        x,
        title=x_title,
        scale={"type": "log", "domain": [left, right], "nice": False},
        axis={"labelExpr": _IN_SHORT[x], "grid": False, "values": _round(left, right)},
    )
    y = _q("value", title=y_title, scale=_ROUGH)
    layers: list[Spec] = []
    if len(floor):
        ends = floor.sort_values(x)
        band = pd.concat([ends.head(1).assign(**{x: left}), ends, ends.tail(1).assign(**{x: right})])
        area = {"type": "area", "color": FLOOR, "opacity": 0.28}
        name = {"type": "text", "text": "floor", "align": "right", "dy": -9, "dx": -4, "color": FLOOR}
        layers += [
            _layer(area, band, x=axis, y=_q("low", title=y_title), y2={"field": "high"}),
            _layer({**_DASHED, "type": "line"}, band, x=axis, y=y),
            _layer({**name, "fontWeight": 600}, band.tail(1), x=axis, y=y),
        ]
    if len(published):
        cross = {"type": "point", "shape": "cross", "color": FLOOR, "size": 70, "opacity": 0.9, "angle": 45}
        tips = [_n("model"), _n("format"), _q("value", title="published", format=".2f")]
        layers.append(_layer(cross, published, x=axis, y=y, tooltip=tips))
    formats = list(dict.fromkeys(points["format"]))
    own = {
        "x": axis,
        "color": _n(
            "format",
            scale=_scale(formats, FORMATS),
            legend={"orient": "bottom", "symbolSize": 90, "labelLimit": 220, "columns": 2},
        ),
    }
    shape = _n("format", legend=None, scale=_scale(formats, SHAPES))
    rule = {"type": "rule", "strokeWidth": 2, "opacity": 0.75}
    layers.append(_layer(rule, **own, y=_q("low", title=y_title), y2={"field": "high"}))
    if points[x].nunique() > 1:
        layers.append(_layer({"type": "line", "strokeWidth": 1.8}, **own, y=y))
    tips = [_n("candidate"), _n("format"), _q(x, title=x_title, format=".3s"), *_with_interval(y_title)]
    dots = {"type": "point", "size": 75, "filled": True, "opacity": 1}
    layers.append(_layer(dots, **own, y=y, shape=shape, tooltip=tips))
    return _layered(layers, height=330, data=points)


def drift_and_price(points: pd.DataFrame, published: pd.DataFrame, x_title: str, y_title: str) -> Spec:
    """Drift against a ratio: `ratio`, `low`, `high`, `drift`, `format`, `candidate`, `dominated_by` (then hollow).

    The baseline is the cross at (1, 0). `published`: `name`, `source`, and `ratio` or `drift`; published results only
    have one of them and are ticks along its axis.
    """
    formats = list(dict.fromkeys(points["format"]))
    x = _q("ratio", title=x_title, scale={"type": "log", "nice": False, "padding": 24}, axis={"grid": False})
    y = _q("drift", title=y_title, scale={"nice": True})
    colour = _n("format", scale=_scale(formats, FORMATS), legend={"orient": "bottom", "columns": 3, "labelLimit": 220})
    origin = pd.DataFrame({"ratio": [1.0], "drift": [0.0]})
    tips = [
        _n("candidate"),
        _n("format"),
        _q("ratio", title="ratio", format=".3f"),
        _q("drift", title=y_title, format="+.3f"),
        _n("dominated_by", title="dominated by"),
    ]
    ends = points.dropna(subset=["low", "high"])
    hollow = {"condition": {"test": "datum.dominated_by != ''", "value": 0.0}, "value": 0.9}
    layers = [
        _layer({"type": "point", "shape": "cross", "size": 110, "filled": True, "color": FLOOR}, origin, x=x, y=y),
        _layer({"type": "text", "text": "baseline", "dy": -12, "color": FLOOR, "fontWeight": 600}, origin, x=x, y=y),
        _layer(
            {"type": "rule", "opacity": 0.6, "strokeWidth": 2},
            ends,
            y=y,
            color=colour,
            x=_q("low", title=x_title),
            x2={"field": "high"},
        ),
        _layer(
            {"type": "point", "size": 100},
            x=x,
            y=y,
            color=colour,
            tooltip=tips,
            shape=_n("format", legend=None, scale=_scale(formats, SHAPES)),
            fillOpacity=hollow,
            fill={**colour, "legend": None},
        ),
    ]
    tick = {"type": "tick", "color": FLOOR, "thickness": 2, "size": 18}
    tips = [_n("name"), _n("source"), _q("ratio", format=".2f"), _q("drift", title="1 - score", format=".2f")]
    if len(published):
        priced, drifted = published.dropna(subset=["ratio"]), published.dropna(subset=["drift"])
        layers += [
            _layer({**tick, "orient": "vertical"}, priced, x=x, y={"value": "height"}, tooltip=tips),
            _layer({**tick, "orient": "horizontal"}, drifted, x={"value": 0}, y=y, tooltip=tips),
        ]
    return _layered(layers, height=330, data=points)


def histogram(values: pd.DataFrame, metric: str) -> Spec:
    """A histogram over pairs: `values` has `side` (floor, candidate), `left`, `right`, `share`."""
    places = {
        "x": _q("left", title=metric, axis={"grid": False}, scale={"nice": False}),
        "x2": {"field": "right"},
        "y": _q("share", title="share of pairs", axis={"format": "%", "tickCount": 5}),
        "y2": {"datum": 0},
        "color": _sides(),
        "tooltip": [
            _n("side"),
            _q("left", title="from", format=".3f"),
            _q("right", title="to", format=".3f"),
            _q("share", format=".1%"),
        ],
    }
    layers = [
        _layer({"type": "rect", "opacity": opacity}, values[values["side"] == side], **places)
        for side, opacity in (("candidate", 0.8), ("floor", 0.45))
    ]
    return _layered(layers, height=300)


def by_category(means: pd.DataFrame, metric: str) -> Spec:
    """A row for each category: `category`, `n`, `floor`, `candidate`; in the given order."""
    long = means.melt(["category", "n"], ["floor", "candidate"], var_name="side", value_name="value").dropna()
    y = _n("category", sort=list(means["category"]), axis={**_PLAIN, "labelLimit": 180})
    link = {"type": "rule", "color": FLOOR, "strokeWidth": 2, "opacity": 0.6}
    links = _layer(link, means.dropna(), y=y, x=_q("floor", title=metric), x2={"field": "candidate"})
    dots = _layer(
        {"type": "point", "filled": True, "size": 80, "opacity": 1},
        long,
        y=y,
        x=_q("value", title=metric, scale=_ROUGH),
        color=_sides(),
        shape=_n("side", legend=None, scale=_scale(["floor", "candidate"], ["diamond", "circle"])),
        tooltip=[_n("category"), _n("side"), _q("value", format=".3f"), _q("n", title="prompts")],
    )
    return _layered([links, dots], height={"step": 26})


def along(profile: pd.DataFrame, metric: str, *, title: str = "tenth of the answer") -> Spec:
    """A profile along the output: `stretch` (1 is the first tenth), `side`, `value`, `low`, `high`."""
    own = {
        "x": _q("stretch", title=title, axis={"tickMinStep": 1, "grid": False}),
        "color": _sides(),
    }
    tips = [_n("side"), _q("stretch"), _q("value", format=".3f")]
    area = {"type": "area", "opacity": 0.2}
    band = _layer(area, **own, y=_q("low", title=metric), y2={"field": "high"})
    line = {"type": "line", "point": True, "strokeWidth": 2}
    value = _layer(line, **own, y=_q("value", title=metric, scale={"zero": False}), tooltip=tips)
    return _layered([band, value], height=250, data=profile)


def survival(curves: pd.DataFrame) -> Spec:
    """Survival curves, one per run: `token`, `share` (of answers that have not diverged), `side`, `run`."""
    line = _layer(
        {"type": "line", "interpolate": "step-after", "strokeWidth": 2},
        x=_q("token", title="token of the answer", axis={"tickMinStep": 1, "grid": False}),
        y=_q("share", title="not diverged", axis={"format": "%"}, scale={"domain": [0, 1]}),
        color=_sides(),
        detail=_n("run"),
        tooltip=[_n("side"), _q("token"), _q("share", format=".1%")],
    )
    return _layered([line], height=300, data=curves)


def shares(counts: pd.DataFrame) -> Spec:
    """Shares of answers: `what`, `side`, `share`, `count`."""
    bars = _layer(
        {"type": "bar", "height": 9, "cornerRadius": 2},
        y=_n("what", sort=None, axis={**_PLAIN, "labelLimit": 200}),
        yOffset=_n("side", sort=["baseline", "candidate"]),
        x=_q("share", title="share of answers", axis={"format": "%", "tickCount": 5}),
        color=_sides("baseline"),
        tooltip=[_n("what"), _n("side"), _q("count"), _q("share", format=".1%")],
    )
    return _layered([bars], height={"step": 13}, data=counts)


def scatter(pairs: pd.DataFrame, x: str, y: str) -> Spec:
    """A scatter of pairs by two columns. Dragging selects a range of both, as the selection `range`."""
    shown = pairs.iloc[:: max(1, -(-len(pairs) // MOST_POINTS))]
    data = pd.DataFrame(
        {"x": shown[x].to_numpy(), "y": shown[y].to_numpy(), "prompt": shown["prompt_id"].to_numpy()}
    ).dropna()
    dots = _layer(
        {"type": "circle", "size": 42, "opacity": 0.45, "color": CANDIDATE},
        x=_q("x", title=x, scale=_ROUGH),
        y=_q("y", title=y, scale=_ROUGH),
        tooltip=[_n("prompt"), _q("x", title=x, format=".3f"), _q("y", title=y, format=".3f")],
    )
    dots["params"] = [{"name": "range", "select": {"type": "interval"}}]
    return _layered([dots], height=300, data=data)


def surprise(tokens: pd.DataFrame, divergence: int | None) -> Spec:
    """Each token's log-probability in its own run: `place`, `side`, `logprob`, `token`, with the first divergence."""
    own = {
        "x": _q("place", title="token", axis={"tickMinStep": 1, "grid": False}),
        "y": _q("logprob", title="log-probability of the token, nats"),
        "color": _sides("baseline"),
    }
    tips = [
        _n("side"),
        _q("place", title="token"),
        _q("token", title="token id", format="d"),
        _q("logprob", format=".3f"),
    ]
    layers = [
        _layer({"type": "line", "strokeWidth": 1.3, "opacity": 0.7}, tokens, **own),
        _layer({"type": "circle", "size": 28}, tokens, **own, tooltip=tips),
    ]
    if divergence is not None:
        layers.append(_layer({**_DASHED, "color": "#b98314"}, pd.DataFrame({"place": [divergence]}), x=own["x"]))
    return _layered(layers, height=300)


def ladder(points: pd.DataFrame, title: str, *, floor: bool) -> Spec:
    """A row for each candidate with its interval, for one size; columns as in `drift`, with the floor as a band."""
    ordered = points.sort_values("value", ascending=False)
    y = _n("candidate", sort=list(ordered["candidate"]), axis={**_PLAIN, "labelLimit": 240})
    x = _q("value", title=title, scale=_ROUGH)
    layers: list[Spec] = []
    band = points[["floor", "floor_low", "floor_high"]].dropna().drop_duplicates()
    if floor and len(band) == 1:
        low, box = _q("floor_low", title=title), {"type": "rect", "color": FLOOR, "opacity": 0.28}
        name = {"type": "text", "text": "floor", "color": FLOOR, "fontWeight": 600, "align": "right", "dx": -6, "y": 8}
        layers += [
            _layer(box, band, x=low, x2={"field": "floor_high"}),
            _layer(_DASHED, band, x=_q("floor", title=title)),
            _layer(name, band, x=low),
        ]
    elif not floor:
        layers.append(_layer(_DASHED, pd.DataFrame({"value": [0.0]}), x=x))
    rule = {"type": "rule", "strokeWidth": 2, "color": CANDIDATE, "opacity": 0.75}
    dots = {"type": "point", "filled": True, "size": 80, "color": CANDIDATE, "opacity": 1}
    layers += [
        _layer(rule, ordered, y=y, x=_q("low", title=title), x2={"field": "high"}),
        _layer(dots, ordered, y=y, x=x, tooltip=[_n("candidate"), _n("format"), *_with_interval(title)]),
    ]
    return _layered(layers, height={"step": 34})


def _layered(layers: list[Spec], *, height: int | Spec, data: pd.DataFrame | None = None) -> Spec:
    """Layers on top of each other, as wide as the page; `data` is for layers without their own."""
    own = {} if data is None else _values(data, layers)
    return {**own, "layer": layers, "height": height, "width": "container"}


def _layer(mark: Spec, data: pd.DataFrame | None = None, /, **encoding: Any) -> Spec:
    return {**({} if data is None else _values(data, encoding)), "mark": mark, "encoding": encoding}


def _values(data: pd.DataFrame, drawn: Any) -> Spec:
    """The drawn columns of the rows as plain JSON, which has no NaN."""
    used = [name for name in data.columns if name in _fields(drawn)]
    columns = [[None if pd.isna(v) else v for v in data[name].tolist()] for name in used]
    return {"data": {"values": [dict(zip(used, row, strict=True)) for row in zip(*columns, strict=True)]}}


def _fields(drawn: Any) -> set[str]:
    """All columns that a specification uses."""
    match drawn:
        case {"field": str() as field}:
            return {field}
        case dict():
            return set().union(*map(_fields, drawn.values()), drawn.get("fields", ()))
        case list():
            return set().union(*map(_fields, drawn))
    return set()


def _q(field: str, *, title: str | None = "", **more: Any) -> Spec:
    return {"field": field, "type": "quantitative", "title": field if title == "" else title, **more}


def _n(field: str, *, title: str | None = None, **more: Any) -> Spec:
    return {"field": field, "type": "nominal", "title": title, **more}


def _with_interval(title: str) -> list[Spec]:
    ends = (("value", title), ("low", "from"), ("high", "to"))
    return [_q(field, title=label, format=".3f") for field, label in ends]


def _scale(names: Sequence[str], looks: Sequence[str]) -> Spec:
    return {"domain": list(names), "range": [looks[n % len(looks)] for n in range(len(names))]}


def _sides(other: str = "floor") -> Spec:
    legend = {"orient": "top", "symbolType": "square"}
    return _n("side", scale=_scale([other, "candidate"], [FLOOR, CANDIDATE]), legend=legend)


def _round(left: float, right: float) -> list[float]:
    """The labels of a log axis: powers of ten, and 2 and 5 times them if there are few."""
    powers = [10.0**n for n in range(int(math.log10(left)) - 1, int(math.log10(right)) + 2)]
    steps = (1.0,) if right > 1e3 * left else (1.0, 2.0, 5.0)
    return [step * power for power in powers for step in steps if left <= step * power <= right]
