"""One pair: the prompt, the outputs of baseline, control and candidate, their first divergence, and token scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from fidelity.dashboard import charts
from fidelity.dashboard.cache import blind_key, conflicts, open_pair, pair_of, path_of
from fidelity.dashboard.catalog import CatalogEntry, Shelf, attempt
from fidelity.dashboard.marked_text import Mark, Query, conflict_marks, hits, marked, marked_diff
from fidelity.dashboard.pair_table import OpenPair
from fidelity.dashboard.token_view import show_tokens
from fidelity.dashboard.widgets import chart, counted, html, note, quiet, text
from fidelity.errors import MissingPackageError
from fidelity.outside.strings import cut, one_line, visible
from fidelity.records import Generation, Pair, Prompt
from fidelity.report.conflicts import conflict_in_words
from fidelity.store.reviews import is_swapped
from fidelity.tokens.table import token_texts

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

VIEWS = ("Differences", "Side by side", "All candidates", "Rendered", "Tokens")
BLIND_VIEWS = ("Differences", "Side by side", "Rendered")
MOST_CONFLICTS = 20
EMPTY = "<i>Empty answer.</i>"
MOST_SHOWN = 60_000
"""The maximum length of an answer, in characters."""


@dataclass(frozen=True, slots=True)
class OpenedPair:
    """What a page shows a pair of."""

    shelf: Shelf
    entry: CatalogEntry
    row: pd.Series
    """A row of `pair_table.read_columns`."""
    query: Query
    """What is highlighted."""
    blind: bool = False
    """Whether the answers are called A and B."""


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """One answer of a pair, as it is called on the page."""

    name: str
    generation: Generation

    @property
    def words(self) -> str:
        """The name within a sentence."""
        return self.name if len(self.name) == 1 else self.name.lower()

    @property
    def body(self) -> str:
        return self.generation.text[:MOST_SHOWN]


def show_pair(opened: OpenedPair) -> OpenPair | None:
    """Draw the pair, and return it; None if it can't be read."""
    pair, why = open_pair(path_of(opened.shelf, opened.entry.id), opened.row)
    if pair is None:
        note(f"The texts of this pair can't be read. {why}")
        return None
    repeat = f", repeat {pair.baseline.repeat}" if pair.baseline.repeat else ""
    html(f'<h2 class="f-heading">{text(pair.prompt.id)}{repeat}</h2>')
    prompt = cut(pair.prompt.text, MOST_SHOWN)
    _box("Prompt", marked(prompt, hits(prompt, opened.query)))
    views = BLIND_VIEWS if opened.blind else VIEWS
    view = st.segmented_control(
        "View", views, default=views[0], required=True, key="view", bind="query-params", label_visibility="collapsed"
    )
    first, second = sides_of(pair, opened)
    _conflicts(first, second)
    match view:
        case "Tokens":
            _tokens(pair)
        case "Differences":
            _differences(pair, first, second, opened)
        case "All candidates":
            _all_candidates(pair, opened)
        case _:
            _side_by_side(pair, first, second, opened, rendered=view == "Rendered")
    _thinking(first, second)
    return pair


def sides_of(pair: OpenPair, opened: OpenedPair) -> tuple[ShownAnswer, ShownAnswer]:
    """Baseline and candidate, or A and B in an order that the reviewer doesn't know."""
    if not opened.blind:
        return ShownAnswer("Baseline", pair.baseline), ShownAnswer("Candidate", pair.candidate)
    both = [pair.baseline, pair.candidate]
    if shows_candidate_first(opened.shelf, opened.entry, pair):
        both.reverse()
    return ShownAnswer("A", both[0]), ShownAnswer("B", both[1])


def shows_candidate_first(shelf: Shelf, entry: CatalogEntry, pair: OpenPair) -> bool:
    """Whether A is the candidate for blind reviewers."""
    return is_swapped(blind_key(shelf.root), entry.id, (pair.prompt.id, pair.baseline.repeat))


def _conflicts(first: ShownAnswer, second: ShownAnswer) -> None:
    """The conflicts between both answers, the most severe first."""
    both = _as_pair(first, second)
    if listed := conflicts(first.body, second.body)[:MOST_CONFLICTS]:
        rows = "".join(f"<li>{text(conflict_in_words(conflict, both))}</li>" for conflict in listed)
        _box(f"Conflicts: {first.words} / {second.words}", f"<ul>{rows}</ul>")


def _as_pair(first: ShownAnswer, second: ShownAnswer) -> Pair:
    return Pair(Prompt("", ""), first.generation, second.generation)


def _thinking(first: ShownAnswer, second: ShownAnswer) -> None:
    """The thinking before both answers; nothing if there is none."""
    before, other = ((side.generation.reasoning or "")[:MOST_SHOWN] for side in (first, second))
    if before or other:
        with st.expander("Thinking"):
            _box(f"Thinking: {second.words} compared with {first.words}", _diff(before, other, None))


