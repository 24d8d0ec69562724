"""The list of pairs: a custom component, because no widget of Streamlit opens a row by click and keyboard."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import streamlit as st

REVIEWER = "fidelity_reviewer"
"""The cookie with the reviewer's name, which stays in this browser."""
CellText = str | tuple[str, ...]
"""A cell's text; as a tuple, every second piece is highlighted."""


@dataclass(frozen=True, slots=True)
class ListColumn:
    """A column of the list."""

    name: str
    kind: Literal["name", "prompt", "flags", "number"]
    help: str = ""


@dataclass(frozen=True, slots=True)
class ListRow:
    """A pair in the list."""

    key: str
    cells: tuple[CellText, ...]


def show_list(
    columns: Sequence[ListColumn],
    rows: Sequence[ListRow],
    *,
    open_key: str,
    reviewer: str,
    key: str,
    on_open: Callable[[str], None],
) -> None:
    """Draw the list with the open pair's row selected; `on_open` is called with the key of a row that is opened."""
    drawn = {"columns": [asdict(column) for column in columns], "rows": [asdict(row) for row in rows]}
    stamp = hashlib.sha256(json.dumps(drawn).encode()).hexdigest()
    data = {**drawn, "stamp": stamp, "open": open_key, "label": "Pairs", "reviewer": reviewer, "cookie": REVIEWER}

    def opened() -> None:
        if chosen := st.session_state[key].open:
            on_open(chosen)

    _component()(key=key, data=data, on_open_change=opened)


@cache
def _component() -> Any:
    script, style = (
        Path(__file__).with_name(f"pair_list.{kind}").read_text(encoding="utf-8") for kind in ("js", "css")
    )
    return st.components.v2.component("fidelity.pair_list", html='<div class="list"></div>', css=style, js=script)
