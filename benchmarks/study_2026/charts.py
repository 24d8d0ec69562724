"""The charts of docs/study-2026.md. They need `altair[save]`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
from measures import Row

MODELS = {
    "smollm2-135m": "SmolLM2-135M",
    "gemma-3-270m": "Gemma 3 270M",
    "s": "SmolLM2-135M",
    "g": "Gemma 3 270M",
    "p": "SmolLM2-135M, padded",
    "sl": "SmolLM2-135M, 1,024 tokens",
    "c": "SmolLM2-135M, CPU",
    "cg": "SmolLM2-135M, llama.cpp on CPU",
}
GPU = tuple(key for key in MODELS if key not in ("c", "cg"))
"""Families with Arena-Hard's prompts; those on CPU have others, and a chart of their own."""
WIDTH, HEIGHT = 560, 360
LETTER, LINE = 5.6, 11
"""Pixels of a label's letter and line at 9 points, in a wide font."""


def draw(rows: Mapping[str, Row], folder: Path) -> None:
    """Write every chart as `study-2026-NAME.svg`."""
    charts = {"formats": formats, "survival": survival, "predictors": predictors, "bytes": size, "tokens": tokens}
    for name, chart in charts.items():
        made = chart(rows).configure_view(stroke=None).configure_axis(grid=False).configure_legend(labelLimit=0)
        made = made.properties(padding={"left": 25, "top": 5, "bottom": 5, "right": 60})  # viewers' fonts are wider
        made.save(str(folder / f"study-2026-{name}.svg"))


def formats(rows: Mapping[str, Row]) -> Any:
    """Excess of ROUGE-1, with intervals."""
    data = pd.DataFrame(
        [
            {
                "model": MODELS[row.family],
                "format": row.format.removesuffix("-g64"),
                "excess": e.value,
                "low": e.low,
                "high": e.high,
            }
            for row in _of(rows, GPU)
            if (e := row.excess.get("rouge1"))
        ]
    )
    base = alt.Chart(data, width=460, height=280).encode(
        y=alt.Y("format:N", title=None, sort=alt.EncodingSortField("excess", op="mean"), axis=alt.Axis(labelLimit=0)),
        yOffset="model:N",
        color=alt.Color("model:N", title=None),
    )
    marks = base.mark_point(filled=True, size=45).encode(x=alt.X("excess:Q", title="excess of ROUGE-1 over the floor"))
    return base.mark_rule().encode(x="low:Q", x2="high:Q") + marks


def survival(rows: Mapping[str, Row]) -> Any:
    """The share of answers that are still the baseline's, by token and mode."""
    shown = ("floor", "kv-fp8", "w8a8-int8", "w4a16", "w4a16-g64", "compiled")
    names = [row.name for row in _of(rows, GPU) if MODELS[row.family] != "Gemma 3 270M" and row.format in shown]
    data = pd.DataFrame(
        [{"run": name, "token": n, "share": rows[name].survival[n]} for name in names for n in rows[name].survival]
    )
    return (
        alt.Chart(data, width=520, height=280)
        .mark_line(point=True)
        .encode(
            x=alt.X("token:Q", title="after so many tokens", scale=alt.Scale(type="log", base=4)),
            y=alt.Y("share:Q", title="answers that are still the baseline's", axis=alt.Axis(format="%")),
            color=alt.Color("run:N", title=None, sort=names),
        )
    )


def predictors(rows: Mapping[str, Row]) -> Any:
    """Drift against the share of answers with a conflict."""
    own = [row for row in _of(rows, GPU) if not row.floor and "conflict_any" in row.means]
    data = [{**_named(row), "x": 1 - row.means["rouge1"], "y": row.means["conflict_any"]} for row in own]
    return _labelled(data, "1 - ROUGE-1", "answers with a conflict", percent=True)


