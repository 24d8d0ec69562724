"""Vega-Lite specifications from tables of plain numbers: layers, channels, and colors for all kinds of color vision.

They are dicts, since Altair's objects take a third of a second per page (docs/decisions/006-dashboard.md).
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd

FLOOR, CANDIDATE = "#8D96A3", "#1F86C9"
PLAIN = {"labelFlush": False, "domain": False, "ticks": False}
ROUGH = {"zero": False, "nice": True}
DASHED = {"type": "rule", "color": FLOOR, "strokeDash": [4, 3], "strokeWidth": 1.5}
Spec = dict[str, Any]


def layered(layers: list[Spec], *, height: int | Spec, data: pd.DataFrame | None = None) -> Spec:
    """Layers on top of each other, as wide as the page; `data` is for layers without their own."""
    own = {} if data is None else _values(data, layers)
    return {**own, "layer": layers, "height": height, "width": "container"}


def layer(mark: Spec, data: pd.DataFrame | None = None, /, **encoding: Any) -> Spec:
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


def quantity(field: str, *, title: str | None = "", **more: Any) -> Spec:
    return {"field": field, "type": "quantitative", "title": field if title == "" else title, **more}


def nominal(field: str, *, title: str | None = None, **more: Any) -> Spec:
    return {"field": field, "type": "nominal", "title": title, **more}


def interval_tips(title: str) -> list[Spec]:
    ends = (("value", title), ("low", "from"), ("high", "to"))
    return [quantity(field, title=label, format=".3f") for field, label in ends]


def scale(names: Sequence[str], looks: Sequence[str]) -> Spec:
    return {"domain": list(names), "range": [looks[n % len(looks)] for n in range(len(names))]}


def sides(other: str = "floor") -> Spec:
    legend = {"orient": "top", "symbolType": "square"}
    return nominal("side", scale=scale([other, "candidate"], [FLOOR, CANDIDATE]), legend=legend)
