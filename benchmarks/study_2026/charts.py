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
}


def draw(rows: Mapping[str, Row], folder: Path) -> None:
    """Write every chart as `study-2026-NAME.svg`."""
    charts = {"formats": formats, "survival": survival, "predictors": predictors, "bytes": size}
    for name, chart in charts.items():
        made = chart(rows).configure_view(stroke=None).configure_axis(grid=False).configure_legend(labelLimit=0)
        made = made.properties(padding={"left": 5, "top": 5, "bottom": 5, "right": 60})  # viewers' fonts are wider
        made.save(str(folder / f"study-2026-{name}.svg"))


def formats(rows: Mapping[str, Row]) -> Any:
    """Excess of ROUGE-1 and of the exact acceptance rate, with intervals."""
    data = pd.DataFrame(
        [
            {
                "model": MODELS[row.family],
                "format": row.format,
                "column": title,
                "excess": e.value,
                "low": e.low,
                "high": e.high,
            }
            for row in rows.values()
            if row.family in MODELS
            for key, title in (("rouge1", "ROUGE-1"), ("ear_exact", "EAR, exact"))
            if (e := row.excess.get(key))
        ]
    )
    base = alt.Chart(data, width=330, height=260).encode(
        y=alt.Y("format:N", title=None, sort=alt.EncodingSortField("excess", op="mean")),
        yOffset="model:N",
        color=alt.Color("model:N", title=None),
    )
    marks = base.mark_point(filled=True, size=45).encode(x=alt.X("excess:Q", title="excess over the floor"))
    return (
        (base.mark_rule().encode(x="low:Q", x2="high:Q") + marks)
        .facet(column=alt.Column("column:N", title=None))
        .resolve_scale(x="independent")
    )


def survival(rows: Mapping[str, Row]) -> Any:
    """The share of answers that are still the baseline's, by token and mode."""
    shown = ("floor", "kv-fp8", "w8a8-int8", "w4a16", "w4a16-g64", "compiled")
    names = [name for name, row in rows.items() if MODELS.get(row.family) != "Gemma 3 270M" and row.format in shown]
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
    own = [row for row in rows.values() if row.family in MODELS and not row.floor and "conflict_any" in row.means]
    data = [{**_named(row), "drift": 1 - row.means["rouge1"], "conflicts": row.means["conflict_any"]} for row in own]
    x = alt.X("drift:Q", title="1 - ROUGE-1")
    return _labelled(data, x, alt.Y("conflicts:Q", title="answers with a conflict", axis=alt.Axis(format="%")))


def size(rows: Mapping[str, Row]) -> Any:
    """Bytes on disk against what changes."""
    own = [row for row in rows.values() if row.family in MODELS and row.bytes and not row.floor]
    data = []
    for row in own:
        base = rows[f"{row.family}-floor"].bytes
        if base and row.bytes and row.bytes != base:
            data.append({**_named(row), "bytes": row.bytes / base, "drift": row.excess["rouge1"].value})
    x = alt.X("bytes:Q", title="bytes, of BF16", scale=alt.Scale(zero=False))
    return _labelled(data, x, alt.Y("drift:Q", title="excess of ROUGE-1", scale=alt.Scale(zero=False)))


def _named(row: Row) -> dict[str, Any]:
    return {"model": MODELS[row.family], "format": row.format}


def _labelled(data: list[dict[str, Any]], x: alt.X, y: alt.Y) -> Any:
    """Points with the names of their formats."""
    base = alt.Chart(pd.DataFrame(data), width=460, height=300).encode(x=x, y=y)
    names = base.mark_text(dx=6, align="left", fontSize=9).encode(text="format:N")
    return base.mark_point(filled=True, size=50).encode(color=alt.Color("model:N", title=None)) + names
