"""Downloads of the listed pairs with their texts, made when you ask for them."""

import json
from pathlib import Path

import pandas as pd
import streamlit as st

from fidelity.dashboard.cache import reviews
from fidelity.dashboard.catalog import CatalogEntry, Shelf
from fidelity.dashboard.pair_table import KEYS, texts_of
from fidelity.report.rows import as_csv, as_jsonl


@st.fragment
def text_downloads(shelf: Shelf, entry: CatalogEntry, listed: pd.DataFrame, numbers: pd.DataFrame) -> None:
    """A menu with JSONL and CSV."""
    name = f"{entry.id}-pairs-with-texts"
    with (
        st.popover(
            "Download with texts", icon=":material/download:", type="tertiary", key=f"texts-{name}", on_change="rerun"
        ) as menu,
    ):
        if menu.open:
            path = shelf.root / "comparisons" / entry.id
            with st.container(horizontal=True):
                for kind, mime, write in (("JSONL", "application/jsonl", as_jsonl), ("CSV", "text/csv", as_csv)):
                    st.download_button(
                        kind,
                        lambda write=write: write(_rows(path, shelf, entry, listed, numbers)).encode(),  # type: ignore[misc]
                        file_name=f"{name}.{kind.lower()}",
                        mime=mime,
                        key=f"{name}-{kind}",
                        on_click="ignore",
                    )


def _rows(
    path: Path, shelf: Shelf, entry: CatalogEntry, listed: pd.DataFrame, numbers: pd.DataFrame
) -> list[dict[str, object]]:
    """A row for each pair: its numbers, its texts, and the votes on it."""
    votes: dict[tuple[str, int], list[object]] = {}
    for one in reviews(shelf, entry.id):
        own = {"reviewer": one.reviewer, "vote": one.vote, "note": one.note, "tags": list(one.tags)}
        votes.setdefault(one.pair, []).append(own)
    table = numbers.merge(texts_of(path, listed), on=KEYS)
    rows = json.loads(table.to_json(orient="records", double_precision=15))
    return [{**row, "reviews": votes.get((row["prompt_id"], row["repeat"]), [])} for row in rows]
