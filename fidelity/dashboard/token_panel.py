"""A comparison token by token: both models' scores of the baseline's tokens, and first divergences."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from fidelity.comparison.stored import load_comparison
from fidelity.dashboard import charts
from fidelity.dashboard.cache import computed_in_background, path_of
from fidelity.dashboard.catalog import CatalogEntry, Shelf, attempt
from fidelity.dashboard.summaries import ColumnSummary
from fidelity.dashboard.widgets import chart, come_back, markup_table, note, quiet, subheader
from fidelity.report.verdicts import number
from fidelity.tokens.first_divergence import NOISE_QUANTILE, Survival, divergences, noise, survival
from fidelity.tokens.statistics import TokenStatistics, token_statistics

CURVE_STEPS = 200
"""The maximum number of points of a curve."""


@dataclass(frozen=True, slots=True)
class DivergingRun:
    """A control or the candidate, compared with the baseline."""

    name: str
    together: Survival
    near_ties: int
    divergences: int
    """The number of diverging answers with token scores, for which near ties are known."""
    statistics: TokenStatistics | None
    why: str
    """Why there are no statistics."""


@dataclass(frozen=True, slots=True)
class TokenNumbers:
    """The panel's data."""

    sides: tuple[DivergingRun, ...]
    """The controls, then the candidate."""
    noise: float | None
    """See `first_divergence.noise`."""


def token_numbers(comparison: Path) -> TokenNumbers:
    """Read a comparison's answers and token scores, one answer at a time.

    Raises:
        StoreError: A file of the comparison is missing or damaged.
    """
    result = load_comparison(comparison, only=())
    controls, (candidate,) = [control.run for control in result.controls], result.candidates
    limit = noise(result.baseline, controls)
    sides = []
    for run in (*controls, candidate.run):
        diverged = divergences(result.baseline, run, noise=limit)
        statistics, why = attempt(lambda run=run: token_statistics(result.baseline, run))  # type: ignore[misc]
        near = sum(divergence.near_tie is True for divergence in diverged)
        name = "candidate" if run is candidate.run else "floor"
        sides.append(DivergingRun(name, survival(result.baseline, run), near, len(diverged), statistics, why))
    return TokenNumbers(tuple(sides), limit)


def draw(shelf: Shelf, entry: CatalogEntry, rows: dict[str, ColumnSummary]) -> None:
    """Draw the panel; nothing if the runs have no token ids."""
    path = path_of(shelf, entry.id)
    computed = computed_in_background("tokens", path, lambda: attempt(lambda: token_numbers(path)))
    if computed is None:
        quiet("Reading tokens ...")
        come_back()
        return
    numbers, why = computed
    if numbers is None:
        note(f"The tokens can't be read. {why}")
        return
    if not any(side.together.answers for side in numbers.sides):
        return
    subheader("Token by token", "first divergence")
    with st.container(key="wide-tokens"):
        left, right = st.columns(2, gap="large")
    with left:
        quiet("Share of answers that still equal the baseline's, by token.")
        curves = _curves(numbers)
        chart(charts.survival(curves), curves, f"{entry.id}-survival", key="survival")
    with right:
        _table(numbers)
        confidence = _by_confidence(rows)
        if len(confidence):
            quiet("Agreement on the most likely token, by the baseline's probability of it (in tenths).")
            drawn = charts.along(confidence, "top1_agreement", title="tenth of the baseline's confidence")
            chart(drawn, confidence, f"{entry.id}-confidence", key="confidence")


def _curves(numbers: TokenNumbers) -> pd.DataFrame:
    lines = []
    longest = max((side.together.diverged_at[-1] + 1 for side in numbers.sides if side.together.diverged_at), default=1)
    for order, side in enumerate(numbers.sides):
        steps = side.together.curve()
        steps = [*steps[:: max(1, -(-len(steps) // CURVE_STEPS))], (longest, side.together.share_at(longest))]
        lines += [{"run": order, "side": side.name, "token": token, "share": share} for token, share in steps]
    return pd.DataFrame(lines)


def _table(numbers: TokenNumbers) -> None:
    several = len(numbers.sides) > 2
    headings = [
        f"floor {n}" if several and side.name == "floor" else side.name for n, side in enumerate(numbers.sides, 1)
    ]
    lines = [
        (
            "diverging answers",
            *(f"{len(side.together.diverged_at)} of {side.together.answers}" for side in numbers.sides),
        )
    ]
    if numbers.noise is not None:
        lines.append(("diverging at a near tie", *(_near(side) for side in numbers.sides)))
    if any(side.statistics for side in numbers.sides):
        facts = [_facts(side.statistics) for side in numbers.sides]
        lines += [(title, *(one.get(title, "–") for one in facts)) for title in max(facts, key=len)]
    markup_table(("", *headings), lines)
    if reasons := sorted({side.why for side in numbers.sides if side.why}):
        note("There are no token scores: " + "; ".join(reasons))
    else:
        quiet("Both models scored the baseline's tokens (teacher forcing). The numbers are over all tokens.")
    if numbers.noise is not None:
        quiet(
            f"Near tie: the baseline preferred its token by at most {numbers.noise:.2f} nats, which is how much the "
            f"gap between its two most likely tokens varies in the controls ({NOISE_QUANTILE:.0%} quantile)."
        )


def _facts(statistics: TokenStatistics | None) -> dict[str, str]:
    if statistics is None:
        return {}
    exact = {"exact KL, mean (nats)": f"{statistics.kl.mean:.4f}"} if statistics.kl else {}
    return {
        "same most likely token": number(statistics.same_top, share=True),
        "KL, lower bound, mean (nats)": f"{statistics.kl_lower_bound.mean:.4f}",
        "KL, lower bound, 99.9%": f"{statistics.kl_lower_bound.quantiles[0.999]:.3f}",
        "KL, lower bound: tail mass": number(statistics.tail_mass, share=True),
        **exact,
        "perplexity ratio": f"{statistics.perplexity_ratio:.4f}",
        "mean Δp": number(statistics.mean_delta_p, share=True),
        "RMS Δp": number(statistics.rms_delta_p, share=True),
    }


def _near(side: DivergingRun) -> str:
    return f"{side.near_ties} of {side.divergences}" if side.divergences else "none diverge"


def _by_confidence(rows: dict[str, ColumnSummary]) -> pd.DataFrame:
    lines = []
    for name, row in rows.items():
        if name.startswith("top1_agreement[confidence="):
            tenth = int(name.partition("=")[2].rstrip("]"))
            for side, value, span in (("floor", row.floor, row.floor_span), ("candidate", row.value, row.value_span)):
                lines.append({"stretch": tenth, "side": side, "value": value, "low": span.low, "high": span.high})
    return pd.DataFrame(lines)
