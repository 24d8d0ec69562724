"""Shared by the pages: charts with downloads, choices in the URL, and escaped text."""

import io
from collections.abc import Callable, Sequence
from functools import wraps
from html import escape
from typing import Any

import pandas as pd
import regex
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from fidelity.dashboard.cache import finished_computations, metrics_in, shelf
from fidelity.dashboard.catalog import CatalogEntry, Shelf
from fidelity.dashboard.terms import TERMS, explained, help_of, help_of_column
from fidelity.dashboard.vega import Spec
from fidelity.gate import Outcome
from fidelity.outside.strings import one_line, visible

SYMBOLS: dict[Outcome, str] = {"pass": "✓", "fail": "✗", "inconclusive": "?"}
VEGA_LITE = "https://vega.github.io/schema/vega-lite/v6.json"
"""The schema of the charts."""
EMBEDDED = {
    "renderer": "svg",
    "formatLocale": {"decimal": ".", "thousands": ",", "grouping": [3], "currency": ["$", ""], "minus": "-"},
}
"""Charts are SVG, with the minus sign of all other numbers."""
PICTURE_WIDTH = 720
CELLS = {"Why": "f-why", "Model": "f-short", "Verdict": "f-short", "Outcome": "f-short"}
"""Classes of the cells below a heading."""
_FINISHED = "found so far"
PREFERRED = ("rougeL", "sts", "prefix_agreement")
"""The metric that is shown first, if it was scored."""


def symbol_of(outcome: str) -> str:
    """The symbol of an outcome; empty for none."""
    return next((symbol for known, symbol in SYMBOLS.items() if known == outcome), "")


def title(name: str, question: str) -> None:
    """Draw a page's heading: its name for the window, and the question that it answers."""
    html(f'<h1 class="f-title">{text(name)}<span>{text(question)}</span></h1>')


def plural(count: int, noun: str) -> str:
    """A count with its noun: "1 cell", "2 cells"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def html(body: str) -> None:
    """Draw trusted markup. Strings from a store must go through `text` first."""
    st.html(body)


def text(raw: Any) -> str:
    """Escape foreign text for markup."""
    return escape(visible(str(raw)))


def counted(n: int, noun: str) -> str:
    """A number with its noun: `1 token`, `1,024 tokens`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def label(raw: Any) -> str:
    """Escape foreign text for a label, which Streamlit reads as Markdown."""
    escaped: str = regex.sub(r"([^\w\s])", r"\\\1", one_line(str(raw), most=200))
    return escaped


def banner(kind: str, title: str, why: str) -> None:
    """Draw a banner: `pass`, `fail`, `inconclusive` or `note`."""
    head = f"<b>{text(title)}</b>" if title else ""
    html(f'<div class="f-banner f-{kind}">{head}{text(why)}</div>')


def note(why: str) -> None:
    """Draw a note that something is missing, with the reason."""
    banner("note", "", why)


def quiet(sentence: str) -> None:
    """Draw a line in small print."""
    html(f'<div class="f-quiet">{text(sentence)}</div>')


def markup_table(headings: Sequence[str], rows: Sequence[Sequence[Any]], *, marked: Sequence[bool] = ()) -> None:
    """Draw a small table of text with tips for its terms and columns; `marked` rows are highlighted."""
    head = "".join(f"<th>{explained(heading, help_of(heading))}</th>" for heading in headings)
    of_columns = [heading in ("Metric", "Line") for heading in headings]
    other = ' class="f-value"' if headings[0] == "Manifest" else ""  # long digests, which may be broken anywhere
    classes = [f' class="{CELLS[heading]}"' if heading in CELLS else other for heading in headings]
    lines = [
        ('<tr class="differs">' if number < len(marked) and marked[number] else "<tr>")
        + "".join(
            f"<td{kind}>{explained(str(cell), help_of_column(str(cell)) if is_column else '')}</td>"
            for kind, is_column, cell in zip(classes, of_columns, row, strict=True)
        )
        + "</tr>"
        for number, row in enumerate(rows)
    ]
    table = f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody>"
    html(f'<div class="f-scroll"><table class="f-table">{table}</table></div>')


def choose_metric(
    shelf: Shelf, *, among: Sequence[str] | None = None, name: str = "Metric", key: str = "metric"
) -> str | None:
    """The page's metric, from the URL; None if nothing was scored."""
    names = list(among) if among is not None else metrics_in(shelf)
    if not names:
        return None
    first = first_metric(names)  # a default other than the first option is warned of where the choice was carried here
    ordered = [first, *(other for other in names if other != first)]
    known = {help_of_column(other): other for other in reversed(names)}
    tips = "\n".join(f"- {label(other)}: {tip}" for tip, other in reversed(known.items()) if tip)
    chosen: str | None = st.selectbox(name, ordered, key=key, bind="query-params", help=tips or None)
    return chosen


def subheader(title: str, *terms: str) -> None:
    """Draw the heading of a section, with the meaning of its terms as a tip."""
    st.subheader(
        title, anchor=False, help=" ".join(f"**{term.capitalize()}**: {TERMS[term]}" for term in terms) or None
    )


def first_metric(names: Sequence[str]) -> str:
    """The default metric."""
    return next((preferred for preferred in PREFERRED if preferred in names), names[0])


def comparison_page(draw: Callable[[Shelf, CatalogEntry, DeltaGenerator], None]) -> Callable[[], None]:
    """A page of one comparison: its selector, then the rest, with the container next to the selector."""

    @wraps(draw)
    def page() -> None:
        current = shelf()
        entry, beside = _choose_comparison(current)
        if entry is not None:
            draw(current, entry, beside)

    return page


def _choose_comparison(shelf: Shelf) -> tuple[CatalogEntry | None, DeltaGenerator]:
    """The page's comparison, which the URL stores, and the container next to its selector.

    Unreadable comparisons are in the list too. None if none can be shown; then a note has the reason.
    """
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    ids = [entry.id for entry in shelf.entries]
    if not ids:
        note("This store has no comparison yet.")
        return None, right
    with left:
        asked = st.query_params.get("comparison")
        if asked and asked not in ids:
            note(f"The comparison {one_line(asked, most=120)} is no longer in this store; another one is shown.")
        entry = shelf.entry(st.selectbox("Comparison", ids, key="comparison", bind="query-params"))
    if entry is not None and entry.state != "readable":
        note(f"This comparison can't be shown. {entry.why}")
        return None, right
    return entry, right


def chart(
    drawn: Spec, data: pd.DataFrame, name: str, *, alt: str = "", on_select: Any = None, key: str | None = None
) -> Any:
    """Draw a chart with its downloads, and return its selection. `alt` is its text for screen readers."""
    as_svg = {**drawn, "description": alt or name, "usermeta": {"embedOptions": EMBEDDED}}
    selected = st.vega_lite_chart(as_svg, key=key or f"chart-{name}", on_select=on_select or "ignore")
    downloads(data, name, drawn)
    return selected


@st.fragment  # a page of charts has dozens of buttons, which are only drawn when they are opened
def downloads(data: pd.DataFrame, name: str, drawn: Spec | None = None) -> None:
    """Downloads of the data (CSV, Parquet) and the chart (SVG, PNG), created on demand."""
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
    """Redraw the page when the store changes."""
    if shelf().stamp != stamp:
        st.rerun()


def begin_page() -> None:
    """Note the number of finished computations before the page is drawn."""
    st.session_state[_FINISHED] = finished_computations()


def come_back() -> None:
    """Redraw the page when a computation in the background finishes."""
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
