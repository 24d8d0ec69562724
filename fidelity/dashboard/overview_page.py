"""Overview: what to ship, and drift by size and format. A cell opens its comparison."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from fidelity.dashboard import deployment_panel, drift_panel, navigation, price_panel, published_panel, study_matrix
from fidelity.dashboard.cache import read_ahead, rows, verdict
from fidelity.dashboard.cache import shelf as read
from fidelity.dashboard.catalog import Shelf
from fidelity.dashboard.grid import Square, squares_of, state_of
from fidelity.dashboard.study_matrix import JudgedSquare, judged_square, table_of
from fidelity.dashboard.verdict_panel import gate_of
from fidelity.dashboard.widgets import (
    banner,
    choose_metric,
    come_back,
    downloads,
    first_metric,
    markup_table,
    note,
    plural,
    quiet,
    subheader,
)
from fidelity.gate import Gate, Verdict
from fidelity.outside.strings import one_line
from fidelity.price.recommend import Offer
from fidelity.report import NOT_QUALITY
from fidelity.report.recommendation import recommendation
from fidelity.store.studies import StudyManifest, StudyState, in_words

EVERYTHING = "all comparisons"
AHEAD = 10
"""Metrics that are computed before the user chooses them."""
WHILE_READING = 1.0
"""Seconds of delay before each of them, for the browser's requests."""


def draw() -> None:
    """Draw the page."""
    shelf = read()
    answer = st.container()
    left, middle, right = st.columns([2, 2, 3], vertical_alignment="bottom")
    with left:
        study = _choose_study(shelf)
    state = state_of(shelf, study)
    squares = squares_of(shelf, study, state)
    names = _metrics(squares)
    with middle:
        metric = choose_metric(shelf, among=names)
    with right:
        others = st.toggle(
            "Published results",
            key="published",
            bind="query-params",
            help="Adds the published drift of Llama 3.1 (Kurtic et al. 2025), without a floor.",
        )
    gate, why_no_gate = gate_of(study)
    ids = _ids(squares)
    columns = rows(shelf, ids, [metric], lows=False) if metric else {}
    judged = [_judged(shelf, square, columns, metric or "", gate, state) for square in squares]
    with answer:
        if state:
            _progress(state, squares)
        _what_to_ship(shelf, judged, gate, why_no_gate)
    if metric is None and not study:
        note("There is no readable comparison with a scored metric yet.")
        deployment_panel.draw(shelf, (), None)
        _not_shown(shelf)
        return
    table = table_of(judged)
    _matrix(judged, table, metric, gate)
    if metric:
        drift_panel.draw(table, metric, gate)
        price_panel.draw(shelf, table, metric)
        if others:
            published_panel.draw(metric)
    deployment_panel.draw(shelf, list(table["format"]), _why_not(judged) if gate else None)
    _not_shown(shelf)
    quiet(NOT_QUALITY)
    if any(one.verdict is None for one in judged):
        come_back()
    read_ahead(shelf, ids, names[:AHEAD], after=WHILE_READING)


def prepare() -> None:
    """Compute the numbers that the page shows first, before the browser's requests would have to wait for them."""
    shelf = read()
    squares = squares_of(shelf, shelf.studies[0] if shelf.studies else None, None)
    names = _metrics(squares)
    if names:
        price_panel.prices_of(shelf, list(rows(shelf, _ids(squares), [first_metric(names)], lows=False)))


def _choose_study(shelf: Shelf) -> StudyManifest | None:
    names = [study.name for study in shelf.studies]
    chosen = st.selectbox("Show", [*names, EVERYTHING], key="study", bind="query-params", format_func=one_line)
    return next((study for study in shelf.studies if study.name == chosen), None)


def _ids(squares: Sequence[Square]) -> list[str]:
    return [square.entry.id for square in squares if square.entry]


def _metrics(squares: Sequence[Square]) -> list[str]:
    from fidelity.report import shown_in_table

    counts: dict[str, int] = {}
    for square in squares:
        for name in filter(shown_in_table, square.entry.columns if square.entry else ()):
            counts[name] = counts.get(name, 0) + 1
    return sorted(counts, key=lambda name: -counts[name])


def _judged(
    shelf: Shelf,
    square: Square,
    columns: study_matrix.ByComparison,
    metric: str,
    gate: Gate | None,
    state: StudyState | None,
) -> JudgedSquare:
    own = columns.get(square.entry.id) if square.entry else None
    judged = verdict(shelf, square.entry.id, gate) if gate and square.entry and isinstance(own, dict) else ""
    return judged_square(square, own, metric, judged, state)


