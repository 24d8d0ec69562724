"""History: the gate's lines over all comparisons of a baseline, with bounds and limits, as in `fidelity history`."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from fidelity.dashboard import charts, navigation
from fidelity.dashboard.cache import shelf as read
from fidelity.dashboard.cache import verdict
from fidelity.dashboard.catalog import CatalogEntry, Shelf
from fidelity.dashboard.verdict_panel import gate_for
from fidelity.dashboard.widgets import chart, come_back, markup_table, note, plural, quiet, symbol_of
from fidelity.gate import Gate, Line, Verdict
from fidelity.outside.strings import one_line

Judgement = tuple[CatalogEntry, Verdict | str]
"""A comparison with its verdict, or why it has none."""


def draw() -> None:
    """Draw the page."""
    shelf = read()
    entries = shelf.readable
    if not entries:
        note("This store has no comparison that can be read yet.")
        return
    baselines = list(dict.fromkeys(entry.baseline for entry in entries))
    baseline = st.selectbox("Baseline", baselines, key="baseline", bind="query-params", format_func=one_line)
    own = sorted((e for e in entries if e.baseline == baseline), key=lambda entry: (entry.created, entry.id))
    gate, why = gate_for(shelf, own[-1])
    if gate is None:
        note(f"The gate can't be used: {why}" if why else "No gate was given, so there is no line to follow.")
        navigation.link("gate", "Choose limits for a gate")
        return
    judged = _judged(shelf, own, gate)
    if len(judged) < len(own):
        note(f"Judging {plural(len(own) - len(judged), 'comparison')} ...")
        come_back()
    quiet("Lines are one-sided bounds at the gate's confidence. All comparisons are judged with the current gate.")
    _lines(judged)
    _table(judged)


def _judged(shelf: Shelf, entries: Sequence[CatalogEntry], gate: Gate) -> list[Judgement]:
    """The comparisons that have been judged, oldest first."""
    verdicts = [(entry, verdict(shelf, entry.id, gate)) for entry in entries]
    return [(entry, outcome) for entry, outcome in verdicts if outcome is not None]


def _lines(judged: Sequence[Judgement]) -> None:
    """A chart for each line of the gate."""
    lines = [(e, line) for e, v in judged if isinstance(v, Verdict) for line in v.lines if line.value is not None]
    titles = list(dict.fromkeys(line.title for _, line in lines))
    with st.container(key="wide-history"):
        places = st.columns(2, gap="large") if len(titles) > 1 else [st.container()]
    for place, title in enumerate(titles):
        own = [(entry, line) for entry, line in lines if line.title == title]
        table = pd.DataFrame([_point(entry, line) for entry, line in own])
        with places[place % len(places)]:
            st.subheader(one_line(title), anchor=False)
            axis = "share of prompts" if own[0][1].is_share else "excess"
            drawn = charts.history(table, axis, share=own[0][1].is_share)
            chart(drawn, table, f"history-{title}", alt=f"{axis} of {title} over time, with bounds and limit")


def _point(entry: CatalogEntry, line: Line) -> dict[str, object]:
    return {
        "comparison": f"{one_line(entry.candidate, most=40)} {entry.created[5:16].replace('T', ' ')}",
        "candidate": entry.candidate,
        "created": entry.created,
        "outcome": line.outcome,
        "value": line.value,
        "low": line.lower,
        "high": line.upper,
        "limit": line.limit,
    }


def _table(judged: Sequence[Judgement]) -> None:
    rows = [
        (
            entry.created[:16].replace("T", " "),
            entry.candidate,
            entry.format,
            f"{entry.prompts:,}",
            f"{symbol_of(v.outcome)}\N{NO-BREAK SPACE}{v.outcome}" if isinstance(v, Verdict) else "not judged",
            v.reason if isinstance(v, Verdict) else v,
        )
        for entry, v in reversed(judged)
    ]
    markup_table(("Compared", "Candidate", "Format", "Prompts", "Verdict", "Why"), rows)
