"""Votes on the open pair, and what all votes on a comparison add up to."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import get_args
from urllib.parse import unquote

import streamlit as st

from fidelity.comparison.reviews import review_rows, vote_summaries
from fidelity.comparison.vote_summary import ReviewSummary
from fidelity.dashboard.cache import path_of, reviews
from fidelity.dashboard.catalog import CatalogEntry, Shelf, attempt, mark_of
from fidelity.dashboard.pair_list import REVIEWER
from fidelity.dashboard.pair_table import OpenPair
from fidelity.dashboard.pair_view import shows_candidate_first
from fidelity.dashboard.widgets import banner, html, note, quiet
from fidelity.outside.strings import one_line
from fidelity.report.rows import as_csv, as_jsonl
from fidelity.store.reviews import (
    FOLDER,
    LONGEST_NAME,
    LONGEST_NOTE,
    MOST_TAGS,
    Review,
    Vote,
    add_review,
    answers_digest,
    now,
    review_files,
)

VOTES: tuple[Vote, ...] = get_args(Vote)
SWAPPED: dict[Vote, Vote] = {"baseline better": "candidate better", "candidate better": "baseline better"}
BLIND = {"baseline better": "A better", "candidate better": "B better"}
"""What blind reviewers read where A is the baseline."""
BANNERS = {"worse": "fail", "better": "pass", "undecided": "inconclusive"}
TAGS = ("facts", "instructions", "language", "format", "tone", "reasoning", "cut off")
"""Suggestions; reviewers can add their own."""
_PROBLEM = "review problem"


def is_blind() -> bool:
    """Whether answers are called A and B."""
    return bool(st.session_state.get("blind", st.query_params.get("blind") == "true"))


def reviewer() -> str:
    """The reviewer's name; empty if nobody has given one."""
    return str(st.session_state.get("reviewer") or unquote(st.context.cookies.get(REVIEWER, "")))[:LONGEST_NAME]


def choose_blind() -> None:
    """The switch of blind mode."""
    st.toggle(
        "Blind: don't show which answer is the candidate's",
        key="blind",
        bind="query-params",
        help="The answers are called A and B, and what would give them away is hidden. The vote is stored as blind.",
    )


def draw(
    shelf: Shelf,
    entry: CatalogEntry,
    pair: OpenPair,
    votes: Sequence[Review],
    *,
    blind: bool,
    go_on: Callable[[], None],
) -> None:
    """Draw the form of a vote. `go_on` opens the next pair."""
    html('<h2 class="f-heading">Your review</h2>')
    name = st.text_input(
        "Your name",
        value=reviewer() or None,
        key="reviewer",
        max_chars=LONGEST_NAME,
        width=240,
        persist_state="session",
        help="Votes are stored under it, so several reviewers can vote on a pair. This browser remembers it.",
    )
    own = next((vote for vote in votes if vote.reviewer == name), None)
    id_ = f"{entry.id}-{pair.prompt.id}-{pair.baseline.repeat}-{name}"
    save = partial(_save, shelf, entry, pair, name or "", blind=blind, id_=id_)
    swapped = blind and shows_candidate_first(shelf, entry, pair)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        for number, vote in enumerate(_in_order(swapped=swapped), start=1):
            st.button(
                _words(vote, blind=blind, swapped=swapped),
                key=f"vote-{number}",
                shortcut=str(number),
                type="primary" if own and own.vote == vote else "secondary",
                disabled=not name,
                on_click=partial(save, vote, go_on),
            )
        if own:
            st.button("Withdraw", key="vote-none", type="tertiary", on_click=partial(save, None, None))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        again = partial(save, own.vote, None) if own else None
        st.text_input(
            "Note", value=own.note if own else "", key=f"note-{id_}", max_chars=LONGEST_NOTE, width=420, on_change=again
        )
        tags = list(own.tags) if own else []
        st.multiselect(
            "Tags",
            list(dict.fromkeys([*TAGS, *tags])),
            tags,
            key=f"tags-{id_}",
            accept_new_options=True,
            max_selections=MOST_TAGS,
            width=420,
            placeholder="choose or type",
            on_change=again,
        )
        st.toggle("Next pair after a vote", key="advance", persist_state="session")
    _state(name, own, [] if blind else votes)


