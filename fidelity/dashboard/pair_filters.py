"""The filters of the list of pairs. The URL has all of them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from fidelity.dashboard import charts
from fidelity.dashboard.cache import answers_in_one_unit, matches, pairs, path_of, reviews
from fidelity.dashboard.catalog import CatalogEntry, Shelf, mark_of
from fidelity.dashboard.marked_text import Query
from fidelity.dashboard.pair_table import KEYS, excess_of
from fidelity.dashboard.terms import TERMS
from fidelity.dashboard.verdict_panel import gate_for
from fidelity.dashboard.widgets import chart, label, note, quiet
from fidelity.report.conflicts import IN_WORDS
from fidelity.store.reviews import Vote
from fidelity.store.runs import Run
from fidelity.text.conflicts import KINDS

ALL = "all"
NOT_REVIEWED = "not reviewed"
VOTES: tuple[Vote, ...] = ("baseline better", "same", "candidate better", "both bad")
LENGTH = "length of the baseline's answer"
UNLIMITED = (float("-inf"), float("inf"))


@dataclass(frozen=True, slots=True)
class Filters:
    """The active filters."""

    query: Query
    conflicts: tuple[str, ...]
    """Columns of conflicts, of which one at least is set."""
    broken: tuple[str, ...]
    """Columns of breaks, the same."""
    categories: tuple[str, ...]
    votes: tuple[str, ...]
    changed: bool
    line: str
    """A column of the gate, to show the pairs beyond its margin."""
    margin: float | None
    between: str
    """A column, and a range of its values."""
    low: float
    high: float
    shortest: float
    longest: float
    """The range of the length of the baseline's answer; see `lengths_of`."""
    x: str
    y: str

    @property
    def columns(self) -> set[str]:
        """The columns that are needed."""
        named = {self.between, self.line, self.x, self.y, *self.conflicts, *self.broken} - {ALL}
        return named | ({"identical"} if self.changed else set())


def choose_filters(shelf: Shelf, entry: CatalogEntry, names: Sequence[str], table: pd.DataFrame) -> Filters:
    """Draw the filters over a comparison's columns `names`; `table` has all its pairs."""
    conflicts = {IN_WORDS[kind]: f"conflict_{kind}" for kind in KINDS if f"conflict_{kind}" in entry.columns}
    breaks = [name for name in names if name.rpartition(".")[2].startswith("break_")]
    categories = sorted(table["category"].dropna().unique())
    with st.container(horizontal=True, vertical_alignment="bottom"):
        words = st.text_input("Text in prompt or answers", key="text", bind="query-params", width=240)
        is_regex = st.toggle("Regular expression", key="regex", bind="query-params")
        kinds = _several("Conflicts", list(conflicts), key="conflict", tip=TERMS["conflict"])
        broken = _several("Newly broken", breaks, key="broken", tip=TERMS["break"])
        chosen = _several("Category", categories if len(categories) > 1 else [], key="category")
        votes = _several("Reviewed as", [NOT_REVIEWED, *VOTES], key="vote", tip=TERMS["votes"])
    more = _more(shelf, entry, names, table)
    return Filters(
        Query(words or "", bool(is_regex)),
        tuple(conflicts[kind] for kind in kinds),
        tuple(broken),
        tuple(chosen),
        tuple(votes),
        *more,
    )


Choices = tuple[bool, str, float | None, str, float, float, float, float, str, str]


def _more(shelf: Shelf, entry: CatalogEntry, names: Sequence[str], table: pd.DataFrame) -> Choices:
    """The rarer filters, as the last fields of `Filters`."""
    gate, _ = gate_for(shelf, entry)
    margins = {name: limit for name, limit in gate.margins.items() if name in names} if gate else {}
    more = st.expander(
        "More filters: length, margins, a metric's range, a scatter of two metrics", key="more", on_change="rerun"
    )
    with more, st.container(horizontal=True, vertical_alignment="bottom"):
        changed = "identical" in names and st.toggle("Changed only", key="changed", bind="query-params")
        line = _choice("Beyond the margin of", margins, key="line", all_reads="any", width=190)
        shortest, longest = UNLIMITED
        if more.open or "length" in st.query_params:  # with many pairs, reading all lengths takes a second
            shortest, longest = _slider(LENGTH, lengths_of(shelf, entry, table), key="length")
        between = _choice("Range of", names, key="range", all_reads="no metric")
        low, high = _range(shelf, entry, between) if between != ALL else UNLIMITED
        x = _choice("Scatter, x axis", names, key="x", all_reads="none")
        y = _choice("Scatter, y axis", names, key="y", all_reads="none")
    return bool(changed), line, margins.get(line), between, low, high, shortest, longest, x, y


