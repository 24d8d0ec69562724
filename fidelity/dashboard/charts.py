"""The charts of one comparison and of its pairs."""

import pandas as pd

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
    sides,
)

OUTCOMES = {"pass": ("#2B8A57", "circle"), "fail": ("#D2453C", "cross"), "inconclusive": ("#A87800", "diamond")}
"""The color and the shape of each outcome."""
MOST_POINTS = 4_000
"""The maximum number of points in a scatter; larger ones are thinned evenly."""


def histogram(values: pd.DataFrame, metric: str) -> Spec:
    """A histogram over pairs: `values` has `side` (floor, candidate), `left`, `right`, `share`."""
    places = {
        "x": quantity("left", title=metric, axis={"grid": False}, scale={"nice": False}),
        "x2": {"field": "right"},
        "y": quantity("share", title="share of pairs", axis={"format": "%", "tickCount": 5}),
        "y2": {"datum": 0},
        "color": sides(),
        "tooltip": [
            nominal("side"),
            quantity("left", title="from", format=".3f"),
            quantity("right", title="to", format=".3f"),
            quantity("share", format=".1%"),
        ],
    }
    layers = [
        layer({"type": "rect", "opacity": opacity}, values[values["side"] == side], **places)
        for side, opacity in (("candidate", 0.8), ("floor", 0.45))
    ]
    return layered(layers, height=300)


def slices(means: pd.DataFrame, title: str) -> Spec:
    """A row for each slice, in the given order: `slice`, `n`, `value`, `low`, `high`. A mark's area is its n."""
    y = nominal("slice", sort=list(means["slice"]), axis={**PLAIN, "labelLimit": 180})
    x = quantity("value", title=title, scale={"zero": True, "nice": True})
    n = {"align": "left", "dx": 8, "type": "text"}
    counted = means.assign(count=[f"n = {count:,}" for count in means["n"]])
    tips = [nominal("slice"), *interval_tips(title), quantity("n", title="prompts")]
    size = quantity("n", legend=None, scale={"rangeMin": 12, "rangeMax": 160})
    layers = [
        layer(
            {"type": "rule", "color": CANDIDATE, "strokeWidth": 2, "opacity": 0.6},
            y=y,
            x=quantity("low", title=title),
            x2={"field": "high"},
        ),
        layer({"type": "point", "filled": True, "color": CANDIDATE, "opacity": 1}, y=y, x=x, size=size, tooltip=tips),
        layer(n, counted, y=y, x={"value": "width"}, text=nominal("count")),
    ]
    return layered(layers, height={"step": 24}, data=means)


def along(profile: pd.DataFrame, metric: str, *, title: str = "tenth of the answer") -> Spec:
    """A profile along the output: `stretch` (1 is the first tenth), `side`, `value`, `low`, `high`."""
    own = {
        "x": quantity("stretch", title=title, axis={"tickMinStep": 1, "grid": False}),
        "color": sides(),
    }
    tips = [nominal("side"), quantity("stretch"), quantity("value", format=".3f")]
    area = {"type": "area", "opacity": 0.2}
    band = layer(area, **own, y=quantity("low", title=metric), y2={"field": "high"})
    line = {"type": "line", "point": True, "strokeWidth": 2}
    value = layer(line, **own, y=quantity("value", title=metric, scale={"zero": False}), tooltip=tips)
    return layered([band, value], height=250, data=profile)


def survival(curves: pd.DataFrame) -> Spec:
    """Survival curves, one per run: `token`, `share` (of answers that have not diverged), `side`, `run`."""
    line = layer(
        {"type": "line", "interpolate": "step-after", "strokeWidth": 2},
        x=quantity("token", title="token of the answer", axis={"tickMinStep": 1, "grid": False}),
        y=quantity("share", title="not diverged", axis={"format": "%"}, scale={"domain": [0, 1]}),
        color=sides(),
        detail=nominal("run"),
        tooltip=[nominal("side"), quantity("token"), quantity("share", format=".1%")],
    )
    return layered([line], height=300, data=curves)


