"""Overview: drift by size and format. A click on a cell opens its comparison."""

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from fidelity.dashboard import navigation, price_panel, study_charts
from fidelity.dashboard.cache import read_ahead, rows, verdict
from fidelity.dashboard.cache import shelf as read
from fidelity.dashboard.catalog import CatalogEntry, Shelf
from fidelity.dashboard.summaries import ColumnSummary
from fidelity.dashboard.verdict_panel import gate_of
from fidelity.dashboard.widgets import (
    SYMBOLS,
    chart,
    choose_metric,
    come_back,
    first_metric,
    markup_table,
    note,
    quiet,
)
from fidelity.gate import Verdict
from fidelity.outside.strings import one_line
from fidelity.report import NOT_QUALITY
from fidelity.report.content import short
from fidelity.report.published import published
from fidelity.report.verdicts import number
from fidelity.store.studies import Cell, StudyManifest

EVERYTHING = "all comparisons"
AHEAD = 10
"""Metrics that are computed before the user chooses them."""
WHILE_READING = 1.0
"""Seconds of delay before each of them, for the browser's requests."""
PRICES = {"parameters": "parameters of the model", "bytes": "bytes of the weight files"}
"""The axes that drift can be drawn against."""


@dataclass(frozen=True, slots=True)
class Square:
    """A cell of the matrix."""

    cell: Cell
    entry: CatalogEntry | None
    """None if there is no readable comparison."""


def draw() -> None:
    """Draw the page."""
    shelf = read()
    left, middle, right = st.columns([2, 2, 3], vertical_alignment="bottom")
    with left:
        study = _choose_study(shelf)
    squares = _squares(shelf, study)
    names = _metrics(squares)
    with middle:
        metric = choose_metric(shelf, among=names)
    with right, st.container(horizontal=True, vertical_alignment="bottom"):
        excess = (
            st.segmented_control(
                "Drift as", ["value", "excess"], default="value", required=True, key="drift", bind="query-params"
            )
            == "excess"
        )
        others = st.toggle(
            "Published results",
            key="published",
            bind="query-params",
            help="In gray: drift by Kurtic et al. 2025 (Llama 3.1, without a floor), prices by Meta (Llama 3.2).",
        )
    if metric is None:
        note("There is no readable comparison with a scored metric yet.")
        _not_shown(shelf)
        return
    ids = [s.entry.id for s in squares if s.entry]
    columns = rows(shelf, ids, [metric], lows=False)
    table = _table(shelf, study, squares, metric, columns)
    _matrix(table, metric)
    _drifts(table, metric, excess=excess, others=others)
    excesses = {id_: read[metric].excess for id_, read in columns.items() if isinstance(read, dict) and metric in read}
    price_panel.draw(shelf, excesses, metric, others=others)
    _not_shown(shelf)
    quiet(NOT_QUALITY)
    read_ahead(shelf, ids, names[:AHEAD], after=WHILE_READING)


def prepare() -> None:
    """Compute the numbers that the page shows first, before the browser's requests would have to wait for them."""
    shelf = read()
    squares = _squares(shelf, shelf.studies[0] if shelf.studies else None)
    names = _metrics(squares)
    if names:
        ids = [s.entry.id for s in squares if s.entry]
        price_panel.prices_of(shelf, list(rows(shelf, ids, [first_metric(names)], lows=False)))


def _choose_study(shelf: Shelf) -> StudyManifest | None:
    names = [study.name for study in shelf.studies]
    chosen = st.selectbox("Show", [*names, EVERYTHING], key="study", bind="query-params", format_func=one_line)
    return next((study for study in shelf.studies if study.name == chosen), None)


def _squares(shelf: Shelf, study: StudyManifest | None) -> list[Square]:
    """A study's cells in order, or the newest comparison of every baseline and candidate."""
    if study:
        squares = [Square(cell, shelf.entry(cell.comparison) if cell.comparison else None) for cell in study.cells]
        return sorted(squares, key=lambda square: square.cell.parameters or 0)
    newest: dict[tuple[str, str], CatalogEntry] = {}
    for entry in shelf.readable:
        newest.setdefault((entry.baseline, entry.candidate), entry)
    return [
        Square(_cell(e), e)
        for e in sorted(newest.values(), key=lambda e: (e.parameters or 0, e.baseline, e.format, e.candidate))
    ]


