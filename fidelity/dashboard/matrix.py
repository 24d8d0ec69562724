"""The matrix of sizes and formats, drawn by a component: a table that the keyboard can use, in both themes."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import streamlit as st

WITHIN, BEYOND = "0, 114, 178", "213, 94, 0"
"""The tint of an excess within and beyond the margin (blue and orange, for all kinds of color vision)."""
STRONGEST = 0.42
"""The opacity of the strongest tint, on which text is legible in both themes."""
Sign = Literal["pass", "fail", "inconclusive", "other"]


@dataclass(frozen=True, slots=True)
class Heading:
    """A column of the matrix."""

    format: str
    note: str = ""
    """What tells columns of the same format apart."""
    path: str = ""
    color: str = ""
    """The format's mark in the charts, as an SVG path."""


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """A cell with its texts."""

    id: str
    """The comparison that it opens; empty if there is none."""
    outcome: Sign
    word: str
    text: str
    tip: str
    label: str
    """The text for screen readers."""
    note: str = ""
    tint: str = ""
    hatched: bool = False
    """Whether it was not judged."""


@dataclass(frozen=True, slots=True)
class Row:
    """A model with a cell, or None, for each heading."""

    size: str
    note: str
    cells: Sequence[MatrixCell | None]


def draw(caption: str, headings: Sequence[Heading], rows: Sequence[Row]) -> str | None:
    """Draw the matrix. Returns the comparison of a cell that was just clicked."""
    folder = Path(__file__).parent
    component = st.components.v2.component(
        "matrix",
        html='<div class="matrix"></div>',
        css=(folder / "matrix.css").read_text("utf-8"),
        js=(folder / "matrix.js").read_text("utf-8"),
    )
    data = {
        "caption": caption,
        "headings": [asdict(heading) for heading in headings],
        "rows": [asdict(row) for row in rows],
    }
    opened: str | None = component(key="matrix", data=data, on_opened_change=lambda: None).opened
    return opened


def tint(excess: float | None, margin: float | None) -> str:
    """A cell's background: blue within the margin, orange beyond it, and none at the margin or without one."""
    if excess is None or margin is None:
        return ""
    distance = max(-1.0, min(1.0, excess / margin - 1.0))
    return f"rgba({BEYOND if distance > 0 else WITHIN}, {STRONGEST * abs(distance):.3f})"