def shares(counts: pd.DataFrame) -> Spec:
    """Shares of answers: `what`, `side`, `share`, `count`."""
    bars = layer(
        {"type": "bar", "height": 9, "cornerRadius": 2},
        y=nominal("what", sort=None, axis={**PLAIN, "labelLimit": 200}),
        yOffset=nominal("side", sort=["baseline", "candidate"]),
        x=quantity("share", title="share of answers", axis={"format": "%", "tickCount": 5}),
        color=sides("baseline"),
        tooltip=[nominal("what"), nominal("side"), quantity("count"), quantity("share", format=".1%")],
    )
    return layered([bars], height={"step": 13}, data=counts)


def scatter(pairs: pd.DataFrame, x: str, y: str) -> Spec:
    """A scatter of pairs by two columns. Dragging selects a range of both, as the selection `range`."""
    shown = pairs.iloc[:: max(1, -(-len(pairs) // MOST_POINTS))]
    data = pd.DataFrame(
        {"x": shown[x].to_numpy(), "y": shown[y].to_numpy(), "prompt": shown["prompt_id"].to_numpy()}
    ).dropna()
    dots = layer(
        {"type": "circle", "size": 42, "opacity": 0.45, "color": CANDIDATE},
        x=quantity("x", title=x, scale=ROUGH),
        y=quantity("y", title=y, scale=ROUGH),
        tooltip=[nominal("prompt"), quantity("x", title=x, format=".3f"), quantity("y", title=y, format=".3f")],
    )
    dots["params"] = [{"name": "range", "select": {"type": "interval"}}]
    return layered([dots], height=300, data=data)


def surprise(tokens: pd.DataFrame, divergence: int | None) -> Spec:
    """Each token's log-probability in its own run: `place`, `side`, `logprob`, `token`, with the first divergence."""
    own = {
        "x": quantity("place", title="token", axis={"tickMinStep": 1, "grid": False}),
        "y": quantity("logprob", title="log-probability of the token, nats"),
        "color": sides("baseline"),
    }
    tips = [
        nominal("side"),
        quantity("place", title="token"),
        quantity("token", title="token id", format="d"),
        quantity("logprob", format=".3f"),
    ]
    layers = [
        layer({"type": "line", "strokeWidth": 1.3, "opacity": 0.7}, tokens, **own),
        layer({"type": "circle", "size": 28}, tokens, **own, tooltip=tips),
    ]
    if divergence is not None:
        layers.append(layer({**DASHED, "color": "#b98314"}, pd.DataFrame({"place": [divergence]}), x=own["x"]))
    return layered(layers, height=300)


def history(points: pd.DataFrame, title: str, *, share: bool) -> Spec:
    """A gate line over time: `comparison` in order, `candidate`, `value`, `low`, `high`, `limit`, `outcome`."""
    form = {"axis": {"format": "%"}} if share else {}
    order = list(dict.fromkeys(points["comparison"]))
    x = nominal(
        "comparison", sort=order, axis={"labelAngle": -35, "labelLimit": 190, "labelOverlap": False, "ticks": False}
    )
    y = quantity("value", title=title, **form)
    own = nominal("outcome", scale=scale(list(OUTCOMES), [color for color, _ in OUTCOMES.values()]), legend=None)
    shape = nominal("outcome", scale=scale(list(OUTCOMES), [shape for _, shape in OUTCOMES.values()]), legend=None)
    tips = [
        *(nominal(name) for name in ("candidate", "created", "outcome")),
        *(quantity(name, format=".1%" if share else ".3f") for name in ("value", "low", "high", "limit")),
    ]
    layers = [
        layer({**DASHED, "type": "line", "interpolate": "step"}, x=x, y=quantity("limit", title=title, **form)),
        layer({"type": "line", "color": FLOOR, "opacity": 0.6}, x=x, y=y, detail=nominal("candidate")),
        layer(
            {"type": "rule", "strokeWidth": 2},
            x=x,
            y=quantity("low", title=title, **form),
            y2={"field": "high"},
            color=own,
        ),
        layer(
            {"type": "point", "filled": True, "size": 90, "opacity": 1}, x=x, y=y, color=own, shape=shape, tooltip=tips
        ),
        layer(
            {"type": "text", "text": "limit", "align": "right", "dy": -7, "fontWeight": 600},
            points.tail(1),
            x={"value": "width"},
            y=quantity("limit", title=title, **form),
        ),
    ]
    return layered(layers, height=300, data=points)
