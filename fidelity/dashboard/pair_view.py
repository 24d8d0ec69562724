"""One pair: the prompt, what baseline, control and candidate said, where they part, and how sure each was."""

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
"""Characters of an answer."""


def show_pair(comparison: Path, row: pd.Series) -> None:
    """The pair of one row of `pair_table.read_columns`."""
    pair, why = open_pair(comparison, row)
    if pair is None:
        note(f"This pair's texts can't be read. {why}")
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
    """What the candidate states against the baseline, the most telling first."""
    both = Pair(pair.prompt, pair.baseline, pair.candidate)
    if conflicts := conflicts_of(both)[:MOST_CONFLICTS]:
        rows = "".join(f"<li>{text(conflict_in_words(conflict, both))}</li>" for conflict in conflicts)
        _box("Conflicts: baseline / candidate", f"<ul>{rows}</ul>")


def _thinking(pair: OpenPair) -> None:
    """What both thought before these answers; nothing where neither did."""
    baseline, candidate = (
        replace(generation, text=generation.reasoning or "") for generation in (pair.baseline, pair.candidate)
    )
    if baseline.text or candidate.text:
        with st.expander("What they thought before"):
            _box("Candidate's thinking against the baseline's", _diff(baseline, candidate))


def _differences(pair: OpenPair) -> None:
    """Baseline against candidate and, beside it, against the control: the same measure for the noise floor."""
    if not pair.controls:
        _box("Candidate against baseline", _diff(pair.baseline, pair.candidate))
        return
    left, right = st.columns(2)
    with left:
        _box("Candidate against baseline", _diff(pair.baseline, pair.candidate))
    with right:
        name, control = pair.controls[0]
        _box(f"Control against baseline ({name})", _diff(pair.baseline, control) if control else "It gave no answer.")
    html(
        '<div class="f-quiet"><span class="f-gone">only the baseline said this</span> · '
        '<span class="f-new">only the other said this</span></div>'
    )


def _diff(baseline: Generation, other: Generation) -> str:
    pieces = word_diff(baseline.text[:MOST_SHOWN], other.text[:MOST_SHOWN])
    if all(piece.kind == "both" for piece in pieces):
        return f"{text(baseline.text[:MOST_SHOWN])}\n\n<i>Equal, character for character.</i>"
    marks = {"both": "{}", "baseline": '<span class="f-gone">{}</span>', "candidate": '<span class="f-new">{}</span>'}
    first = next(number for number, piece in enumerate(pieces) if piece.kind != "both")
    shown = [marks[piece.kind].replace("{}", escape(piece.text)) for piece in readable(pieces)]
    return "".join([*shown[:first], '<span class="f-parts">parts here</span>', *shown[first:]])


def _side_by_side(pair: OpenPair, *, rendered: bool) -> None:
    answers: list[tuple[str, Generation | None]] = [("Baseline", pair.baseline)]
    answers += [(f"Control ({name})", generation) for name, generation in pair.controls[:1]]
    answers.append(("Candidate", pair.candidate))
    for place, (title, generation) in zip(st.columns(len(answers)), answers, strict=True):
        with place:
            if generation is None:
                _box(title, "It gave no answer.")
            elif rendered:
                _box(title, as_markup(generation.text[:MOST_SHOWN]), whole=True)
            else:
                _box(title, text(generation.text[:MOST_SHOWN]) or "<i>An empty answer.</i>")
            quiet(_facts(generation))


def _facts(generation: Generation | None) -> str:
    if generation is None:
        return ""
    tokens = (
        f"{len(generation.token_ids):,} tokens"
        if generation.token_ids is not None
        else f"{len(generation.text):,} characters"
    )
    return f"{tokens}, ended by {generation.finish_reason or 'a reason that was not recorded'}"


def _tokens(pair: OpenPair) -> None:
    """What another run makes of the baseline's tokens, and what each said of its own."""
    baseline, *others = pair.runs
    if why := show_tokens(baseline, others, pair.prompt.id, pair.baseline.repeat):
        note(f"What another run makes of the baseline's tokens can't be shown. {why}")
    _decoded(pair)


def _decoded(pair: OpenPair) -> None:
    """What each run's own decoding said of its tokens: before they part the two are about the same tokens."""
    html('<h4 style="font-size:1rem">While answering</h4>')
    lacking = [
        name
        for name, generation in (("baseline", pair.baseline), ("candidate", pair.candidate))
        if generation.token_ids is None or generation.logprobs is None
    ]
    if lacking:
        note(f"No token ids with log-probabilities in the {' and the '.join(lacking)}: nothing to show by token.")
        return
    divergence = _first_difference(pair.baseline.token_ids or (), pair.candidate.token_ids or ())
    data = pd.concat([_token_table("baseline", pair.baseline), _token_table("candidate", pair.candidate)])
    chart(charts.surprise(data, divergence), data, f"tokens-{pair.prompt.id}", key="tokens")
    if divergence is None:
        quiet("Both chose the same tokens.")
        return
    quiet(
        f"They part at token {divergence} (counted from 0): {_at('baseline', pair.baseline, divergence)}, "
        f"{_at('candidate', pair.candidate, divergence)}. After it the two are about different texts."
    )


def _at(name: str, generation: Generation, place: int) -> str:
    ids, logprobs = generation.token_ids or (), generation.logprobs or ()
    return f"{name} chose {ids[place]} at {logprobs[place]:.3f}" if place < len(ids) else f"{name} had ended"


def _first_difference(baseline: Sequence[int], candidate: Sequence[int]) -> int | None:
    if tuple(baseline) == tuple(candidate):
        return None
    shorter = min(len(baseline), len(candidate))
    return next((n for n in range(shorter) if baseline[n] != candidate[n]), shorter)


def _token_table(side: str, generation: Generation) -> pd.DataFrame:
    ids = generation.token_ids or ()
    return pd.DataFrame({"place": range(len(ids)), "side": side, "token": ids, "logprob": generation.logprobs or ()})


def _box(title: str, body: str, *, whole: bool = False) -> None:
    """A titled box of markup that is ours, or a stranger's made harmless; `whole` keeps its own paragraphs."""
    kind = "f-box" if whole else "f-box f-text"
    html(f'<div class="f-quiet"><b>{text(title)}</b></div><div class="{kind}">{body}</div>')


def as_markup(markdown: str) -> str:
    """Markdown as markup without anything that leads out of the page: no link, image or HTML of the text's own.

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
