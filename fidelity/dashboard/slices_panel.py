"""Where a comparison drifts: slices by category and by length of the baseline's answer, with n and intervals."""

import numpy as np
import pandas as pd
import streamlit as st

from fidelity.dashboard import charts
from fidelity.dashboard.pair_table import KEYS, excess_of
from fidelity.dashboard.widgets import chart, note, quiet, subheader

MOST_SLICES = 20
"""The categories with the most prompts that are drawn; the download has all."""
LEAST = 5
"""The prompts from which a slice has an interval; with fewer, it would be wider than the chart."""
LENGTHS = ("shortest third", "middle third", "longest third")


def draw(table: pd.DataFrame, baseline: pd.DataFrame, unit: str, metric: str, name: str) -> None:
    """Draw both kinds of slices.

    Args:
        table: The pairs, from `pair_table.read_columns`.
        baseline: The baseline's answers, from `pair_table.answers_of`.
        unit: Its column with their lengths.
        metric: The column.
        name: The beginning of the downloads' names.
    """
    column = excess_of(metric) if excess_of(metric) in table else metric
    title = f"excess of {metric}" if column != metric else metric
    with st.container(key="wide-slices"):
        left, right = st.columns(2, gap="large")
    with left:
        subheader("By prompt category", "excess")
        named = slices_of(table, table["category"].fillna("no category"), column)
        if len(named) > 1:
            shown = named.nlargest(MOST_SLICES, "n").sort_values("value", ascending=False)
            chart(charts.slices(shown, title), named, f"{name}-{metric}-categories", alt=f"{title} by prompt category")
            if len(named) > len(shown):
                quiet(f"The {len(shown)} largest of {len(named)} categories; the download has all.")
        else:
            note("The prompts have no categories, or only one.")
    with right:
        subheader("By length of the baseline's answer", "excess", "baseline")
        by_length = slices_of(table, thirds(table, baseline, unit), column)
        if len(by_length) > 1:
            chart(charts.slices(by_length, title), by_length, f"{name}-{metric}-lengths", alt=f"{title} by length")
        else:
            note("The baseline's answers are all equally long.")
    quiet("A mark is as large as its number of prompts; lines are 95% intervals, from 5 prompts on.")


def slices_of(table: pd.DataFrame, group: pd.Series, column: str) -> pd.DataFrame:
    """The mean of each group with its 95% t interval over prompts: `slice`, `n`, `value`, `low`, `high`.

    A prompt with several answers counts once, with their mean.
    """
    from scipy.special import stdtrit  # scipy.stats takes a second to import

    known = pd.DataFrame({"slice": group, "prompt": table["prompt_id"], "value": table[column]}).dropna()
    prompts = known.groupby(["slice", "prompt"], sort=False, observed=True)["value"].mean()
    groups = prompts.groupby("slice", sort=False, observed=True)
    slices = pd.DataFrame({"n": groups.count(), "value": groups.mean(), "spread": groups.std()}).reset_index()
    half = slices["spread"] / slices["n"] ** 0.5 * stdtrit(slices["n"] - 1, 0.975)
    half = half.where(slices["n"] >= LEAST)
    low, high = slices["value"] - half, slices["value"] + half
    return pd.DataFrame({**slices[["slice", "n", "value"]].to_dict("series"), "low": low, "high": high})


def thirds(table: pd.DataFrame, baseline: pd.DataFrame, unit: str) -> pd.Series:
    """Which third of the baseline's answers, by length, each pair belongs to."""
    lengths = table[KEYS].merge(baseline[[*KEYS, unit]], on=KEYS, how="left")[unit]
    edges = sorted({float("-inf"), *lengths.quantile([1 / 3, 2 / 3]), float("inf")})
    names = LENGTHS if len(edges) == 4 else LENGTHS[:: 3 - len(edges) + 1]
    slices = pd.Series(pd.cut(lengths, edges, labels=list(names)[: len(edges) - 1]).to_numpy(), index=table.index)
    if slices.nunique() < 2:  # most answers are as long as the limit allows
        longest = lengths.to_numpy() == lengths.max()
        slices = pd.Series(np.where(longest, "longest", "shorter"), table.index)
    return slices