def _several(title: str, options: Sequence[str], *, key: str, tip: str | None = None) -> list[str]:
    if not options:
        return []
    return st.multiselect(title, options, key=key, bind="query-params", width=200, placeholder="any", help=tip)


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
    values = table[name] if table is not None and name in table else pd.Series(dtype=float)
    bounds = _slider(name, values, key=f"between-{name}")
    if values.nunique() < 2:
        quiet(f"{name} is the same in every pair.")
    return bounds


def _slider(title: str, values: pd.Series, *, key: str) -> tuple[float, float]:
    """A range of values; unlimited if there are not two of them, or if it is that of all values."""
    known = values.dropna()
    if known.empty or known.min() == known.max():
        return UNLIMITED
    low, high = float(known.min()), float(known.max())
    step = 1.0 if (known % 1 == 0).all() else None
    chosen: tuple[float, float] = st.slider(
        label(title),
        low,
        high,
        (low, high),
        step,
        key=key,
        bind="query-params",
        width=260,
        format="%d" if step else None,
    )
    return UNLIMITED if chosen == (low, high) else chosen


def lengths_of(shelf: Shelf, entry: CatalogEntry, table: pd.DataFrame) -> pd.Series:
    """The length of each pair's baseline answer: tokens where all have token ids, else characters."""
    run = Run(shelf.root / "runs" / entry.baseline_id)
    (lengths,), unit = answers_in_one_unit([run])
    return table[KEYS].merge(lengths[[*KEYS, unit]], on=KEYS, how="left").set_index(table.index)[unit]


def filtered(table: pd.DataFrame, asked: Filters, shelf: Shelf, entry: CatalogEntry) -> pd.DataFrame:
    """The pairs that match all filters."""
    matching = pd.Series(True, index=table.index)
    for alarms in (asked.conflicts, asked.broken):
        known = [name for name in alarms if name in table]
        if known:
            matching &= (table[known] > 0).any(axis=1)
    if asked.changed:
        matching &= table["identical"] < 1
    if asked.categories:
        matching &= table["category"].isin(asked.categories)
    if asked.margin is not None and excess_of(asked.line) in table:
        matching &= table[excess_of(asked.line)] > asked.margin
    if asked.between in table and (asked.low, asked.high) != UNLIMITED:
        matching &= table[asked.between].between(asked.low, asked.high)
    if (asked.shortest, asked.longest) != UNLIMITED:
        matching &= lengths_of(shelf, entry, table).between(asked.shortest, asked.longest)
    if asked.votes:
        matching &= _voted(table, asked.votes, shelf, entry)
    if asked.query.words:
        path = path_of(shelf, entry.id)
        mark = mark_of(path / "manifest.json")
        matches_it, why = matches(str(path), mark, asked.query.words, asked.query.is_regex, table)
        if matches_it is None:
            note(f"The search is ignored. {why}")
        else:
            matching &= matches_it
    return table[matching]


def _voted(table: pd.DataFrame, votes: Collection[str], shelf: Shelf, entry: CatalogEntry) -> pd.Series:
    """The pairs with one of these votes by any reviewer."""
    given: dict[tuple[str, int], set[str]] = {}
    for review in reviews(shelf, entry.id):
        given.setdefault(review.pair, set()).add(review.vote or "")
    keys = zip(table["prompt_id"], table["repeat"], strict=True)
    return pd.Series([bool(given.get(key, {NOT_REVIEWED}) & set(votes)) for key in keys], index=table.index)


def scatter(table: pd.DataFrame, asked: Filters, entry: CatalogEntry) -> pd.DataFrame:
    """A scatter of two chosen metrics. Its selection is in the URL and filters the table."""
    if asked.x not in table or asked.y not in table:
        return table
    if asked.x == asked.y:
        note("A scatter takes two different metrics.")
        return table
    selected = chart(
        charts.scatter(table, asked.x, asked.y),
        table,
        f"{entry.id}-{asked.x}-{asked.y}",
        on_select="rerun",
        key=f"scatter-{asked.x}-{asked.y}",
    )
    box = selected.selection.get("range") if selected else None
    if box and {"x", "y"} <= set(box):
        st.query_params["box"] = ",".join(f"{value:.6g}" for value in (*box["x"], *box["y"]))
    corners = _corners(st.query_params.get("box", ""))
    if corners is None:
        quiet("Drag over points to show only these in the list.")
        return table
    x0, x1, y0, y1 = corners
    quiet(f"Selected: {asked.x} from {x0:.3f} to {x1:.3f} and {asked.y} from {y0:.3f} to {y1:.3f}.")
    if st.button("Clear the selection", key="unbox"):
        del st.query_params["box"]
        st.session_state.pop(f"scatter-{asked.x}-{asked.y}", None)
        return table
    return table[table[asked.x].between(x0, x1) & table[asked.y].between(y0, y1)]


def _corners(written: str) -> tuple[float, float, float, float] | None:
    try:
        x0, x1, y0, y1 = map(float, written.split(","))
    except ValueError:
        return None
    return x0, x1, y0, y1
