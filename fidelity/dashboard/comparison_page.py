"""Comparison: the verdict with its reasons, every metric, and the distribution of drift over prompts and answers."""

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from fidelity.comparison.results import ComparisonSet
from fidelity.comparison.stored import load_comparison
from fidelity.dashboard import (
    charts,
    expected_panel,
    harm_panel,
    navigation,
    price_panel,
    review_panel,
    slices_panel,
    token_panel,
)
from fidelity.dashboard.cache import answers_in_one_unit, pairs, path_of, rows_so_far
from fidelity.dashboard.catalog import CatalogEntry, Shelf, attempt
from fidelity.dashboard.pair_table import excess_of
from fidelity.dashboard.summaries import ColumnSummary, binned
from fidelity.dashboard.verdict_panel import gate_for, judge_and_show
from fidelity.dashboard.widgets import (
    chart,
    choose_metric,
    come_back,
    comparison_page,
    downloads,
    html,
    markup_table,
    note,
    quiet,
    subheader,
    text,
)
from fidelity.report import describe_run, notes, shown_in_table
from fidelity.report.column_groups import grouped
from fidelity.report.content import differences
from fidelity.report.verdicts import number
from fidelity.store.comparisons import Comparison

DECILE = "[decile="


@comparison_page
def draw(shelf: Shelf, entry: CatalogEntry, beside: DeltaGenerator) -> None:
    """Draw the page."""
    with beside:
        metric = choose_metric(shelf, among=[name for name in entry.columns if shown_in_table(name)])
    result, why = attempt(lambda: load_comparison(path_of(shelf, entry.id), only=()))
    if result is None or metric is None:
        note(f"This comparison can't be shown. {why or 'No metric has been scored on it.'}")
        return
    _what(result, entry)
    columns, to_come = rows_so_far(shelf, entry, first=[metric])
    if isinstance(columns, str):
        note(f"The numbers can't be read. {columns}")
        return
    _verdict(shelf, entry, result, columns)
    navigation.link("pairs", "See the pairs", comparison=entry.id, metric=metric)
    harm_panel.draw(shelf, entry, columns)
    expected_panel.draw(shelf, entry)
    if not review_panel.is_blind():
        review_panel.show_summary(shelf, entry)
    _table(shelf, entry, columns)
    if to_come:
        quiet(f"{to_come} more columns are being computed ...")
        come_back()
    _distribution(shelf, entry, result, columns, metric)
    _along(entry, columns)
    token_panel.draw(shelf, entry, columns)
    _answers(result, entry)
    subheader("Size and speed")
    price_panel.in_full(result)
    texts = notes(result)
    if texts:
        with st.expander(f"{len(texts)} notes"):
            markup_table(("Notes on the numbers",), [(line,) for line in texts])


def _what(result: ComparisonSet, entry: CatalogEntry) -> None:
    (candidate,) = result.candidates
    controls = ", ".join(control.run.name for control in result.controls) or "none, so there is no floor"
    html(
        f"<div><b>{text(entry.candidate)}</b> ({text(describe_run(candidate.run))}) compared with "
        f"<b>{text(entry.baseline)}</b> ({text(describe_run(result.baseline))}); {entry.prompts} prompts; "
        f"control: {text(controls)}; compared {text(entry.created[:16].replace('T', ' '))}</div>"
    )


def _verdict(shelf: Shelf, entry: CatalogEntry, result: ComparisonSet, columns: dict[str, ColumnSummary]) -> None:
    gate, why = gate_for(shelf, entry)
    if gate is None:
        note(f"The gate can't be used: {why}" if why else "No gate was given, so nothing was judged.")
        navigation.link("gate", "Set margins", comparison=entry.id)
        for difference in differences(result):
            note(difference)
        return
    judge_and_show(shelf, entry, gate, columns)


def _table(shelf: Shelf, entry: CatalogEntry, columns: dict[str, ColumnSummary]) -> None:
    """Every metric, in the reader's order: meaning, words, tokens, structure."""
    subheader("All metrics", "metric", "floor", "excess")
    groups = grouped(Comparison(path_of(shelf, entry.id)).manifest.columns, filter(shown_in_table, columns))
    of_group = {name: group for group, names in groups.items() for name in names}
    shown = [columns[name] for name in of_group]
    table = pd.DataFrame(
        {
            "group": list(of_group.values()),
            "metric": [row.name for row in shown],
            "value": [row.value for row in shown],
            "floor": [row.floor for row in shown],
            "chance level": [row.low for row in shown],
            "excess": [row.excess for row in shown],
            "from": [row.excess_span.low for row in shown],
            "to": [row.excess_span.high for row in shown],
            "prompts": [row.n for row in shown],
            "unscored": [row.n_unscored for row in shown],
            "counted as worst": [row.n_worst for row in shown],
            "summary": [row.kind for row in shown],
        }
    )
    levels = ("Metric", "Value", "Floor", "Chance level", "Excess", "from", "to")
    markup_table(
        (*levels, "Prompts", "Unscored", "Worst", "Mean or median", "Group"),
        [(*_cells(row), of_group[row.name]) for row in shown],
    )
    quiet(
        "Floor: the control compared with the baseline. Chance level: answers to different prompts. "
        "Excess: drift beyond the floor, mean over prompts, positive is worse; its 95% bootstrap interval is for "
        "orientation only, and the gate uses other bounds. Prompts: scored in the candidate and every control. "
        "Worst: the candidate's answers that can't be scored, which count as the worst value."
    )
    downloads(table, f"{entry.id}-metrics")


