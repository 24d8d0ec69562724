"""Pairs: a filtered list, worst first, and one open pair, down to its tokens, with the reviewers' votes."""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import partial

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from fidelity.comparison.reviews import PairKey
from fidelity.dashboard import review_panel
from fidelity.dashboard.cache import pairs, prompts, reviews
from fidelity.dashboard.catalog import CatalogEntry, Shelf
from fidelity.dashboard.marked_text import Query, pieces_around
from fidelity.dashboard.pair_export import text_downloads
from fidelity.dashboard.pair_filters import Filters, choose_filters, filtered, scatter
from fidelity.dashboard.pair_list import CellText, ListColumn, ListRow, show_list
from fidelity.dashboard.pair_table import RANK, excess_of, rank_of
from fidelity.dashboard.pair_view import OpenedPair, show_pair
from fidelity.dashboard.terms import TERMS, help_of_column
from fidelity.dashboard.widgets import choose_metric, comparison_page, downloads, html, note, quiet
from fidelity.outside.strings import cut, one_line
from fidelity.report import shown_in_table
from fidelity.report.conflicts import IN_WORDS
from fidelity.report.pairs import alarm_columns
from fidelity.store.reviews import Review, place_in_random_order

MOST_ROWS = 1_000
"""The maximum number of pairs in the list; the worst ones are shown."""
MOST_PROMPT = 200
"""Characters of a prompt in the list."""
RANDOM = "random order"
UNSCORED = "can't be compared"
"""An answer that only the candidate keeps from being compared; it counts as a conflict."""


@comparison_page
def draw(shelf: Shelf, entry: CatalogEntry, beside: DeltaGenerator) -> None:
    """Draw the page."""
    names = [name for name in entry.columns if shown_in_table(name)]
    with beside:
        metric = choose_metric(shelf, among=[*names, RANDOM] if names else [], name="Sort by (worst first)")
        alarms = list(alarm_columns(name for name in entry.columns if "[" not in name))
        first = bool(alarms) and st.toggle("Conflicts and breaks first", value=True, key="alarms", bind="query-params")
    if metric is None:
        note("No metric has been scored on this comparison.")
        return
    everything, why = pairs(shelf, entry.id, [])
    if everything is None:
        note(f"The pairs can't be read. {why}")
        return
    asked = choose_filters(shelf, entry, names, everything)
    needed = ({metric, *alarms} | asked.columns) & set(entry.columns)
    table, why = pairs(shelf, entry.id, sorted(needed))
    if table is None:
        note(f"The pairs can't be read. {why}")
        return
    if metric not in table and metric != RANDOM:
        note(f"{metric} could not be scored on this comparison.")
        return
    listed = scatter(filtered(table, asked, shelf, entry), asked, entry)
    listed = _ordered(listed, metric, alarms if first and metric != RANDOM else [])
    _list_and_pair(shelf, entry, listed, len(table), metric, alarms, asked)


def _ordered(pairs: pd.DataFrame, metric: str, alarms: Sequence[str]) -> pd.DataFrame:
    """By conflicts and breaks that the control lacks, as in the reports, then by the metric; unscored comes last."""
    if metric == RANDOM:
        places = map(place_in_random_order, zip(pairs["prompt_id"], pairs["repeat"], strict=True))
        return pairs.loc[[row for _, row in sorted(zip(places, pairs.index, strict=True))]]
    keys = {name: pairs[rank_of(name)].clip(lower=0).fillna(0) for name in alarms if rank_of(name) in pairs}
    by = rank_of(metric) if rank_of(metric) in pairs else metric
    keyed = pd.DataFrame({**keys, "": pairs[by]}, index=pairs.index)
    return pairs.loc[keyed.sort_values([*keys, ""], ascending=False, kind="stable", na_position="last").index]


@st.fragment  # another pair redraws neither the filters nor what they computed
def _list_and_pair(
    shelf: Shelf,
    entry: CatalogEntry,
    listed: pd.DataFrame,
    all_pairs: int,
    metric: str,
    alarms: Sequence[str],
    asked: Filters,
) -> None:
    """Draw the list, and the open pair: the one in the URL, or the first."""
    if listed.empty:
        note("No pair matches. Relax the filters.")
        return
    shown = listed.head(MOST_ROWS)
    keys = [f"{prompt}:{repeat}" for prompt, repeat in zip(shown["prompt_id"], shown["repeat"], strict=True)]
    at = _place(keys)
    votes: dict[PairKey, list[Review]] = {}
    for review in reviews(shelf, entry.id):
        votes.setdefault(review.pair, []).append(review)
    more = f", of which the first {MOST_ROWS:,} are listed" if len(listed) > MOST_ROWS else ""
    quiet(f"{len(listed):,} of {all_pairs:,} pairs{more}. Open one by click, or with the arrow keys and Enter.")
    blind = review_panel.is_blind()
    columns, rows = _rows(shelf, entry, shown, metric, [] if blind else alarms, votes, asked.query, blind=blind)
    show_list(
        columns,
        rows,
        open_key=keys[at],
        reviewer=review_panel.reviewer(),
        key=f"list-{entry.id}",
        on_open=_open,
    )
    _exports(shelf, entry, listed)
    chosen = shown.iloc[at]
    _title_and_steps(keys, at)
    review_panel.choose_blind()
    opened = OpenedPair(shelf, entry, chosen, asked.query, blind)
    pair = show_pair(opened)
    if pair is not None:
        own = votes.get((str(chosen["prompt_id"]), int(chosen["repeat"])), [])
        after = keys[min(at + 1, len(keys) - 1)]
        review_panel.draw(shelf, entry, pair, own, blind=blind, go_on=partial(_open, after))
    if not blind:  # after a blind vote it would show which answer is the candidate's
        review_panel.show_summary(shelf, entry)


