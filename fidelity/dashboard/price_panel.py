"""Price and drift: what each candidate saves in bytes, memory, time and money, and how far it drifts."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from fidelity.comparison.results import ComparisonSet
from fidelity.comparison.stored import load_comparison
from fidelity.dashboard import study_charts
from fidelity.dashboard.cache import computed_once
from fidelity.dashboard.catalog import Shelf, attempt
from fidelity.dashboard.widgets import chart, markup_table, note, quiet
from fidelity.price.measures import measure_of, ratios_of
from fidelity.price.pareto import AXES, Point, marked
from fidelity.report.content import format_of
from fidelity.report.price import DOMINATED, READING, price_table, published_table, times
from fidelity.report.published import published
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


def price_points(prices: Mapping[str, Priced], drifts: Mapping[str, float | None]) -> pd.DataFrame:
    """A row for each candidate and measure: its `ratio` to the baseline, `low`, `high`, `drift`, `dominated_by`.

    `prices` and `drifts` are by the comparison's id; a drift is a mean excess, or None.
    """
    by_baseline: dict[str, list[Point]] = {}
    for id_, own in prices.items():
        points = by_baseline.setdefault(own.baseline.id, [Point(own.baseline, 0.0, {}, is_baseline=True)])
        points.append(Point(own.candidate, drifts.get(id_), own.ratios))
    rows = []
    for point in itertools.chain.from_iterable(map(marked, by_baseline.values())):
        about: dict[str, object] = {"id": point.run.id, "candidate": point.run.name, "format": format_of(point.run)}
        about |= {"drift": point.drift, "dominated_by": ", ".join(point.dominated_by)}
        rows += [
            {**about, "measure": name, "shown": times(ratio), **_span(ratio)} for name, ratio in point.ratios.items()
        ]
    return pd.DataFrame(rows)


def _span(ratio: Ratio) -> dict[str, float | None]:
    return {"ratio": ratio.value, "low": ratio.low, "high": ratio.high}


def draw(shelf: Shelf, drifts: Mapping[str, float | None], metric: str, *, others: bool) -> None:
    """Drift against a chosen measure, and a table of all measures; nothing without measurements."""
    table = price_points(prices_of(shelf, list(drifts)), drifts)
    if table.empty:
        return
    st.subheader("Price and drift", anchor=False)
    measures = list(dict.fromkeys(table["measure"]))
    titles = {measure: measure_of(measure).title for measure in measures}
    chosen: str = st.selectbox("Against", measures, key="price", bind="query-params")
    points = table[(table["measure"] == chosen) & table["drift"].notna()]
    better = "more is better" if measure_of(chosen).better == "higher" else "less is better"
    if points.empty:
        note(f"{metric} has no excess to compare with the price.")
    else:
        title = f"{titles[chosen]}, candidate over baseline ({better})"
        beside = _published(chosen, metric) if others else pd.DataFrame()
        drawn = study_charts.drift_and_price(points, beside, title, f"excess of {metric}")
        chart(drawn, points, f"bargain-{metric}-{chosen}", key="bargain")
    quiet(f"{READING} {DOMINATED if points['dominated_by'].any() else ''}")
    _all(table, titles)
    if others:
        published = published_table(metric)
        markup_table(("Published results", *published.headings), [(row.name, *row.cells) for row in published.rows])
        for sentence in published.notes:
            quiet(sentence)


def _published(measure: str, metric: str) -> pd.DataFrame:
    """Published prices (`ratio`) or drift (`drift`, without a floor); no source has both."""
    rows: list[dict[str, object]] = []
    for point in published():
        drift = 1 - point.scores[metric] if metric in point.scores else None
        ratio = point.ratios.get(measure)
        if drift is not None or ratio is not None:
            rows.append({"name": point.name, "source": point.source, "ratio": ratio, "drift": drift})
    return pd.DataFrame(rows)


def _all(table: pd.DataFrame, titles: Mapping[str, str]) -> None:
    """A row for each candidate and a column for each deciding measure; the comparison page has the others."""
    measures = [measure for measure in titles if measure in AXES]
    rows = []
    for _, own in table.groupby("id", sort=False):
        first, ratios = own.iloc[0], dict(zip(own["measure"], own["shown"], strict=True))
        drift = number(None if pd.isna(first["drift"]) else float(first["drift"]), sign=True)
        measured = (ratios.get(measure, "–") for measure in measures)
        rows.append((first["candidate"], drift, *measured, first["dominated_by"] or "–"))
    markup_table(("", "drift", *(titles[measure] for measure in measures), "dominated by"), rows)


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