def _cells(row: ColumnSummary) -> tuple[str, ...]:
    digits = 0 if row.kind == "median" else 3
    levels = [number(value, digits=digits) for value in (row.value, row.floor, row.low)]
    excess = [number(value, sign=True) for value in (row.excess, row.excess_span.low, row.excess_span.high)]
    return (row.name, *levels, *excess, str(row.n), str(row.n_unscored), str(row.n_worst), row.kind)


def _distribution(
    shelf: Shelf, entry: CatalogEntry, result: ComparisonSet, columns: dict[str, ColumnSummary], metric: str
) -> None:
    table, why = pairs(shelf, entry.id, [metric])
    if table is None:
        note(f"The pairs can't be read. {why}")
        return
    row = columns.get(metric)
    if row is None or metric not in table:
        note(f"{metric} could not be scored on this comparison.")
        return
    floor = _floor_values(table, row)
    subheader(f"Distribution of {metric}", "floor")
    known = pd.concat([table[metric], floor]).dropna()
    bounds = (0.0, 1.0) if known.between(0, 1).all() else (float(known.quantile(0.01)), float(known.quantile(0.99)))
    data = binned(
        {"floor": floor.tolist(), "candidate": table[metric].tolist()}
        if floor.notna().any()
        else {"candidate": table[metric].tolist()},
        bounds,
    )
    name = f"{entry.id}-{metric}-distribution"
    chart(charts.histogram(data, metric), data, name, key="distribution", alt=f"distribution of {metric} over pairs")
    (lengths,), unit = answers_in_one_unit([result.baseline])
    slices_panel.draw(table, lengths, unit, metric, entry.id)


def _floor_values(table: pd.DataFrame, row: ColumnSummary) -> pd.Series:
    """Each pair's floor, from which its excess is computed."""
    if excess_of(row.name) not in table:
        return pd.Series(float("nan"), index=table.index)
    sign = 1.0 if row.better == "higher" else -1.0
    return table[row.name] + sign * table[excess_of(row.name)]


def _along(entry: CatalogEntry, columns: dict[str, ColumnSummary]) -> None:
    """Drift along the output, for metrics that are scored in tenths of the answer."""
    profiles = sorted({name.partition(DECILE)[0] for name in columns if DECILE in name})
    if not profiles:
        return
    subheader("Along the answer", "floor")
    with st.container(key="wide-along"):
        sides = st.columns(min(2, len(profiles)), gap="large")
    for number_, name in enumerate(profiles):
        data = _profile(columns, name)
        with sides[number_ % len(sides)]:
            chart(charts.along(data, name), data, f"{entry.id}-{name}-along", key=f"along-{name}")


def _profile(columns: dict[str, ColumnSummary], name: str) -> pd.DataFrame:
    lines = []
    for stretch, row in enumerate(
        (row for full, row in columns.items() if full.startswith(f"{name}{DECILE}")), start=1
    ):
        for side, value, span in (("floor", row.floor, row.floor_span), ("candidate", row.value, row.value_span)):
            lines.append({"stretch": stretch, "side": side, "value": value, "low": span.low, "high": span.high})
    return pd.DataFrame(lines)


def _answers(result: ComparisonSet, entry: CatalogEntry) -> None:
    """Length and ending of the answers."""
    (candidate,) = result.candidates
    read, why = attempt(lambda: answers_in_one_unit([result.baseline, candidate.run]))
    if read is None:
        note(f"The answers can't be read. {why}")
        return
    subheader("Length and ending of the answers")
    both, unit = read
    _ends(dict(zip(("baseline", "candidate"), both, strict=True)), unit, entry)


def _ends(both: dict[str, pd.DataFrame], unit: str, entry: CatalogEntry) -> None:
    lines = [
        (name, len(side), *(f"{side[unit].quantile(q):.0f}" for q in (0.1, 0.5, 0.9))) for name, side in both.items()
    ]
    markup_table(("", "Answers", f"10% are below ({unit})", "median", "90% are below"), lines)
    counts = pd.concat(
        [
            side["finish"]
            .value_counts()
            .rename_axis("what")
            .reset_index(name="count")
            .assign(side=name, share=lambda c: c["count"] / c["count"].sum())
            for name, side in both.items()
        ]
    )
    chart(charts.shares(counts), counts, f"{entry.id}-endings", key="endings")