def _state(name: str | None, own: Review | None, votes: Sequence[Review]) -> None:
    """Say what is stored, and what others voted once you have."""
    if problem := st.session_state.pop(_PROBLEM, ""):
        note(f"The vote was not stored. {problem}")
    if not name:
        quiet("Enter your name to vote.")
    elif own:
        others = [vote for vote in votes if vote.reviewer != name]
        more = "; others: " + ", ".join(f"{one_line(v.reviewer)}: {v.vote}" for v in others) if others else ""
        quiet(f"Stored {own.created[:19].replace('T', ' ')} UTC{', blind' if own.blind else ''}{more}.")
    else:
        quiet("Not voted. Keys: 1 to 4 for a vote, j and k for the next and the previous pair.")


def _in_order(*, swapped: bool) -> list[Vote]:
    """The votes from left to right: the first answer better, same, the second better, both bad."""
    return [SWAPPED.get(vote, vote) if swapped else vote for vote in VOTES]


def _words(vote: Vote, *, blind: bool, swapped: bool) -> str:
    if not blind:
        return vote.capitalize()
    seen = SWAPPED.get(vote, vote) if swapped else vote
    return BLIND.get(seen, seen.capitalize())


def _save(
    shelf: Shelf,
    entry: CatalogEntry,
    pair: OpenPair,
    name: str,
    vote: Vote | None,
    go_on: Callable[[], None] | None,
    *,
    blind: bool,
    id_: str,
) -> None:
    """Store a vote with the note and the tags of the form."""
    tags = [one_line(tag, most=LONGEST_NAME) for tag in st.session_state.get(f"tags-{id_}") or () if tag.strip()]

    def write() -> None:
        review = Review(
            comparison=entry.id,
            prompt_id=pair.prompt.id,
            repeat=pair.baseline.repeat,
            reviewer=name.strip(),
            vote=vote,
            note=st.session_state.get(f"note-{id_}") or "",
            tags=tuple(tags),
            blind=blind,
            answers=answers_digest(pair.baseline.text, pair.candidate.text),
            created=now(),
        )
        add_review(shelf.root, review)

    _, problem = attempt(write)
    st.session_state[_PROBLEM] = problem
    if not problem and go_on and st.session_state.get("advance"):
        go_on()


def show_summary(shelf: Shelf, entry: CatalogEntry) -> None:
    """What the votes add up to, and their export; nothing before the first vote."""
    folder = shelf.root / FOLDER / entry.id
    if not reviews(shelf, entry.id):
        return
    html('<h2 class="f-heading">All reviews: is the candidate worse?</h2>')
    path = path_of(shelf, entry.id)
    marks = (mark_of(path / "manifest.json"), mark_of(folder), len(review_files(folder)))
    summaries, why = attempt(lambda: _summaries(str(path), marks))
    if summaries is None:
        note(f"The reviews can't be summarized. {why}")
        return
    for summary in summaries:
        banner(BANNERS[summary.outcome], "", f"{_who(summary)}{summary.in_words()}")
        for line in summary.details():
            quiet(line)
    with st.container(horizontal=True):
        for kind, mime, write in (("JSONL", "application/jsonl", as_jsonl), ("CSV", "text/csv", as_csv)):
            st.download_button(
                f"Reviews as {kind}",
                lambda write=write: write(list(review_rows(path))).encode(),  # type: ignore[misc]
                file_name=f"{entry.id}-reviews.{kind.lower()}",
                mime=mime,
                key=f"reviews-{kind}",
                on_click="ignore",
            )
    quiet(f"On the command line: fidelity reviews export {entry.id} --store {shelf.root}")


@st.cache_resource(max_entries=8, show_spinner="Reading the reviews ...")
def _summaries(path: str, marks: tuple[int, int, int]) -> list[ReviewSummary]:
    return vote_summaries(Path(path))


def _who(summary: ReviewSummary) -> str:
    return f"Judge {one_line(summary.source)}: " if summary.judge else ""