def _cell(entry: CatalogEntry) -> Cell:
    """A cell for a comparison that belongs to no study."""
    return Cell(
        family=entry.baseline,
        baseline=entry.baseline,
        candidate=entry.candidate,
        format=entry.format,
        parameters=entry.parameters,
        comparison=entry.id,
    )


def _metrics(squares: list[Square]) -> list[str]:
    from fidelity.report import shown_in_table

    counts: dict[str, int] = {}
    for square in squares:
        for name in filter(shown_in_table, square.entry.columns if square.entry else ()):
            counts[name] = counts.get(name, 0) + 1
    return sorted(counts, key=lambda name: -counts[name])


def _table(
    shelf: Shelf,
    study: StudyManifest | None,
    squares: list[Square],
    metric: str,
    columns: dict[str, dict[str, ColumnSummary] | str],
) -> pd.DataFrame:
    """The page's data, one row per cell."""
    gate, why_no_gate = gate_of(study)
    if why_no_gate:
        note(f"The gate is invalid, so nothing is judged: {why_no_gate}")
    twice = [(s.cell.family, s.cell.format) for s in squares]
    lines, waiting = [], False
    for square in squares:
        cell, entry = square.cell, square.entry
        read = columns.get(entry.id) if entry else None
        row = read.get(metric) if isinstance(read, dict) else None
        judged = verdict(shelf, entry.id, gate) if gate and entry and isinstance(read, dict) else ""
        waiting |= judged is None
        kind = cell.format if twice.count((cell.family, cell.format)) == 1 else f"{cell.format} · {cell.candidate}"
        size = f"{short(cell.parameters, ('', 'K', 'M', 'B', 'T'))} · " if cell.parameters else ""
        lines.append(
            {
                "size": f"{size}{cell.family}",
                "format": one_line(kind, most=60),
                "candidate": cell.candidate,
                "id": entry.id if entry and row else "",
                **_numbers(row),
                **_cell_texts(cell, entry, read, row, metric, judged),
                "parameters": cell.parameters,
                "bytes": entry.bytes if entry else None,
                "baseline_bytes": entry.baseline_bytes if entry else None,
            }
        )
    if waiting:
        come_back()
    return pd.DataFrame(lines)


def _numbers(row: ColumnSummary | None) -> dict[str, float | None]:
    if row is None:
        return dict.fromkeys(
            ("value", "low", "high", "floor", "floor_low", "floor_high", "excess", "excess_low", "excess_high")
        )
    spans = {"": row.value_span, "floor_": row.floor_span, "excess_": row.excess_span}
    ends = {f"{side}{end}": getattr(span, end) for side, span in spans.items() for end in ("low", "high")}
    return {"value": row.value, "floor": row.floor, "excess": row.excess, **ends}


def _cell_texts(
    cell: Cell,
    entry: CatalogEntry | None,
    read: dict[str, ColumnSummary] | str | None,
    row: ColumnSummary | None,
    metric: str,
    judged: Verdict | str | None,
) -> dict[str, str]:
    """A cell's content (`text`, `symbol`) and tooltip (`shown`, `why`)."""
    if row is None:
        gone = "its comparison was deleted" if cell.comparison else "not run yet"
        why = read if isinstance(read, str) else f"{metric} was not scored" if entry else cell.why or gone
        if entry and entry.state != "readable":
            why = entry.why
        short_word = "failed" if cell.why else "no number" if entry or cell.comparison else "computing …"
        return {"text": "–", "symbol": short_word, "shown": "none", "why": one_line(why)}
    if row.excess is None:
        digits = 0 if row.kind == "median" else 3
        word = "no floor" if row.better != "neither" else "described"
        texts = {"text": number(row.value, digits=digits), "shown": f"none: {word}"}
    else:
        ends = (
            f" ({number(row.excess_span.low, sign=True)} to {number(row.excess_span.high, sign=True)})"
            if row.excess_span.low is not None
            else ""
        )
        word, texts = "", {"text": number(row.excess, sign=True), "shown": number(row.excess, sign=True) + ends}
    match judged:
        case None:
            return {**texts, "symbol": "judging …", "why": "the verdict is being computed"}
        case Verdict():
            return {
                **texts,
                "symbol": f"{SYMBOLS[judged.outcome]} {judged.outcome}",
                "why": one_line(f"{judged.outcome}: {judged.reason}"),
            }
    return {**texts, "symbol": word or ("not judged" if judged else ""), "why": one_line(judged) or "no gate was given"}


