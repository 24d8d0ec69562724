"""Gate: adjustable margins with their noise, the resulting verdict, and the gate.yaml and commands to copy."""

import math
from collections.abc import Sequence

import streamlit as st
import yaml
from pydantic import ValidationError
from streamlit.delta_generator import DeltaGenerator

from fidelity.dashboard.cache import drafted, path_of, rows_so_far
from fidelity.dashboard.catalog import CatalogEntry, Shelf, mark_of
from fidelity.dashboard.gate_text import commands, reasons_in, written
from fidelity.dashboard.summaries import ColumnSummary
from fidelity.dashboard.verdict_panel import gate_for, judge_and_show, needed_by, noise_of
from fidelity.dashboard.widgets import PREFERRED, come_back, comparison_page, label, note, quiet, subheader
from fidelity.gate import Gate, Line
from fidelity.report import shown_in_table

NO_GATE_FILE = (
    "There is no gate file, or it is provisional, so there is no verdict: limits that are adjusted while you see a "
    "candidate's drift prove nothing. Agree on limits, save the YAML below without 'provisional', and start the "
    "dashboard with --gate FILE."
)
SHARES = {"conflicts": ("conflict_", "conflicting"), "breaks": ("break_", "newly broken")}
"""The gate's limits on shares of prompts: the prefix of their columns, and their names."""


@comparison_page
def draw(shelf: Shelf, entry: CatalogEntry, beside: DeltaGenerator) -> None:
    """Draw the page."""
    with beside:
        confidence = st.slider(
            "Confidence",
            0.80,
            0.99,
            0.95,
            0.01,
            key="confidence",
            bind="query-params",
            help="The one-sided confidence of every bound.",
        )
    if not entry.controls:
        note("This comparison has no control, so there is no floor: every verdict is inconclusive.")
    columns, to_come = rows_so_far(shelf, entry, first=[name for name in PREFERRED if name in entry.columns][:2])
    if to_come:
        quiet(f"{to_come} more columns are being computed ...")
        come_back()
    if isinstance(columns, str):
        note(f"The numbers can't be read. {columns}")
        return
    start, why = _start(shelf, entry, columns)
    if why:
        quiet(f"No gate could be proposed, so the sliders start at a tenth of each column's range: {why}")
    noise: dict[str, DeltaGenerator] = {}
    gate = _gate(columns, start, confidence, noise)
    if gate is None:
        note("Choose a column to set a margin. A gate without a limit would pass everything.")
        return
    if gate.provisional:
        note(NO_GATE_FILE)
    elif gate != start:
        note("The limits below differ from those of the gate file. Only the file's count in reports and in CI.")
    judged = judge_and_show(shelf, entry, gate, columns)
    for line in judged.lines if judged else ():
        if line.name in noise:
            with noise[line.name]:
                quiet("; ".join(filter(None, (f"noise {noise_of(line)}", _needed(line)))))
    _yaml(shelf, entry, gate)


def _start(shelf: Shelf, entry: CatalogEntry, columns: dict[str, ColumnSummary]) -> tuple[Gate, str]:
    """The initial gate: the study's, or the given one, else the proposal of `fidelity gate init`.

    It has no limits if nothing can be proposed. Limits that are adjusted until a candidate passes prove nothing, so
    without a gate file nothing passes here.
    """
    gate, _ = gate_for(shelf, entry)
    if gate:
        return gate, ""
    path = path_of(shelf, entry.id)
    likely = [
        name
        for name in (*PREFERRED, *columns)
        if name in columns and shown_in_table(name) and columns[name].better != "neither"
    ]
    proposed, why = drafted(str(path), mark_of(path / "manifest.json"), tuple(dict.fromkeys(likely))[:2])
    limits = {key: value for key, value in yaml.safe_load(proposed or "{}").items() if value is not None}
    return Gate.model_construct(**{**limits, "provisional": entry.candidate_id}), why


def _needed(line: Line) -> str:
    needed = needed_by(line)
    return f"{needed} prompts would decide" if needed.startswith("about") else ""


