"""Runs: what really ran, where two runs differ, how fast each was and how large."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
import streamlit as st

from fidelity.dashboard.cache import shelf as read
from fidelity.dashboard.catalog import attempt
from fidelity.dashboard.widgets import downloads, markup_table, note, quiet
from fidelity.report.content import format_of
from fidelity.report.sanitize import one_line
from fidelity.store.measurements import Measurement
from fidelity.store.runs import Run
from fidelity.store.store import Store


def draw() -> None:
    """The page."""
    shelf = read()
    store = Store(shelf.root)
    runs = store.runs()
    for place, reason in store.damaged().items():
        note(f"{place} can't be read. {reason}")
    if not runs:
        note(f"There is no finished run in {shelf.root} yet. One is made by: fidelity generate base.yaml")
        return
    table = pd.DataFrame([_line(run, attempt(lambda run=run: store.measurement(run))[0]) for run in runs])  # type: ignore[misc]
    st.subheader("Runs", anchor=False)
    number = st.column_config.NumberColumn
    st.dataframe(
        table.dropna(axis="columns", how="all"),
        hide_index=True,
        placeholder="–",
        height=min(35 * len(table) + 38, 500),
        column_config={
            "run": st.column_config.TextColumn("Run", pinned=True),
            "parameters": number("Parameters", format="compact"),
            "bytes": number("Bytes on disk", format="bytes"),
            "tokens_per_s": number(
                "Tokens/s", format="%.0f", help="Generating alone, all prompts at once; measured when the run was made."
            ),
        },
    )
    downloads(table, "runs")
    if len(runs) > 1:
        _differences(runs)


def _line(run: Run, measured: Measurement | None) -> dict[str, object]:
    manifest = run.manifest
    engine, checkpoint, counts = manifest.engine, manifest.checkpoint, manifest.counts
    speed = measured.tokens / measured.seconds if measured and measured.tokens and measured.seconds else None
    return {
        "run": one_line(run.name),
        "format": one_line(format_of(run)),
        "ran as": engine.ran_as,
        "parameters": checkpoint.parameters,
        "bytes": checkpoint.bytes,
        "prompts": counts.prompts,
        "failures": counts.failures,
        "tokens": counts.tokens,
        "tokens_per_s": speed,
        "engine": " ".join(filter(None, (engine.kind, engine.version))),
        "mode": engine.mode,
        "device": engine.device,
        "quantized layers": engine.quantized_layers,
        "control of another": "yes" if manifest.control_of else None,
        "created": manifest.created,
        "id": run.id,
    }


def _differences(runs: list[Run]) -> None:
    st.subheader("Where two runs differ", anchor=False)
    names = {run.id: run for run in runs}
    ids = list(names)
    left, right = st.columns(2)
    with left:
        one = st.selectbox("One run", ids, key="one", bind="query-params", format_func=one_line)
    with right:
        other = st.selectbox("Another", ids, index=1, key="other", bind="query-params", format_func=one_line)
    only = st.toggle("Only what differs", value=True, key="differing", bind="query-params")
    first, second = (dict(_flat(names[id_].manifest.model_dump(mode="json"))) for id_ in (one, other))
    keys = list(dict.fromkeys([*first, *second]))
    rows = [(key, first.get(key, "–"), second.get(key, "–")) for key in keys]
    differing = [row[1] != row[2] for row in rows]
    if only:
        rows = [row for row, differs in zip(rows, differing, strict=True) if differs]
        differing = [True] * len(rows)
    if not rows:
        quiet("Their manifests are the same.")
        return
    markup_table(("Manifest", one, other), rows, marked=[] if only else differing)


def _flat(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """A manifest as lines: `engine.mode`, `compiled`."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{place}.{key}" if place else str(key))
    else:
        yield place, one_line(str(value), most=300)
