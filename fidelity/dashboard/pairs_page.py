"""Pairs: a filtered list, worst first, and one open pair, down to its tokens."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from fidelity.dashboard import charts
from fidelity.dashboard.cache import matches, pairs, path_of
from fidelity.dashboard.catalog import CatalogEntry, Shelf, mark_of
from fidelity.dashboard.pair_table import RANK, excess_of, rank_of
from fidelity.dashboard.pair_view import show_pair
from fidelity.dashboard.verdict_panel import gate_for
from fidelity.dashboard.widgets import (
    chart,
    choose_metric,
    comparison_page,
    downloads,
    label,
    note,
    quiet,
)
from fidelity.outside.strings import one_line
from fidelity.report import shown_in_table
from fidelity.report.pairs import alarm_columns

MOST_ROWS = 1_000
"""The maximum number of pairs in the table; the worst ones are shown."""
ALL = "all"


@dataclass(frozen=True, slots=True)
class Filters:
    """The active filters."""

    changed: bool
    categories: tuple[str, ...]
    broken: str
    line: str
    """A column of the gate, to show the pairs beyond its margin."""
    margin: float | None
    between: str
    """A column, and a range of its values."""
    low: float
    high: float
    words: str
    x: str
    y: str


@comparison_page
def draw(shelf: Shelf, entry: CatalogEntry, beside: DeltaGenerator) -> None:
    """Draw the page."""
    names = [name for name in entry.columns if shown_in_table(name)]
    with beside:
        metric = choose_metric(shelf, among=names, name="Sort by (worst first)")
        alarms = list(alarm_columns(name for name in entry.columns if "[" not in name))
        first = bool(alarms) and st.toggle("Conflicts and breaks first", value=True, key="alarms", bind="query-params")
    if metric is None:
        note("No metric has been scored on this comparison.")
        return
    asked = _filters(shelf, entry, names, metric)
    needed = {
        metric,
        asked.between,
        asked.broken,
        asked.line,
        asked.x,
        asked.y,
        *(["identical"] if asked.changed else []),
    } - {ALL}
    ranked = alarms if first else []
    table, why = pairs(shelf, entry.id, sorted((needed | {*ranked}) & set(entry.columns)))
    if table is None:
        note(f"The pairs can't be read. {why}")
        return
    if metric not in table:
        note(f"{metric} could not be scored on this comparison.")
        return
    listed = _filtered(table, asked, shelf, entry)
    listed = _scatter(listed, asked, entry)
    listed = _ordered(listed, metric, ranked)
    hidden = [name for alarm in {*ranked} - needed for name in (alarm, excess_of(alarm)) if name in listed]
    chosen = _list(listed.drop(columns=hidden), table, entry)
    if chosen is not None:
        show_pair(path_of(shelf, entry.id), chosen)


def _filters(shelf: Shelf, entry: CatalogEntry, names: list[str], metric: str) -> Filters:
    gate, _ = gate_for(shelf, entry)
    margins = {name: limit for name, limit in gate.margins.items() if name in names} if gate else {}
    breaks = [name for name in names if name.rpartition(".")[2].startswith("break_")]
    table, _ = pairs(shelf, entry.id, [metric])
    categories = sorted(table["category"].dropna().unique()) if table is not None else []
    with st.container(horizontal=True, vertical_alignment="bottom"):
        words = st.text_input("Text in prompt or answers", key="text", bind="query-params", width=230)
        chosen = (
            st.multiselect("Category", categories, key="category", bind="query-params", width=230, placeholder="any")
            if len(categories) > 1
            else []
        )
        broken = _choice("Newly broken", breaks, key="broken", all_reads="any", width=190)
        line = _choice("Beyond the margin of", margins, key="line", all_reads="any", width=190)
        changed = "identical" in names and st.toggle("Changed only", key="changed", bind="query-params")
    with (
        st.expander("Filter by a metric's range, or a scatter of two metrics"),
        st.container(horizontal=True, vertical_alignment="bottom"),
    ):
        between = _choice("Range of", names, key="range", all_reads="no metric")
        low, high = _range(shelf, entry, between) if between != ALL else (0.0, 0.0)
        x = _choice("Scatter, x axis", names, key="x", all_reads="none")
        y = _choice("Scatter, y axis", names, key="y", all_reads="none")
    return Filters(bool(changed), tuple(chosen), broken, line, margins.get(line), between, low, high, words, x, y)


def _choice(title: str, names: Collection[str], *, key: str, all_reads: str, width: int = 210) -> str:
    """Choose one of the names, which the URL stores; ALL if none is chosen or available."""
    if not names:
        return ALL
    chosen: str = st.selectbox(
        title,
        [ALL, *names],
        key=key,
        bind="query-params",
        width=width,
        format_func=lambda name: all_reads if name == ALL else name,
    )
    return chosen


def _range(shelf: Shelf, entry: CatalogEntry, name: str) -> tuple[float, float]:
    table, _ = pairs(shelf, entry.id, [name])
    known = table[name].dropna() if table is not None and name in table else pd.Series(dtype=float)
    if known.empty or known.min() == known.max():
        quiet(f"{name} is the same in every pair.")
        return float("-inf"), float("inf")
    low, high = float(known.min()), float(known.max())
    chosen: tuple[float, float] = st.slider(
        label(name), low, high, (low, high), key=f"between-{name}", bind="query-params", width=260
    )
    return chosen


def _filtered(table: pd.DataFrame, asked: Filters, shelf: Shelf, entry: CatalogEntry) -> pd.DataFrame:
    matching = pd.Series(True, index=table.index)
    if asked.changed:
        matching &= table["identical"] < 1
    if asked.categories:
        matching &= table["category"].isin(asked.categories)
    if asked.broken in table:
        matching &= table[asked.broken] > 0
    if asked.margin is not None and excess_of(asked.line) in table:
        matching &= table[excess_of(asked.line)] > asked.margin
    if asked.between in table:
        matching &= table[asked.between].between(asked.low, asked.high)
    if asked.words:
        path = path_of(shelf, entry.id)
        matching &= matches(str(path), mark_of(path / "manifest.json"), asked.words, table)
    return table[matching]


def _scatter(pairs: pd.DataFrame, asked: Filters, entry: CatalogEntry) -> pd.DataFrame:
    """A scatter of two chosen metrics. Its selection is in the URL and filters the table."""
    if asked.x not in pairs or asked.y not in pairs:
        return pairs
    if asked.x == asked.y:
        note("A scatter takes two different metrics.")
        return pairs
    selected = chart(
        charts.scatter(pairs, asked.x, asked.y),
        pairs,
        f"{entry.id}-{asked.x}-{asked.y}",
        on_select="rerun",
        key=f"scatter-{asked.x}-{asked.y}",
    )
    box = selected.selection.get("range") if selected else None
    if box and {"x", "y"} <= set(box):
        st.query_params["box"] = ",".join(f"{value:.6g}" for value in (*box["x"], *box["y"]))
    corners = _corners(st.query_params.get("box", ""))
    if corners is None:
        quiet("Drag over points to show only these in the table.")
        return pairs
    x0, x1, y0, y1 = corners
    quiet(f"Selected: {asked.x} from {x0:.3f} to {x1:.3f} and {asked.y} from {y0:.3f} to {y1:.3f}.")
    if st.button("Clear the selection", key="unbox"):
        del st.query_params["box"]
        st.session_state.pop(f"scatter-{asked.x}-{asked.y}", None)
        return pairs
    return pairs[pairs[asked.x].between(x0, x1) & pairs[asked.y].between(y0, y1)]


def _corners(written: str) -> tuple[float, float, float, float] | None:
    try:
        x0, x1, y0, y1 = map(float, written.split(","))
    except ValueError:
        return None
    return x0, x1, y0, y1


def _ordered(pairs: pd.DataFrame, metric: str, alarms: Sequence[str]) -> pd.DataFrame:
    """By conflicts and breaks that the control lacks, as in the reports, then by the metric; unscored comes last."""
    keys = {name: pairs[rank_of(name)].clip(lower=0).fillna(0) for name in alarms if rank_of(name) in pairs}
    by = rank_of(metric) if rank_of(metric) in pairs else metric
    keyed = pd.DataFrame({**keys, "": pairs[by]}, index=pairs.index)
    return pairs.loc[keyed.sort_values([*keys, ""], ascending=False, kind="stable", na_position="last").index]


def _list(pairs: pd.DataFrame, table: pd.DataFrame, entry: CatalogEntry) -> pd.Series | None:
    """Draw the table, and return the open pair: the chosen one, the one in the URL, or the worst."""
    if pairs.empty:
        note("No pair matches. Relax the filters.")
        return None
    more = f", the worst {MOST_ROWS:,} shown" if len(pairs) > MOST_ROWS else ""
    quiet(f"{len(pairs):,} of {len(table):,} pairs{more}. A click on a row opens it below.")
    shown = pairs.head(MOST_ROWS)
    numbers = [
        name
        for name in pairs.columns
        if pd.api.types.is_float_dtype(pairs[name]) and not name.startswith(("row in", RANK))
    ]
    visible = pd.DataFrame(
        {"prompt": shown["prompt_id"].map(one_line), "category": shown["category"].fillna("").map(one_line)}
    )
    if shown["repeat"].any():
        visible["repeat"] = shown["repeat"]
    visible = visible.assign(**{name: shown[name] for name in numbers})
    keys = [f"{prompt}:{repeat}" for prompt, repeat in zip(shown["prompt_id"], shown["repeat"], strict=True)]
    asked = st.query_params.get("pair")
    at = keys.index(asked) if asked in keys else 0
    selected = st.dataframe(
        visible,
        hide_index=True,
        placeholder="–",
        height=min(35 * len(visible) + 38, 300),
        key=f"pairs-{entry.id}",
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "prompt": st.column_config.TextColumn("Prompt", pinned=True),
            "category": "Category",
            **{
                name: st.column_config.NumberColumn(name, format="%.3f" if name in entry.columns else "%+.3f")
                for name in numbers
            },
        },
    )
    downloads(
        pairs.drop(columns=[name for name in pairs if str(name).startswith(("row in", RANK))]), f"{entry.id}-pairs"
    )
    rows = selected.selection.rows
    if rows and rows[0] < len(keys):
        at = rows[0]
        st.query_params["pair"] = keys[at]
    return shown.iloc[at]