def _differences(pair: OpenPair, first: ShownAnswer, second: ShownAnswer, opened: OpenedPair) -> None:
    """Diffs of the candidate and of the control against the baseline, side by side."""
    title = f"{second.name} compared with {first.words}"
    if not pair.controls or opened.blind:
        _box(title, _diff(first.body, second.body, opened.query))
    else:
        left, right = st.columns(2)
        with left:
            _box(title, _diff(first.body, second.body, opened.query))
        with right:
            name, control = pair.controls[0]
            of_control = _diff(first.body, control.text[:MOST_SHOWN], opened.query) if control else "No answer."
            _box(f"Control compared with baseline ({name})", of_control)
    _legend(first.words)


def _legend(first: str) -> None:
    html(
        f'<div class="f-quiet"><del class="f-gone">only in {text(first)}</del> · '
        '<ins class="f-new">only in the other output</ins> · '
        '<span class="f-conflict">in conflict</span><sup class="f-kind">kind</sup> · '
        '<mark class="f-hit">search hit</mark></div>'
    )


def _diff(baseline: str, other: str, query: Query | None) -> str:
    """Markup of the word diff of two texts, with their conflicts and search hits."""
    marks = conflict_marks(conflicts(baseline, other), baseline, other)
    return marked_diff(baseline, other, ([*marks[0], *hits(baseline, query)], [*marks[1], *hits(other, query)]))


def _all_candidates(pair: OpenPair, opened: OpenedPair) -> None:
    """The answers of the baseline, its control and all its candidates to this prompt, next to each other."""
    baseline, query = pair.baseline.text[:MOST_SHOWN], opened.query
    boxes = [_column("Baseline", marked(baseline, hits(baseline, query)) or EMPTY, _facts(pair.baseline))]
    for name, control in pair.controls[:1]:
        boxes.append(_compared(f"Control ({name})", baseline, control, query))
    for entry in sorted(opened.shelf.readable, key=lambda one: (one.created, one.id)):
        if entry.baseline_id == opened.entry.baseline_id:
            other, why = (pair, "") if entry.id == opened.entry.id else _other(opened, entry, pair)
            title = f"{entry.candidate} ({entry.format})"
            answer = other.candidate if other else None
            boxes.append(_compared(title, baseline, answer, query, why=why, is_open=entry.id == opened.entry.id))
    inner = "".join(boxes)
    html(f'<div class="f-columns" tabindex="0" role="group" aria-label="All answers to this prompt">{inner}</div>')
    _legend("baseline")


def _other(opened: OpenedPair, entry: CatalogEntry, pair: OpenPair) -> tuple[OpenPair | None, str]:
    return pair_of(opened.shelf, entry.id, pair.prompt.id, pair.baseline.repeat)


def _compared(
    title: str, baseline: str, other: Generation | None, query: Query, *, why: str = "", is_open: bool = False
) -> str:
    """A column with another answer's differences from the baseline's."""
    if other is None:
        return _column(title, text(why or "No answer."), "")
    return _column(title, _diff(baseline, other.text[:MOST_SHOWN], query), _facts(other), is_open=is_open)


def _column(title: str, body: str, facts: str, *, is_open: bool = False) -> str:
    kind = "f-box f-text f-open" if is_open else "f-box f-text"
    return (
        f'<div><div class="f-quiet"><b>{text(title)}</b></div><div class="{kind}">{body}</div>'
        f'<div class="f-quiet">{text(facts)}</div></div>'
    )


def _side_by_side(
    pair: OpenPair, first: ShownAnswer, second: ShownAnswer, opened: OpenedPair, *, rendered: bool
) -> None:
    marks = conflict_marks(conflicts(first.body, second.body), first.body, second.body)
    answers: list[tuple[str, Generation | None, list[Mark]]] = [(first.name, first.generation, marks[0])]
    if not opened.blind:
        answers += [(f"Control ({name})", generation, []) for name, generation in pair.controls[:1]]
    answers.append((second.name, second.generation, marks[1]))
    for place, (title, generation, own) in zip(st.columns(len(answers)), answers, strict=True):
        with place:
            if generation is None:
                _box(title, "No answer.")
            elif rendered:
                _box(title, as_markup(generation.text[:MOST_SHOWN]), whole=True)
            else:
                body = generation.text[:MOST_SHOWN]
                _box(title, marked(body, [*own, *hits(body, opened.query)]) or EMPTY)
            quiet(_facts(generation))


def _facts(generation: Generation | None) -> str:
    if generation is None:
        return ""
    tokens = (
        counted(len(generation.token_ids), "token")
        if generation.token_ids is not None
        else counted(len(generation.text), "character")
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
    texts, _ = attempt(lambda: token_texts(pair.runs[0], pair.runs[1:2]))
    at = [
        chosen_token(name, one, divergence, texts or {})
        for name, one in (("baseline", pair.baseline), ("candidate", pair.candidate))
    ]
    quiet(
        f"First divergence at token {divergence} (from 0): {', '.join(at)}. After it the tokens are of different texts."
    )


def chosen_token(name: str, generation: Generation, place: int, texts: Mapping[int, str]) -> str:
    """The token that a run chose at a place: its text, or its id where no engine reported the text."""
    ids, logprobs = generation.token_ids or (), generation.logprobs or ()
    if place >= len(ids):
        return f"{name} has ended"
    token = f"“{one_line(texts[ids[place]])}”" if ids[place] in texts else f"token id {ids[place]}"
    return f"{name} chose {token} (log-probability {logprobs[place]:.3f})"


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
