"""The chart of docs/tokens.md, from the comparisons of a store.

    python benchmarks/token_chart.py STORE docs/images/tokens.png

Left: the share of answers that are still the baseline's, by token, for the control and each candidate. Right: where
the answers diverge: at a near tie, or at a real preference of the baseline's.
"""

import argparse
from pathlib import Path

import altair as alt
import pandas as pd

from fidelity.comparison.stored import load_comparison
from fidelity.errors import StoreError
from fidelity.store.store import Store
from fidelity.tokens.report import RunTokens, token_report

FLOOR = "control (the floor)"
TIE, REAL, WHOLE = "parted at a near tie", "parted by a change of mind", "never parted"
COLOURS = {WHOLE: "#d9d9d9", TIE: "#f2b134", REAL: "#b3381e"}


def main() -> None:
    """Read the store, draw, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("store", type=Path)
    parser.add_argument("image", type=Path)
    chosen = parser.parse_args()
    runs = _runs(Store(chosen.store))
    chart = (
        alt.hconcat(_survival(runs), _divergences(runs))
        .resolve_scale(color="independent")
        .configure_view(stroke=None)
        .configure_axis(grid=False)
    )
    chart.save(chosen.image, scale_factor=2)
    for name, run in runs.items():
        near = sum(bool(divergence.near_tie) for divergence in run.divergences)
        survival = run.survival
        diverged, total = len(survival.diverged_at), survival.answers
        print(f"{name}: {diverged} of {total} diverge, {near} of {len(run.divergences)} at a near tie")


def _runs(store: Store) -> dict[str, RunTokens]:
    reports: dict[str, RunTokens] = {}
    for comparison in store.comparisons():
        if comparison.manifest.controls is None:
            continue
        result = load_comparison(comparison.path, only=())
        candidate = result.candidates[0].run
        try:
            report = token_report(result.baseline, [control.run for control in result.controls], candidate)
        except StoreError as error:
            print(error)
            continue
        for run in report.runs:
            reports[run.run.removeprefix("smollm2-135m-") if run.run == candidate.name else FLOOR] = run
    return dict(sorted(reports.items(), key=lambda item: item[0] != FLOOR))


def _survival(runs: dict[str, RunTokens]) -> alt.Chart:
    last = max(max(run.survival.diverged_at, default=0) for run in runs.values()) + 1
    rows = [
        {"run": name, "token": token, "share": share}
        for name, run in runs.items()
        for token, share in (*run.survival.curve(), (last, run.survival.share_at(last)))
    ]
    return (
        alt.Chart(pd.DataFrame(rows), width=380, height=260, title="Answers that are still the baseline's")
        .mark_line(interpolate="step-after", strokeWidth=2.5)
        .encode(
            x=alt.X("token:Q", title="after so many tokens", scale=alt.Scale(domain=[0, last], nice=False)),
            y=alt.Y("share:Q", title=None, axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
            color=alt.Color(
                "run:N",
                title=None,
                sort=list(runs),
                scale=alt.Scale(range=["#7a7a7a", "#2f6fb0", "#b3381e", "#5b8c3a"]),
            ),
        )
    )


def _divergences(runs: dict[str, RunTokens]) -> alt.Chart:
    rows = []
    for name, run in runs.items():
        near = sum(bool(divergence.near_tie) for divergence in run.divergences)
        counts = {
            TIE: near,
            REAL: len(run.divergences) - near,
            WHOLE: run.survival.answers - len(run.survival.diverged_at),
        }
        total = sum(counts.values())
        rows += [{"run": name, "how": how, "share": n / total, "order": i} for i, (how, n) in enumerate(counts.items())]
    return (
        alt.Chart(pd.DataFrame(rows), width=300, height=260, title="How they parted")
        .mark_bar()
        .encode(
            y=alt.Y("run:N", title=None, sort=list(runs)),
            x=alt.X("share:Q", title="share of the answers", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
            color=alt.Color(
                "how:N",
                title=None,
                sort=[TIE, REAL, WHOLE],
                scale=alt.Scale(domain=list(COLOURS), range=list(COLOURS.values())),
            ),
            order="order:Q",
        )
    )


if __name__ == "__main__":
    main()
