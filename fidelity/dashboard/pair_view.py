"""One pair: the prompt, the outputs of baseline, control and candidate, their first divergence, and token scores."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from fidelity.dashboard import charts
from fidelity.dashboard.cache import open_pair
from fidelity.dashboard.pair_table import OpenPair
from fidelity.dashboard.token_view import show_tokens
from fidelity.dashboard.widgets import chart, html, note, quiet, text
from fidelity.errors import MissingPackageError
from fidelity.outside.strings import cut, visible
from fidelity.records import Generation, Pair
from fidelity.report.conflicts import conflict_in_words, conflicts_of
from fidelity.report.diff import readable, word_diff

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

VIEWS = ("Differences", "Side by side", "Rendered", "Tokens")
MOST_CONFLICTS = 20
MOST_SHOWN = 60_000
"""The maximum length of an answer, in characters."""


def show_pair(comparison: Path, row: pd.Series) -> None:
    """Draw the pair of one row of `pair_table.read_columns`."""
    pair, why = open_pair(comparison, row)
    if pair is None:
        note(f"The texts of this pair can't be read. {why}")
        return
    repeat = f", repeat {pair.baseline.repeat}" if pair.baseline.repeat else ""
    html(f'<h3 style="font-size:1.2rem">{text(pair.prompt.id)}{repeat}</h3>')
    _box("Prompt", text(cut(pair.prompt.text, MOST_SHOWN)))
    view = st.segmented_control(
        "View", VIEWS, default=VIEWS[0], required=True, key="view", bind="query-params", label_visibility="collapsed"
    )
    _conflicts(pair)
    match view:
        case "Tokens":
            _tokens(pair)
        case "Differences":
            _differences(pair)
        case _:
            _side_by_side(pair, rendered=view == "Rendered")
    _thinking(pair)


def _conflicts(pair: OpenPair) -> None:
    """The conflicts between candidate and baseline, the most severe first."""
    both = Pair(pair.prompt, pair.baseline, pair.candidate)
    if conflicts := conflicts_of(both)[:MOST_CONFLICTS]:
        rows = "".join(f"<li>{text(conflict_in_words(conflict, both))}</li>" for conflict in conflicts)
        _box("Conflicts: baseline / candidate", f"<ul>{rows}</ul>")


def _thinking(pair: OpenPair) -> None:
    """The thinking before both answers; nothing if there is none."""
    baseline, candidate = (
        replace(generation, text=generation.reasoning or "") for generation in (pair.baseline, pair.candidate)
    )
    if baseline.text or candidate.text:
        with st.expander("Thinking"):
            _box("Thinking: candidate compared with baseline", _diff(baseline, candidate))


def _differences(pair: OpenPair) -> None:
    """Diffs of the candidate and of the control against the baseline, side by side."""
    if not pair.controls:
        _box("Candidate compared with baseline", _diff(pair.baseline, pair.candidate))
        return
    left, right = st.columns(2)
    with left:
        _box("Candidate compared with baseline", _diff(pair.baseline, pair.candidate))
    with right:
        name, control = pair.controls[0]
        _box(f"Control compared with baseline ({name})", _diff(pair.baseline, control) if control else "No answer.")
    html(
        '<div class="f-quiet"><span class="f-gone">only in the baseline</span> · '
        '<span class="f-new">only in the other output</span></div>'
    )


def _diff(baseline: Generation, other: Generation) -> str:
    pieces = word_diff(baseline.text[:MOST_SHOWN], other.text[:MOST_SHOWN])
    if all(piece.kind == "both" for piece in pieces):
        return f"{text(baseline.text[:MOST_SHOWN])}\n\n<i>Equal, character for character.</i>"
    marks = {"both": "{}", "baseline": '<span class="f-gone">{}</span>', "candidate": '<span class="f-new">{}</span>'}
    first = next(number for number, piece in enumerate(pieces) if piece.kind != "both")
    shown = [marks[piece.kind].replace("{}", escape(piece.text)) for piece in readable(pieces)]
    return "".join([*shown[:first], '<span class="f-parts">first divergence</span>', *shown[first:]])


def _side_by_side(pair: OpenPair, *, rendered: bool) -> None:
    answers: list[tuple[str, Generation | None]] = [("Baseline", pair.baseline)]
    answers += [(f"Control ({name})", generation) for name, generation in pair.controls[:1]]
    answers.append(("Candidate", pair.candidate))
    for place, (title, generation) in zip(st.columns(len(answers)), answers, strict=True):
        with place:
            if generation is None:
                _box(title, "No answer.")
            elif rendered:
                _box(title, as_markup(generation.text[:MOST_SHOWN]), whole=True)
            else:
                _box(title, text(generation.text[:MOST_SHOWN]) or "<i>Empty answer.</i>")
            quiet(_facts(generation))


def _facts(generation: Generation | None) -> str:
    if generation is None:
        return ""
    tokens = (
        f"{len(generation.token_ids):,} tokens"
        if generation.token_ids is not None
        else f"{len(generation.text):,} characters"
    )
    return f"{tokens}, finish reason: {generation.finish_reason or 'not recorded'}"


def _tokens(pair: OpenPair) -> None:
    """Token scores of the baseline's answer, and each run's log-probabilities of its own answer."""
    baseline, *others = pair.runs
    if why := show_tokens(baseline, others, pair.prompt.id, pair.baseline.repeat):
        note(f"Token scores of the baseline's answer can't be shown. {why}")
    _decoded(pair)


def _decoded(pair: OpenPair) -> None:
    """Each run's log-probabilities from decoding; they are for the same tokens until the first divergence."""
    html('<h4 style="font-size:1rem">Log-probabilities while generating</h4>')
    lacking = [
        name
        for name, generation in (("baseline", pair.baseline), ("candidate", pair.candidate))
        if generation.token_ids is None or generation.logprobs is None
    ]
    if lacking:
        note(f"No token ids with log-probabilities in the {' and the '.join(lacking)}, so there is no chart.")
        return
    divergence = _first_difference(pair.baseline.token_ids or (), pair.candidate.token_ids or ())
    data = pd.concat([_token_table("baseline", pair.baseline), _token_table("candidate", pair.candidate)])
    chart(charts.surprise(data, divergence), data, f"tokens-{pair.prompt.id}", key="tokens")
    if divergence is None:
        quiet("Both outputs have the same tokens.")
        return
    quiet(
        f"First divergence at token {divergence} (from 0): {_at('baseline', pair.baseline, divergence)}, "
        f"{_at('candidate', pair.candidate, divergence)}. After it the tokens are of different texts."
    )


