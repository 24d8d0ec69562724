"""The bargain: what each candidate saves in bytes, memory, time and money, against how far it drifts."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from fidelity.comparison import ComparisonSet, load_comparison
from fidelity.dashboard import charts
from fidelity.dashboard.reading import found_once
from fidelity.dashboard.shelf import Entry, Shelf, attempt
from fidelity.dashboard.widgets import chart, markup_table, note, quiet
from fidelity.price import measure_of
from fidelity.report.content import format_of
from fidelity.report.price import DOMINATED, READING, price_table, published_table, times
from fidelity.report.published import published
from fidelity.report.verdicts import number
from fidelity.stats import Ratio
from fidelity.tradeoff import tradeoff


def bargains(comparisons: Sequence[Path], metric: str) -> pd.DataFrame:
    """A row for each candidate and measure: its `ratio` to the baseline, `low`, `high`, `drift`, `dominated_by`.

    A comparison that can't be read is left out, as is one whose runs were not measured. `drift` is the mean excess of
    the metric; None where it has none.
    """
    by_baseline: dict[str, list[ComparisonSet]] = {}
    for path in comparisons:
        result, _ = attempt(lambda path=path: _read(path, metric))  # type: ignore[misc]
        if result:
            by_baseline.setdefault(result.baseline.id, []).append(result)
    rows = []
    for results in by_baseline.values():
        for point in tradeoff(*results, column=metric).points:
            about: dict[str, object] = {"candidate": point.run.name, "format": format_of(point.run)}
            about |= {"drift": point.drift, "dominated_by": ", ".join(point.dominated_by)}
            rows += [
                {**about, "measure": name, "said": times(ratio), **_span(ratio)} for name, ratio in point.ratios.items()
            ]
    return pd.DataFrame(rows)


def _read(path: Path, metric: str) -> ComparisonSet:
    """With its runs, of which one may be gone."""
    result = load_comparison(path, only={metric}, lows=False)
    for run in (result.baseline, *(candidate.run for candidate in result.candidates)):
        run.manifest, run.measurement  # noqa: B018 - raises where it can't be read
    return result


def _span(ratio: Ratio) -> dict[str, float | None]:
    return {"ratio": ratio.value, "low": ratio.low, "high": ratio.high}


def draw(shelf: Shelf, entries: Sequence[Entry], metric: str, *, others: bool) -> None:
    """Drift against one measure that is chosen, and all of them in a table; nothing where nothing was measured."""
    ids = [entry.id for entry in entries]
    table = found_once(shelf, ids, f"bargains {metric}", lambda paths: bargains(paths, metric))
    if table.empty:
        return
    st.subheader("What the drift buys", anchor=False)
    measures = list(dict.fromkeys(table["measure"]))
    titles = {measure: measure_of(measure).title for measure in measures}
    chosen: str = st.selectbox("Against", measures, key="price", bind="query-params")
    points = table[(table["measure"] == chosen) & table["drift"].notna()]
    better = "more is better" if measure_of(chosen).better == "higher" else "less is better"
    if points.empty:
        note(f"{metric} has no excess to hold against the price.")
    else:
        title = f"{titles[chosen]}, candidate over baseline ({better})"
        beside = _published(chosen, metric) if others else pd.DataFrame()
        drawn = charts.bargain(points, beside, title, f"excess of {metric}")
        chart(drawn, points, f"bargain-{metric}-{chosen}", key="bargain")
    quiet(f"{READING} {DOMINATED if points['dominated_by'].any() else ''}")
    _all(table, titles)
    if others:
        told = published_table(metric)
        markup_table(("Published by others", *told.headings), [(row.name, *row.cells) for row in told.rows])
        for said in told.said:
            quiet(said)


def _published(measure: str, metric: str) -> pd.DataFrame:
    """Of whom the price is known (`ratio`), or the drift (`drift`, without a floor): nobody has published both."""
    rows: list[dict[str, object]] = []
    for point in published():
        drift = 1 - point.scores[metric] if metric in point.scores else None
        ratio = point.ratios.get(measure)
        if drift is not None or ratio is not None:
            rows.append({"name": point.name, "source": point.source, "ratio": ratio, "drift": drift})
    return pd.DataFrame(rows)


def _all(table: pd.DataFrame, titles: Mapping[str, str]) -> None:
    """A column for each candidate, a row for each measure."""
    candidates = list(dict.fromkeys(table["candidate"]))
    of = {name: table[table["candidate"] == name] for name in candidates}
    said = {name: dict(zip(own["measure"], own["said"], strict=True)) for name, own in of.items()}
    drifts = [own["drift"].iloc[0] for own in of.values()]
    rows = [("drift", *(number(None if pd.isna(drift) else float(drift), sign=True) for drift in drifts))]
    rows += [
        (title, *(said[name].get(measure, "–").replace("\n", " ") for name in candidates))
        for measure, title in titles.items()
    ]
    rows.append(("dominated by", *(own["dominated_by"].iloc[0] or "–" for own in of.values())))
    markup_table(("", *candidates), rows)


def in_full(result: ComparisonSet) -> None:
    """Every measure of one comparison; a note where nothing was measured."""
    table = price_table(result)
    if table is None:
        note("Neither size nor speed of these runs is known here.")
        return
    cells = zip(*(row.cells for row in table.rows), strict=True)
    markup_table(
        ("", *(row.name for row in table.rows)),
        [(heading, *row) for heading, row in zip(table.headings, cells, strict=True)],
    )
    for said in table.said:
        quiet(said)
