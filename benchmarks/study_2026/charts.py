"""The charts of docs/study-2026.md. They need `altair[save]`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
from measures import Row

MODELS = {
    "s": "SmolLM2-135M",
    "g": "Gemma 3 270M",
    "p": "SmolLM2-135M, padded",
    "c": "SmolLM2-135M, CPU",
    "cg": "SmolLM2-135M, llama.cpp on CPU",
}
GPU = ("s", "g")
"""The two models with three controls; those on CPU have other prompts, and a chart of their own."""
WIDTH, HEIGHT = 560, 360
LETTER, LINE = 5.6, 11
"""Pixels of a label's letter and line at 9 points, in a wide font."""


def draw(rows: Mapping[str, Row], folder: Path) -> None:
    """Write every chart as `study-2026-NAME.svg`."""
    charts = {
        "noise": noise,
        "formats": formats,
        "size": size,
        "survival": survival,
        "predictors": predictors,
        "methods": methods,
        "bytes": bytes_and_drift,
        "tokens": tokens,
    }
    for name, chart in charts.items():
        made = chart(rows).configure_view(stroke=None).configure_axis(grid=False).configure_legend(labelLimit=0)
        made = made.properties(padding={"left": 25, "top": 5, "bottom": 5, "right": 60})  # viewers' fonts are wider
        made.save(str(folder / f"study-2026-{name}.svg"))


def noise(rows: Mapping[str, Row]) -> Any:
    """The share of answers that change, with a mark for those that change without quantization."""
    floors = {family: 1 - rows[f"{family}-floor"].means["identical"] for family in GPU}
    data = pd.DataFrame(
        [
            {**_named(row), "changed": 1 - row.means["identical"], "floor": floors[row.family]}
            for row in _of(rows, GPU)
            if not row.floor
        ]
    )
    base = alt.Chart(data, width=460, height=300).encode(
        y=alt.Y("format:N", title=None, sort=alt.EncodingSortField("changed", op="mean"), axis=alt.Axis(labelLimit=0)),
        yOffset="model:N",
        color=alt.Color("model:N", title=None),
    )
    share = alt.X("changed:Q", title="answers that change; tick: in other batches of BF16", axis=alt.Axis(format="%"))
    return base.mark_bar(opacity=0.5).encode(x=share) + base.mark_tick(thickness=3).encode(x="floor:Q")


def formats(rows: Mapping[str, Row]) -> Any:
    """Excess of ROUGE-1, with intervals."""
    return _excess(
        [row for row in _of(rows, GPU) if "rouge1" in row.excess], "rouge1", "excess of ROUGE-1 over the floor"
    )


def size(rows: Mapping[str, Row]) -> Any:
    """Excess of EAR in the formats that both models have, with intervals."""
    own = [row for row in _of(rows, GPU) if "ear_exact" in row.excess]
    both = [row for row in own if {f"{family}-{row.format}" for family in GPU} <= set(rows)]
    return _excess(both, "ear_exact", "excess of EAR over the floor")


def _excess(rows: list[Row], key: str, title: str) -> Any:
    data = pd.DataFrame(
        [{**_named(row), "excess": (e := row.excess[key]).value, "low": e.low, "high": e.high} for row in rows]
    )
    base = alt.Chart(data, width=460, height=280).encode(
        y=alt.Y("format:N", title=None, sort=alt.EncodingSortField("excess", op="mean"), axis=alt.Axis(labelLimit=0)),
        yOffset="model:N",
        color=alt.Color("model:N", title=None),
    )
    marks = base.mark_point(filled=True, size=45).encode(x=alt.X("excess:Q", title=title))
    return base.mark_rule().encode(x="low:Q", x2="high:Q") + marks


def survival(rows: Mapping[str, Row]) -> Any:
    """The share of answers that are still the baseline's, by token and mode."""
    names = [f"s-{name}" for name in ("floor", "compiled", "kv-fp8", "w8a8-int8", "w4a16-g64")]
    names += ["si-floor", "sl-floor", "g-floor", "gi-floor"]
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
    """Tokens that change their first choice, against the share of the baseline's right answers that are lost."""
    own = [row for row in _of(rows, GPU) if not row.floor]
    lost = [row.expected["drop"] / row.expected["baseline"] for row in own]
    data = [
        {**_named(row), "x": 1 - row.means["top1_agreement"], "y": share} for row, share in zip(own, lost, strict=True)
    ]
    return _labelled(data, "1 - top-1 agreement", "the baseline's right answers that are lost", percent=True)


def methods(rows: Mapping[str, Row]) -> Any:
    """Exact KL of the formats with four bits."""
    own = [row for row in _of(rows, (*GPU, "p")) if row.format.startswith(("w4", "nvfp4", "8da4w"))]
    data = pd.DataFrame([{**_named(row), "kl": row.means["kl"]} for row in own])
    return (
        alt.Chart(data, width=460, height=260)
        .mark_point(filled=True, size=70)
        .encode(
            x=alt.X("kl:Q", title="exact KL, nats per token", scale=alt.Scale(type="log")),
            y=alt.Y("format:N", title=None, sort=alt.EncodingSortField("kl", op="mean"), axis=alt.Axis(labelLimit=0)),
            color=alt.Color("model:N", title=None),
            shape=alt.Shape("model:N", title=None),
        )
    )


def bytes_and_drift(rows: Mapping[str, Row]) -> Any:
    """Bytes on disk against what changes."""
    data = []
    for row in _of(rows, GPU):
        base = rows[f"{row.family}-floor"].bytes
        if not row.floor and base and row.bytes and row.bytes != base:
            data.append({**_named(row), "x": row.bytes / base, "y": 1 - row.means["ear_exact"]})
    return _labelled(data, "bytes, of BF16", "1 - EAR, exact")


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