def size(rows: Mapping[str, Row]) -> Any:
    """Bytes on disk against what changes."""
    data = []
    for row in _of(rows, GPU):
        base = rows[f"{row.family}-floor"].bytes
        if not row.floor and base and row.bytes and row.bytes != base:
            data.append({**_named(row), "x": row.bytes / base, "y": row.excess["rouge1"].value})
    return _labelled(data, "bytes, of BF16", "excess of ROUGE-1")


def tokens(rows: Mapping[str, Row]) -> Any:
    """Acceptance of every token against the meaning of the answers, on CPU."""
    own = [row for row in _of(rows, ("c",)) if {"ear_exact", "sts"} <= set(row.means)]
    data = [{**_named(row), "x": 1 - row.means["ear_exact"], "y": row.means["sts"]} for row in own]
    return _labelled(data, "1 - EAR, exact", "STS of the answers")


def _of(rows: Mapping[str, Row], families: tuple[str, ...]) -> list[Row]:
    return [row for row in rows.values() if row.family in families]


def _named(row: Row) -> dict[str, Any]:
    return {"model": MODELS[row.family], "format": row.format}


def _labelled(data: list[dict[str, Any]], x: str, y: str, *, percent: bool = False) -> Any:
    """Points with the names of their formats, none upon another or upon a point."""
    scales = {axis: _domain([row[axis] for row in data]) for axis in ("x", "y")}
    pixels = [
        (
            (row["x"] - scales["x"][0]) / (scales["x"][1] - scales["x"][0]) * WIDTH,
            (scales["y"][1] - row["y"]) / (scales["y"][1] - scales["y"][0]) * HEIGHT,
        )
        for row in data
    ]
    places = label_places(pixels, [row["format"] for row in data])
    moved = [{**row, "dx": dx, "dy": dy} for row, (dx, dy) in zip(data, places, strict=True)]
    encoded = {
        "x": alt.X("x:Q", title=x, scale=alt.Scale(domain=scales["x"], nice=False)),
        "y": alt.Y(
            "y:Q",
            title=y,
            scale=alt.Scale(domain=scales["y"], nice=False),
            axis=alt.Axis(format="%") if percent else alt.Axis(),
        ),
    }
    base = alt.Chart(pd.DataFrame(moved), width=WIDTH, height=HEIGHT).encode(**encoded)
    chart = base.mark_point(filled=True, size=50).encode(color=alt.Color("model:N", title=None))
    for row in moved:
        one = alt.Chart(pd.DataFrame([row])).encode(**encoded, text="format:N")
        chart += one.mark_text(dx=row["dx"], dy=row["dy"], align="left", baseline="middle", fontSize=9)
    return chart


def _domain(values: list[float]) -> list[float]:
    """The values with room for labels; no negative end for values that are never negative."""
    room = 0.08 * (max(values) - min(values))
    low = min(values) - room
    return [max(low, 0.0) if min(values) >= 0 else low, max(values) + room]


def label_places(points: list[tuple[float, float]], labels: list[str]) -> list[tuple[float, float]]:
    """Where each label begins, relative to its point: the first free place to its right, left, above or below.

    Args:
        points: Pixels from the left and the top.
        labels: Their texts.
    """
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in points]
    places = []
    for (x, y), label in zip(points, labels, strict=True):
        wide = len(label) * LETTER
        sides = [
            (7.0, 0.0),
            (-7 - wide, 0.0),
            *((dx, dy) for dy in (-11.0, 11.0, -22.0, 22.0) for dx in (-wide / 2, 3.0)),
        ]
        boxes = [(x + dx, y + dy - LINE / 2, x + dx + wide, y + dy + LINE / 2) for dx, dy in sides]
        inside = [n for n, box in enumerate(boxes) if box[0] >= 0]
        free = next((n for n in inside if not any(_overlap(boxes[n], other) for other in taken)), 0)
        taken.append(boxes[free])
        places.append(sides[free])
    return places


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