def _matrix(table: pd.DataFrame, metric: str) -> None:
    st.subheader(f"Excess of {metric} over the floor, by size and format", anchor=False)
    quiet("Mean over prompts; positive is worse. A click on a cell opens its comparison.")
    selected = chart(study_charts.matrix(table, metric), table, f"overview-{metric}", on_select="rerun", key="matrix")
    picked = selected.selection.get("cell") if selected else None
    if picked and picked[0].get("id"):
        navigation.go("comparison", carried=("metric",), comparison=picked[0]["id"])
    failed = table[table["id"] == ""]
    if len(failed):
        with st.expander(f"{len(failed)} cells without a number", expanded=len(failed) < 4):
            markup_table(
                ("Size", "Format", "Candidate", "Why"),
                failed[["size", "format", "candidate", "why"]].to_numpy().tolist(),
            )


def _drifts(table: pd.DataFrame, metric: str, *, excess: bool, others: bool) -> None:
    own = "excess" if excess else "value"
    shown = table.dropna(subset=[own])
    if shown.empty:
        note(f"{metric} has no {own} to draw: " + ("no comparison has a control." if excess else "nothing was scored."))
        return
    y_title = f"excess of {metric}" if excess else metric
    points = (
        shown.drop(columns=["value", "low", "high"]).rename(
            columns={"excess": "value", "excess_low": "low", "excess_high": "high"}
        )
        if excess
        else shown
    )
    literature = _published(metric) if others and not excess else pd.DataFrame()
    if others and literature.empty:
        quiet("The published results have values for rouge1, rougeL, BERTScore and STS, and no floor.")
    sides = st.columns(2, gap="large")
    for place, (price, title) in zip(sides, PRICES.items(), strict=True):
        with place:
            beside = literature if price == "parameters" else pd.DataFrame()
            _drift(points, beside, price, title, metric, y_title, floor_at_0=excess)


def _drift(
    points: pd.DataFrame,
    literature: pd.DataFrame,
    price: str,
    title: str,
    metric: str,
    y_title: str,
    *,
    floor_at_0: bool,
) -> None:
    known = points.dropna(subset=[price])
    name = f"{metric}-against-{price}"
    if known[price].nunique() + (literature[price].nunique() if len(literature) else 0) > 1:
        st.subheader(f"Drift against {price}", anchor=False)
        base = "parameters" if price == "parameters" else "baseline_bytes"
        floor = (
            pd.DataFrame(
                {price: known[base], "value": known["floor"], "low": known["floor_low"], "high": known["floor_high"]}
            )
            .dropna()
            .drop_duplicates()
        )
        if floor_at_0 and len(floor):
            floor = floor.assign(value=0.0, low=0.0, high=0.0)
        drawn = study_charts.drift(known, floor.drop_duplicates(), literature, x=price, x_title=title, y_title=y_title)
        chart(drawn, known, name)
    elif price == "parameters":
        st.subheader("Drift by format", anchor=False)
        chart(study_charts.ladder(points, y_title, floor=not floor_at_0), points, name)
    else:
        st.subheader(f"Drift against {price}", anchor=False)
        note(f"Nothing to draw: this chart needs two candidates with known {title}, which recorded outputs don't have.")


def _published(metric: str) -> pd.DataFrame:
    """Published mean scores (see report/published/README.md); empty if none has this metric."""
    return pd.DataFrame(
        [
            {"model": p.name, "format": p.format, "parameters": p.parameters, "value": p.scores[metric]}
            for p in published()
            if metric in p.scores
        ]
    )


def _not_shown(shelf: Shelf) -> None:
    """List what is in the store but can't be read, with the reasons."""
    wrong = [entry for entry in shelf.entries if entry.state != "readable"]
    if wrong:
        with st.expander(f"{len(wrong)} entries of the store can't be shown"):
            markup_table(("Comparison", "State", "Why"), [(entry.id, entry.state, entry.why) for entry in wrong])
