"""What the pages share: a chart with its downloads, choices that are kept in the URL, and text that can't act."""

import io
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import pandas as pd
import regex
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from fidelity.dashboard.cache import finished_computations, metrics_in, shelf
from fidelity.dashboard.catalog import CatalogEntry, Shelf
from fidelity.dashboard.charts import Spec
from fidelity.gate import Outcome
from fidelity.report.sanitize import one_line, visible

SYMBOLS: dict[Outcome, str] = {"pass": "✓", "fail": "✗", "inconclusive": "?"}
VEGA_LITE = "https://vega.github.io/schema/vega-lite/v6.json"
"""The grammar that the charts are written in."""
PICTURE_WIDTH = 720
_FINISHED = "found so far"
PREFERRED = ("rougeL", "sts", "prefix_agreement")
"""The metric that is shown first, where it was scored."""


def html(body: str) -> None:
    """Markup of ours; whatever comes from a store goes through `text` first."""
    st.html(body)


def text(raw: Any) -> str:
    """A stranger's text as markup that shows it and does nothing."""
    return escape(visible(str(raw)))


def label(raw: Any) -> str:
    """A stranger's text for a label, where Streamlit reads Markdown: every sign that could act is escaped."""
    escaped: str = regex.sub(r"([^\w\s])", r"\\\1", one_line(str(raw), most=200))
    return escaped


def banner(kind: str, title: str, why: str) -> None:
    """A line that says how it stands: `pass`, `fail`, `inconclusive` or `note`."""
    head = f"<b>{text(title)}</b>" if title else ""
    html(f'<div class="f-banner f-{kind}">{head}{text(why)}</div>')


def note(why: str) -> None:
    """Something that isn't there, and why."""
    banner("note", "", why)


def quiet(sentence: str) -> None:
    """A line in small print."""
    html(f'<div class="f-quiet">{text(sentence)}</div>')


def markup_table(headings: Sequence[str], rows: Sequence[Sequence[Any]], *, marked: Sequence[bool] = ()) -> None:
    """A small table for reading, whose cells are text; `marked` rows are highlighted."""
    head = "".join(f"<th>{text(heading)}</th>" for heading in headings)
    lines = [
        ('<tr class="differs">' if number < len(marked) and marked[number] else "<tr>")
        + "".join(f"<td>{text(cell)}</td>" for cell in row)
        + "</tr>"
        for number, row in enumerate(rows)
    ]
    table = f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody>"
    html(f'<div class="f-scroll"><table class="f-table">{table}</table></div>')


def choose_metric(
    shelf: Shelf, *, among: Sequence[str] | None = None, name: str = "Metric", key: str = "metric"
) -> str | None:
    """The metric of the whole page, kept in the URL; None where nothing was scored."""
    names = list(among) if among is not None else metrics_in(shelf)
    if not names:
        return None
    chosen: str | None = st.selectbox(name, names, index=names.index(first_metric(names)), key=key, bind="query-params")
    return chosen


def first_metric(names: Sequence[str]) -> str:
    """The one that is shown where none was chosen."""
    return next((preferred for preferred in PREFERRED if preferred in names), names[0])


def choose_comparison(shelf: Shelf) -> tuple[CatalogEntry | None, DeltaGenerator]:
    """The page's comparison, kept in the URL, and the place beside its choice.

    What can't be read is in the list too. None where there is none that can be shown, after a note that says why.
    """
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    ids = [entry.id for entry in shelf.entries]
    if not ids:
        note("There is no comparison in this store yet.")
        return None, right
    with left:
        asked = st.query_params.get("comparison")
        if asked and asked not in ids:
            note(f"The comparison {one_line(asked, most=120)} is not in this store any more; here is another one.")
        entry = shelf.entry(st.selectbox("Comparison", ids, key="comparison", bind="query-params"))
    if entry is not None and entry.state != "readable":
        note(f"This comparison can't be shown. {entry.why}")
        return None, right
    return entry, right


def chart(drawn: Spec, data: pd.DataFrame, name: str, *, on_select: Any = None, key: str | None = None) -> Any:
    """A chart with its downloads below; gives what is selected in it."""
    as_svg = {**drawn, "usermeta": {"embedOptions": {"renderer": "svg"}}}
    selected = st.vega_lite_chart(as_svg, key=key or f"chart-{name}", on_select=on_select or "ignore")
    downloads(data, name, drawn)
    return selected


@st.fragment  # a page of charts has dozens of buttons; they are there once somebody opens them
def downloads(data: pd.DataFrame, name: str, drawn: Spec | None = None) -> None:
    """The data as CSV and Parquet and, where there is one, the chart as SVG and PNG; made when they are asked for."""
    made: dict[str, tuple[str, Callable[[], bytes]]] = {
        "CSV": ("text/csv", lambda: data.to_csv(index=False).encode()),
        "Parquet": ("application/vnd.apache.parquet", lambda: _parquet(data)),
    }
    if drawn is not None:
        made |= {
            "SVG": ("image/svg+xml", lambda: _picture(drawn, "svg")),
            "PNG": ("image/png", lambda: _picture(drawn, "png")),
        }
    with st.popover(
        "Download", icon=":material/download:", type="tertiary", key=f"downloads-{name}", on_change="rerun"
    ) as opened:
        if opened.open:
            with st.container(horizontal=True):
                for kind, (mime, make) in made.items():
                    file, key = f"{name}.{kind.lower()}", f"{name}-{kind}"
                    st.download_button(kind, make, file_name=file, mime=mime, key=key, on_click="ignore")


@st.fragment(run_every=3.0)
def refresh(stamp: str) -> None:
    """Draws the page anew as soon as something has changed in the store."""
    if shelf().stamp != stamp:
        st.rerun()


def begin_page() -> None:
    """Note how much was found before the page is drawn."""
    st.session_state[_FINISHED] = finished_computations()


def come_back() -> None:
    """Draws the page anew when something is there that was still being found."""
    _rerun_after(st.session_state[_FINISHED])


@st.fragment(run_every=1.0)
def _rerun_after(before: int) -> None:
    if finished_computations() != before:
        st.rerun()


def _parquet(data: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    data.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _picture(drawn: Spec, kind: str) -> bytes:
    import vl_convert

    spec = {"$schema": VEGA_LITE, "background": "white", **drawn, "width": PICTURE_WIDTH}
    if kind == "png":
        return bytes(vl_convert.vegalite_to_png(spec, scale=2))
    return str(vl_convert.vegalite_to_svg(spec)).encode()