def _at(name: str, generation: Generation, place: int) -> str:
    ids, logprobs = generation.token_ids or (), generation.logprobs or ()
    return f"{name} chose {ids[place]} at {logprobs[place]:.3f}" if place < len(ids) else f"{name} has ended"


def _first_difference(baseline: Sequence[int], candidate: Sequence[int]) -> int | None:
    if tuple(baseline) == tuple(candidate):
        return None
    shorter = min(len(baseline), len(candidate))
    return next((n for n in range(shorter) if baseline[n] != candidate[n]), shorter)


def _token_table(side: str, generation: Generation) -> pd.DataFrame:
    ids = generation.token_ids or ()
    return pd.DataFrame({"place": range(len(ids)), "side": side, "token": ids, "logprob": generation.logprobs or ()})


def _box(title: str, body: str, *, whole: bool = False) -> None:
    """A titled box of trusted or escaped markup; `whole` keeps its paragraphs."""
    kind = "f-box" if whole else "f-box f-text"
    html(f'<div class="f-quiet"><b>{text(title)}</b></div><div class="{kind}">{body}</div>')


def as_markup(markdown: str) -> str:
    """Render Markdown without links, images or embedded HTML.

    Raises:
        MissingPackageError: markdown-it-py is not installed.
    """
    return str(_renderer().render(visible(markdown)))


@cache
def _renderer() -> "MarkdownIt":
    try:
        from markdown_it import MarkdownIt
    except ImportError as error:
        raise MissingPackageError("markdown-it-py", extra="dashboard", needed_by="rendered answers") from error
    return (
        MarkdownIt("commonmark", {"html": False})
        .enable("table")
        .disable(["link", "image", "autolink", "html_inline", "html_block", "entity", "reference"])
    )