def _place(keys: Sequence[str]) -> int:
    """The place of the pair in the URL; 0 without one."""
    asked = st.query_params.get("pair")
    if asked and asked not in keys:
        note(f"The pair {one_line(asked, most=120)} is not in this list; the first one is open.")
    return keys.index(asked) if asked in keys else 0


def _open(key: str) -> None:
    st.query_params["pair"] = key


def _title_and_steps(keys: Sequence[str], at: int) -> None:
    """The open pair's place in the list, and buttons to the next and the previous one."""
    with st.container(horizontal=True, vertical_alignment="center"):
        before, after = keys[max(0, at - 1)], keys[min(len(keys) - 1, at + 1)]
        st.button("Previous", key="previous", shortcut="k", disabled=at == 0, on_click=_open, args=(before,))
        st.button("Next", key="next", shortcut="j", disabled=at == len(keys) - 1, on_click=_open, args=(after,))
        html(f'<div class="f-quiet" role="status">Pair {at + 1:,} of {len(keys):,}</div>')


def _rows(
    shelf: Shelf,
    entry: CatalogEntry,
    shown: pd.DataFrame,
    metric: str,
    alarms: Sequence[str],
    votes: dict[PairKey, list[Review]],
    query: Query,
    *,
    blind: bool,
) -> tuple[list[ListColumn], list[ListRow]]:
    """The list's columns and rows."""
    run = shelf.root / "runs" / entry.baseline_id
    texts, _ = prompts(run, [int(row) for row in shown["row in baseline"]])
    numbers = [name for name in (metric, excess_of(metric)) if name in shown]
    columns = [
        ListColumn("Id", "name"),
        ListColumn("Prompt", "prompt"),
        ListColumn("Category", "name"),
        *([ListColumn("Conflicts and breaks", "flags", f"{TERMS['conflict']} {TERMS['break']}")] if alarms else []),
        ListColumn("Votes", "flags", TERMS["votes"]),
        *(ListColumn(name, "number", help_of_column(name) or TERMS["excess"]) for name in numbers),
    ]
    flagged = [(name, _flag(name)) for name in alarms if name in shown and not name.endswith("conflict_any")]
    rows = []
    for place, record in enumerate(shown.to_dict("records")):
        key = (record["prompt_id"], record["repeat"])
        body = one_line(cut(texts[place], MOST_PROMPT)) if texts is not None else ""
        repeat = f" #{record['repeat']}" if record["repeat"] else ""
        cells: list[CellText] = [
            one_line(record["prompt_id"]) + repeat,
            pieces_around(body, query),
            one_line(record["category"]) if isinstance(record["category"], str) else "",
            *([", ".join(_flags(record, flagged))] if alarms else []),
            _voted(votes.get(key, []), blind=blind),
            *(_number(record[name], signed=name != metric) for name in numbers),
        ]
        rows.append(ListRow(f"{key[0]}:{key[1]}", tuple(cells)))
    return columns, rows


def _voted(votes: Sequence[Review], *, blind: bool) -> str:
    """The votes on a pair; for blind reviewers only who voted, because a vote shows which answer is the candidate's."""
    return ", ".join(sorted(one_line(one.reviewer) + ("" if blind else f": {one.vote}") for one in votes))


def _flag(name: str) -> str:
    """What the list calls a column of conflicts or breaks."""
    short = name.rpartition(".")[2]
    kind = short.removeprefix("conflict_")
    return IN_WORDS.get(kind, short.removeprefix("break_").replace("_", " "))


def _flags(record: Mapping[Hashable, float], flagged: Sequence[tuple[str, str]]) -> Iterator[str]:
    """The conflicts and breaks of a pair, and whether its candidate's answer can't be scored, which counts as one."""
    yield from (flag for name, flag in flagged if record[name] > 0)
    if any(math.isnan(record[name]) and record.get(rank_of(name), 0) > 0 for name, _ in flagged):
        yield UNSCORED


def _number(value: float, *, signed: bool) -> str:
    return "–" if math.isnan(value) else f"{value:+.3f}" if signed else f"{value:.3f}"


def _exports(shelf: Shelf, entry: CatalogEntry, listed: pd.DataFrame) -> None:
    """Downloads of the listed pairs, without and with their texts."""
    numbers = listed.drop(columns=[name for name in listed if str(name).startswith(("row in", RANK))])
    with st.container(horizontal=True):
        downloads(numbers, f"{entry.id}-pairs")
        text_downloads(shelf, entry, listed, numbers)
