"""Price and drift: what each candidate saves in bytes, memory, time and money, and how far it drifts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from fidelity.comparison.results import ComparisonSet
from fidelity.comparison.stored import load_comparison
from fidelity.dashboard import study_charts
from fidelity.dashboard.cache import computed_once
from fidelity.dashboard.catalog import Shelf, attempt
from fidelity.dashboard.looks import looks_of
from fidelity.dashboard.study_matrix import size_of
from fidelity.dashboard.widgets import chart, markup_table, note, quiet, subheader, symbol_of
from fidelity.price.measures import measure_of, ratios_of
from fidelity.price.pareto import AXES, Point, marked
from fidelity.report.price import DOMINATED, READING, price_table, times
from fidelity.report.verdicts import number
from fidelity.stats import Ratio
from fidelity.store.runs import Run


@dataclass(frozen=True, slots=True)
class Priced:
    """A comparison's runs, and the candidate's price ratios."""

    baseline: Run
    candidate: Run
    ratios: Mapping[str, Ratio]


def priced(comparisons: Sequence[Path]) -> dict[str, Priced]:
    """Prices by the comparison's id, without comparisons that can't be read or that lack a run."""

    def read(path: Path) -> Priced:
        result = load_comparison(path, only=(), lows=False)
        base, candidate = result.baseline, result.candidates[0].run
        return Priced(base, candidate, ratios_of(base, candidate))

    readable = {path.name: attempt(lambda path=path: read(path))[0] for path in comparisons}  # type: ignore[misc]
    return {id_: prices for id_, prices in readable.items() if prices}


def prices_of(shelf: Shelf, ids: Sequence[str]) -> dict[str, Priced]:
    """See `priced`; cached."""
    return computed_once(shelf, ids, "prices", priced)


def price_points(prices: Mapping[str, Priced], table: pd.DataFrame) -> pd.DataFrame:
    """A row for each candidate and measure: its `ratio` to the baseline, `low`, `high`, `drift`, `dominated_by`.

    `prices` are by the comparison's id; `table` has `id`, `format`, `size`, `outcome` and the mean `excess`.
    """
    drawn = {row["id"]: row for row in table.to_dict("records")}
    by_baseline: dict[str, list[tuple[str, Point]]] = {}
    for id_, own in prices.items():
        points = by_baseline.setdefault(own.baseline.id, [("", Point(own.baseline, 0.0, {}, is_baseline=True))])
        excess = drawn[id_]["excess"]
        points.append((id_, Point(own.candidate, None if pd.isna(excess) else excess, own.ratios)))
    rows = []
    for baseline, named in by_baseline.items():
        for (id_, _), point in zip(named, marked([point for _, point in named]), strict=True):
            if point.is_baseline:
                continue
            about = {key: drawn[id_][key] for key in ("id", "candidate", "format", "size", "outcome", "parameters")}
            about |= {"baseline": baseline, "drift": point.drift, "dominated_by": ", ".join(point.dominated_by)}
            rows += [
                {**about, "measure": name, "shown": times(ratio), **_span(ratio)}
                for name, ratio in point.ratios.items()
            ]
    return pd.DataFrame(rows)


def _span(ratio: Ratio) -> dict[str, float | None]:
    return {"ratio": ratio.value, "low": ratio.low, "high": ratio.high}


def draw(shelf: Shelf, table: pd.DataFrame, metric: str) -> None:
    """Drift against a chosen measure, and a table of all measures; nothing without measurements.

    `table` is that of the overview's matrix.
    """
    known = table[table["id"] != ""]
    points = price_points(prices_of(shelf, list(known["id"])), known)
    if points.empty:
        return
    subheader("Price and drift", "drift", "dominated by")
    measures = list(dict.fromkeys(points["measure"]))
    titles = {measure: measure_of(measure).title for measure in measures}
    chosen: str = st.selectbox("Against", measures, key="price", bind="query-params")
    better = measure_of(chosen).better
    shown = points[(points["measure"] == chosen) & points["drift"].notna()]
    if shown.empty:
        note(f"{metric} has no excess to compare with the price.")
    else:
        title = f"{titles[chosen]}, candidate over baseline ({'more' if better == 'higher' else 'less'} is better)"
        several = shown["size"].nunique() > 1
        labels = [
            " ".join(filter(None, (symbol_of(str(row.outcome)), _size(row) if several else ""))) or " "
            for row in shown.itertuples()
        ]
        y_title = f"excess of {metric}"
        drawn = study_charts.drift_and_price(
            shown.assign(label=labels), looks_of(list(table["format"])), _front(shown, better), title, y_title
        )
        chart(drawn, shown, f"price-{metric}-{chosen}", key="price-chart", alt=f"{y_title} against {title}")
    quiet(
        f"{READING} The line is each model's Pareto front: no other format has both less drift and a better price. "
        f"{DOMINATED + ' Its mark is hollow.' if points['dominated_by'].any() else ''}"
    )
    _all(points, titles)


def _size(row: Any) -> str:
    return size_of(None if pd.isna(row.parameters) else int(row.parameters)) or row.size


def _front(points: pd.DataFrame, better: str) -> pd.DataFrame:
    """The Pareto front of each model in this measure and drift, with its baseline at (1, 0), cheapest first."""
    lines = []
    for baseline, own in points.groupby("baseline", sort=False):
        ends = pd.concat([own[["ratio", "drift"]], pd.DataFrame({"ratio": [1.0], "drift": [0.0]})])
        ends = ends.sort_values(["ratio", "drift"], ascending=[better != "higher", True])
        lowest = float("inf")
        for ratio, drift in ends.itertuples(index=False):
            if drift < lowest:
                lowest = drift
                lines.append({"baseline": baseline, "ratio": ratio, "drift": drift})
    return pd.DataFrame(lines)


def _all(table: pd.DataFrame, titles: Mapping[str, str]) -> None:
    """A row for each candidate and a column for each deciding measure; the comparison page has the others."""
    measures = [measure for measure in titles if measure in AXES]
    rows = []
    for _, own in table.groupby("id", sort=False):
        first, ratios = own.iloc[0], dict(zip(own["measure"], own["shown"], strict=True))
        drift = number(None if pd.isna(first["drift"]) else float(first["drift"]), sign=True)
        verdict = f"{symbol_of(first['outcome'])} {first['outcome']}" if first["outcome"] else "not judged"
        measured = (ratios.get(measure, "–").replace(" ", "\N{NO-BREAK SPACE}") for measure in measures)
        rows.append((first["size"], first["format"], verdict, drift, *measured, first["dominated_by"] or "–"))
    markup_table(("Model", "Format", "Verdict", "Drift", *(titles[m] for m in measures), "Dominated by"), rows)


def in_full(result: ComparisonSet) -> None:
    """Every measure of one comparison, or a note if there is none."""
    table = price_table(result)
    if table is None:
        note("Size and speed of these runs are unknown.")
        return
    cells = zip(*(row.cells for row in table.rows), strict=True)
    markup_table(
        ("", *(row.name for row in table.rows)),
        [(heading, *row) for heading, row in zip(table.headings, cells, strict=True)],
    )
    for sentence in table.notes:
        quiet(sentence)