def _gate(
    columns: dict[str, ColumnSummary], start: Gate, confidence: float, noise: dict[str, DeltaGenerator]
) -> Gate | None:
    """The gate of the sliders; None without a limit. `noise` gets a place below each margin's slider."""
    can = [name for name, row in columns.items() if row.better != "neither" and shown_in_table(name)]
    shares = {key: [n for n in can if n.startswith(prefix)] for key, (prefix, _) in SHARES.items()}
    named = [name for name in can if not any(name in names for names in shares.values())]
    for name in start.margins:
        if name not in columns:
            note(f"The gate's margin on {name} is ignored here, since {name} was not scored on this comparison.")
    first = [name for name in start.margins if name in named] or named[:1]
    chosen = st.multiselect("Margins on", named, default=first, key="margins", bind="query-params")
    margins = {}
    for name in chosen:
        margins[name] = _slider(name, columns[name], start.margins.get(name))
        noise[name] = st.empty()
    before = {"conflicts": start.conflicts, "breaks": start.breaks}
    limits = {key: _share_limits(key, names, before[key]) for key, names in shares.items()}
    primary = (
        st.selectbox(
            "Primary",
            [None, *margins],
            key="primary",
            bind="query-params",
            format_func=lambda n: "none: every line decides" if n is None else n,
            help="Only this column, conflicts, hard breaks and failures decide; other lines warn.",
        )
        if len(margins) > 1
        else None
    )
    if not (margins or any(limits.values())):
        return None
    moved = {"confidence": confidence, "margins": margins, "primary": primary, **limits}
    named_limits = {*margins, *(name for of_kind in limits.values() for name in of_kind)}
    try:
        return Gate.model_validate({**_rest(start, columns, named_limits), **moved})
    except ValidationError as error:
        note(f"Invalid gate: {error.errors()[0]['msg']}")
        return None


def _rest(start: Gate, columns: dict[str, ColumnSummary], named: set[str]) -> dict[str, object]:
    """The gate's keys without sliders, for columns that were scored and still have a limit."""
    tail = {name: limit for name, limit in start.tail.items() if name in columns}
    rest = {**start.model_dump(), "tail": tail}
    for key in ("worst_floor", "min_coverage"):
        if isinstance(by_column := getattr(start, key), dict):
            rest[key] = {name: value for name, value in by_column.items() if name in named | tail.keys()}
    return rest


def _slider(name: str, row: ColumnSummary, start: float | None) -> float:
    """A slider for a margin, up to twice the measured excess and at least a tenth."""
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


def _share_limits(key: str, names: Sequence[str], start: dict[str, float]) -> dict[str, float]:
    """Limits on shares of prompts, with a slider for each chosen one."""
    prefix, title = SHARES[key]
    checks = [name.removeprefix(prefix) for name in names]
    if not checks:
        return {}
    wanted = st.multiselect(
        f"Limit the share of {title} prompts",
        checks,
        default=[name for name in start if name in checks],
        key="checks" if key == "breaks" else key,
        bind="query-params",
        placeholder="none",
    )
    return {name: _share(f"{title} {label(name)}", start.get(name, 0.05), f"{prefix[0]}-{name}") for name in wanted}


def _share(title: str, start: float, key: str) -> float:
    value: float = st.slider(
        title, 0.005, 0.5, min(0.5, max(0.005, start)), 0.005, format="percent", key=key, bind="query-params"
    )
    return value


def _round(limit: float) -> float:
    """The slider's maximum: the next tenth, and below 1 for a range from 0 to 1."""
    return min(0.999, math.ceil(limit * 10) / 10)


def _yaml(shelf: Shelf, entry: CatalogEntry, gate: Gate) -> None:
    subheader("gate.yaml", "margin", "limit")
    path = path_of(shelf, entry.id)
    names = tuple(limit.column for limit in gate.limits)
    proposed, _ = drafted(str(path), mark_of(path / "manifest.json"), names)
    st.code(written(gate, reasons_in(proposed or "")), language=None)  # its colors are too faint to read
    quiet("The comments are the reasons for the limits that fidelity gate init proposes. Save it as gate.yaml, then:")
    st.code(commands(entry.id, shelf.root), language=None)