def _progress(state: StudyState, squares: Sequence[Square]) -> None:
    """How far a running study has come."""
    done = sum(square.entry is not None or bool(square.cell.why) for square in squares)
    left = f", about {in_words(state.seconds_left)} left" if state.seconds_left else ""
    runs = f"{state.finished} of {plural(state.total, 'run')} generated{left}" if state.total else "scoring"
    updated = state.updated[11:19]
    note(
        f"This study is running: {done} of {plural(len(squares), 'cell')} done; {runs}. Now: {one_line(state.family)}. "
        f"Last change at {updated} UTC; if it was interrupted, fidelity study continues it."
    )


def _what_to_ship(shelf: Shelf, judged: Sequence[JudgedSquare], gate: Gate | None, why_no_gate: str) -> None:
    """The page's first sentence: what to ship, or what keeps that from being known."""
    if why_no_gate:
        note(f"The gate is invalid, so nothing is judged: {why_no_gate}")
    elif gate is None:
        note("No gate was given, so nothing is judged, and no format can be recommended.")
        navigation.link("gate", "Choose limits for a gate")
    elif any(one.verdict is None for one in judged):
        waiting = sum(one.verdict is None for one in judged)
        note(f"Judging {plural(waiting, 'comparison')} ...")
    elif (advice := recommendation(_offers(shelf, judged, gate))) is None:
        note("Nothing could be judged yet, so no format can be recommended.")
    else:
        banner(advice.outcome, advice.sentence, " ".join(advice.reasons))


def _offers(shelf: Shelf, judged: Sequence[JudgedSquare], gate: Gate) -> list[Offer]:
    """The candidates; one that is chosen from several must pass at their joint confidence."""
    per_model = [one.square.cell.family for one in judged]
    offers = []
    for one in judged:
        entry, own = one.square.entry, one.verdict if isinstance(one.verdict, Verdict) else None
        safe = own is not None and own.outcome == "pass"
        if safe and entry and own and own.candidates < (count := per_model.count(one.square.cell.family)):
            jointly = verdict(shelf, entry.id, gate, candidates=count)
            safe = isinstance(jointly, Verdict) and jointly.outcome == "pass"
        ratio = entry.bytes / entry.baseline_bytes if entry and entry.bytes and entry.baseline_bytes else None
        offers.append(Offer(one.square.cell.family, one.format, own, safe, ratio))
    return offers


def _why_not(judged: Sequence[JudgedSquare]) -> dict[str, str]:
    """Why each candidate does not pass the gate, by run's name; empty if it passes."""
    reasons = {}
    for one in judged:
        own = one.verdict if isinstance(one.verdict, Verdict) else None
        if one.square.entry:
            passes = own is not None and own.outcome == "pass"
            why = f"{own.outcome}: {own.reason}" if own else "not judged"
            reasons[one.square.entry.candidate] = "" if passes else why
    return reasons


def _matrix(judged: Sequence[JudgedSquare], table: pd.DataFrame, metric: str | None, gate: Gate | None) -> None:
    """The matrix of sizes and formats; `metric` is None while nothing has been scored."""
    if metric:
        subheader(f"Excess of {metric} over the floor, by size and format", "excess", "floor", "format", "verdict")
    else:
        subheader("State by size and format", "format")
    opened = study_matrix.draw(judged, metric or "drift", gate)
    if opened:
        navigation.go("comparison", carried=("metric",), comparison=opened)
    quiet(_legend(metric, gate.margins.get(metric) if gate and metric else None, judged=gate is not None))
    downloads(table, f"overview-{metric}")
    failed = table[(table["id"] == "") & (table["why"] != "waiting")]
    if len(failed):
        with st.expander(f"{plural(len(failed), 'cell')} without a number", expanded=len(failed) < 4):
            markup_table(
                ("Model", "Format", "Candidate", "Why"),
                failed[["size", "format", "candidate", "why"]].to_numpy().tolist(),
            )


def _not_shown(shelf: Shelf) -> None:
    """List what is in the store but can't be read, with the reasons."""
    wrong = [entry for entry in shelf.entries if entry.state != "readable"]
    if wrong:
        count = "1 entry" if len(wrong) == 1 else f"{len(wrong)} entries"
        with st.expander(f"{count} of the store can't be shown"):
            markup_table(("Comparison", "State", "Why"), [(entry.id, entry.state, entry.why) for entry in wrong])


def _legend(metric: str | None, margin: float | None, *, judged: bool) -> str:
    """How the matrix is read."""
    columns, hatched = "Columns: the format that ran.", "Hatched: not judged."
    if metric is None:
        return f"Nothing has been scored yet. {columns} {hatched}"
    color = f" No color: the gate has no margin on {metric}." if judged else ""
    if margin is not None:
        color = f" Color: blue is within the gate's margin of {margin:.3f}, orange is beyond it."
    numbers = "Numbers: mean excess over prompts; positive is worse."
    return f"{numbers} {columns}{color} {hatched} A cell opens its comparison."
