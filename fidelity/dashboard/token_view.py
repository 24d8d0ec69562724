"""One answer of the baseline token by token, colored by another run's scores."""

import math
from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd
import streamlit as st

from fidelity.dashboard.catalog import attempt
from fidelity.dashboard.widgets import counted, downloads, html, note, quiet, text
from fidelity.outside.strings import cut
from fidelity.store.runs import Run
from fidelity.tokens.table import Alternative, TokenRow, token_table

STEPS = (0.1, 0.5, 1.0, 2.0)
"""In nats: the changes of a token's log-probability at which its color becomes stronger."""
MOST_TOKENS = 4_000
NEWLINES = str.maketrans({"\n": "⏎\n", "\t": "⇥\t"})


def show_tokens(baseline: Run, others: Sequence[Run], prompt_id: str, repeat: int) -> str:
    """Draw the answer's tokens with the scores of the candidate or a control, or return why that isn't possible.

    Args:
        baseline: The run with the answer.
        others: The candidate first, then the controls.
        prompt_id: The prompt.
        repeat: The number of the answer.
    """
    names = [run.name for run in others]
    chosen = st.segmented_control("Scored by", names, default=names[0], required=True, key="seen-by")
    other = others[names.index(chosen or names[0])]
    rows, why = attempt(lambda: token_table(baseline, other, prompt_id, repeat=repeat))
    if rows is None:
        return why
    if not rows:
        note("The baseline's answer has no tokens.")
        return ""
    html(f'<div class="f-box f-text f-tokens">{"".join(map(_marked, rows[:MOST_TOKENS]))}</div>')
    if len(rows) > MOST_TOKENS:
        quiet(f"The first {MOST_TOKENS:,} of {len(rows):,} tokens.")
    steps = "".join(f'<span class="f-less{n}">{step:g}</span> ' for n, step in enumerate(STEPS, start=1))
    more = "".join(f'<span class="f-more{n}">{step:g}</span> ' for n, step in enumerate(STEPS, start=1))
    html(
        f'<div class="f-quiet f-tokens">Less likely than in the baseline by (nats) {steps} · more likely by {more} · '
        f'<span class="f-flip">another token is most likely</span>. Hover over a token for the alternatives.</div>'
    )
    flips, kl = sum(not row.agree for row in rows), sum(row.kl_lower_bound for row in rows) / len(rows)
    if ties := [row for row in rows if row.tie]:
        quiet(_ties(ties, len(rows)))
    worst = max(rows, key=lambda row: row.baseline_logprob - row.other_logprob)
    quiet(
        f"At {flips:,} of {counted(len(rows), 'token')} another token is most likely; the mean KL is at least "
        f"{kl:.4f} nats; the largest loss is at token {worst.position}: {worst.baseline_logprob:.2f} to "
        f"{worst.other_logprob:.2f}."
    )
    downloads(pd.DataFrame([_plain(row) for row in rows]), f"tokens-of-{prompt_id}-seen-by-{other.name}")
    return ""


def _ties(ties: Sequence[TokenRow], tokens: int) -> str:
    """A sentence about exact ties, where only the order of calculation decides which token is chosen."""
    first = ties[0]
    names = " and ".join(_quoted(a.text) for a in first.baseline_top[:2])
    return (
        f"At {len(ties):,} of {counted(tokens, 'token')} the baseline's two most likely tokens are exactly equally "
        f"likely (first at token {first.position}: {names}). Answers can diverge there although no most likely token "
        f"has changed."
    )


def _marked(row: TokenRow) -> str:
    """A token with its color and, in the tooltip, both models' most likely tokens."""
    change = row.other_logprob - row.baseline_logprob
    strength = sum(abs(change) >= step for step in STEPS) if math.isfinite(change) else len(STEPS)
    classes = [f"f-{'less' if change < 0 else 'more'}{strength}"] if strength else []
    classes += [] if row.agree else ["f-flip"]
    tooltip = (
        f"token {row.position}: {_quoted(row.text)} (id {row.token}){', an exact tie' if row.tie else ''}\n"
        f"baseline {_probability(row.baseline_logprob, row.baseline_rank)}: {_listed(row.baseline_top)}\n"
        f"here {_probability(row.other_logprob, row.other_rank)}: {_listed(row.other_top)}"
    )
    return f'<span class="{" ".join(classes)}" title="{text(tooltip)}">{text(row.text.translate(NEWLINES))}</span>'


def _probability(logprob: float, rank: int) -> str:
    return f"{logprob:.2f}" + (f", rank {rank}" if rank else "")


def _listed(top: Sequence[Alternative]) -> str:
    return ", ".join(f"{_quoted(a.text)} {math.exp(a.logprob):.1%}" for a in top)


def _quoted(token: str) -> str:
    return f"“{cut(token, 40)}”".replace("\n", "⏎")


def _plain(row: TokenRow) -> dict[str, object]:
    """The alternatives as text, for a table."""
    tops = {"baseline_top": _listed(row.baseline_top), "other_top": _listed(row.other_top)}
    return {**asdict(row), **tops}
