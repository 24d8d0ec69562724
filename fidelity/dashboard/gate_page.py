"""Gate: margins to move, the verdict as they stand, and the gate.yaml to copy."""

import math

import streamlit as st
import yaml
from pydantic import ValidationError

from fidelity.dashboard.cache import drafted, path_of, rows_so_far, verdict
from fidelity.dashboard.cache import shelf as read
from fidelity.dashboard.catalog import CatalogEntry, Shelf, mark_of
from fidelity.dashboard.summaries import ColumnSummary
from fidelity.dashboard.verdict_panel import gate_for, show_verdict
from fidelity.dashboard.widgets import PREFERRED, choose_comparison, come_back, label, note, quiet
from fidelity.gate import Gate
from fidelity.report import shown_in_table

WITHOUT_SLIDER = {"max_failed", "compares", "worst_floor", "allow_engine_difference"}
"""What a gate may say that can't be changed on this page."""


def draw() -> None:
    """The page."""
    shelf = read()
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    with left:
        id_ = choose_comparison(shelf)
    entry = shelf.entry(id_) if id_ else None
    if entry is None or entry.state != "readable":
        note(f"This comparison can't be shown. {entry.why}" if entry else "There is no comparison in this store yet.")
        return
    with right:
        confidence = st.slider(
            "Confidence",
            0.80,
            0.99,
            0.95,
            0.01,
            key="confidence",
            bind="query-params",
            help="Of every bound, one-sided.",
        )
    if not entry.controls:
        note("This comparison has no control, so there is no floor: every verdict is inconclusive.")
    found, to_come = rows_so_far(shelf, entry, first=[name for name in PREFERRED if name in entry.columns][:2])
    if to_come:
        quiet(f"{to_come} more columns are being summed ...")
        come_back()
    if isinstance(found, str):
        note(f"Its numbers can't be read. {found}")
        return
    start, why = _start(shelf, entry, found)
    if why:
        quiet(f"No gate could be drafted, so the sliders begin at a tenth of each column's range: {why}")
    gate = _gate(found, start, confidence)
    if gate is None:
        note("Choose a column to set a margin on. A gate without a limit would pass everything.")
        return
    _judged(shelf, entry, gate, found)
    _yaml(gate)


def _start(shelf: Shelf, entry: CatalogEntry, found: dict[str, ColumnSummary]) -> tuple[Gate | None, str]:
    """The gate to begin with: that of the study, or the given one, else what `fidelity gate init` drafts."""
    gate, _ = gate_for(shelf, entry)
    if gate:
        return gate, ""
    path = path_of(shelf, entry.id)
    likely = [
        name
        for name in (*PREFERRED, *found)
        if name in found and shown_in_table(name) and found[name].better != "neither"
    ]
    written, why = drafted(str(path), mark_of(path / "manifest.json"), tuple(dict.fromkeys(likely))[:2])
    return (Gate.model_validate(yaml.safe_load(written)) if written else None), why


def _gate(found: dict[str, ColumnSummary], start: Gate | None, confidence: float) -> Gate | None:
    """The gate as the sliders stand; None without a limit."""
    can = [name for name, row in found.items() if row.better != "neither" and shown_in_table(name)]
    breaks = [name for name in can if name.startswith("break_")]
    named = [name for name in can if name not in breaks]
    margins_before, breaks_before = (start.margins, start.breaks) if start else ({}, {})
    for name in margins_before:
        if name not in found:
            note(f"The gate has a margin on {name}, which was not scored on this comparison; it is left out here.")
    first = [name for name in margins_before if name in named] or named[:1]
    chosen = st.multiselect("Margins on", named, default=first, key="margins", bind="query-params")
    margins = {name: _slider(name, found[name], margins_before.get(name)) for name in chosen}
    checks = [name.removeprefix("break_") for name in breaks]
    wanted = (
        st.multiselect(
            "Limits on newly broken",
            checks,
            default=[n for n in breaks_before if n in checks],
            key="checks",
            bind="query-params",
            placeholder="none",
        )
        if checks
        else []
    )
    limits = {name: _share(name, breaks_before.get(name, 0.05)) for name in wanted}
    primary = (
        st.selectbox(
            "Primary",
            [None, *margins],
            key="primary",
            bind="query-params",
            format_func=lambda n: "none: every line decides" if n is None else n,
            help="Only its line, hard breaks and failures decide; the other lines warn.",
        )
        if len(margins) > 1
        else None
    )
    if not (margins or limits):
        return None
    without_slider = start.model_dump(include=WITHOUT_SLIDER, exclude_defaults=True) if start else {}
    tail = {name: limit for name, limit in (start.tail if start else {}).items() if name in found}
    set_here = {"confidence": confidence, "margins": margins, "breaks": limits, "primary": primary, "tail": tail}
    try:
        return Gate.model_validate({**without_slider, **set_here})
    except ValidationError as error:
        note(f"That is no gate: {error.errors()[0]['msg']}")
        return None


def _slider(name: str, row: ColumnSummary, start: float | None) -> float:
    """A margin, up to twice what was measured, at least a tenth."""
    most = _round(max(0.1, 2 * abs(row.excess or 0.0), 2 * (start or 0.0)))
    begin = min(most, max(0.001, round(start or most / 5, 3)))
    measured = f"excess {row.excess:+.3f}" if row.excess is not None else "no excess"
    value: float = st.slider(
        f"{label(name)} ({label(measured)})",
        0.001,
        most,
        begin,
        0.001,
        format="%.3f",
        key=f"m-{name}",
        bind="query-params",
    )
    return value


def _share(name: str, start: float) -> float:
    value: float = st.slider(
        f"newly broken {label(name)}",
        0.005,
        0.5,
        min(0.5, max(0.005, start)),
        0.005,
        format="percent",
        key=f"b-{name}",
        bind="query-params",
    )
    return value


def _round(limit: float) -> float:
    """Up to the next tenth, and below 1 for what goes from 0 to 1."""
    return min(0.999, math.ceil(limit * 10) / 10)


def _judged(shelf: Shelf, entry: CatalogEntry, gate: Gate, found: dict[str, ColumnSummary]) -> None:
    judged = verdict(shelf, entry.id, gate)
    if judged is None:
        note("Being judged; with many prompts that takes some seconds.")
        come_back()
    elif isinstance(judged, str):
        note(f"It can't be judged: {judged}")
    else:
        show_verdict(judged, found)


def _yaml(gate: Gate) -> None:
    st.subheader("gate.yaml", anchor=False)
    written = {key: value for key, value in gate.model_dump(exclude_defaults=True).items() if value}
    st.code(yaml.safe_dump({"confidence": gate.confidence, **written}, sort_keys=False), language="yaml")
    quiet(
        "Use it with: fidelity compare base.yaml quant.yaml --gate gate.yaml, "
        "or fidelity gate check COMPARISON --gate gate.yaml"
    )
