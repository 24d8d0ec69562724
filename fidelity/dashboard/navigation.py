"""The pages by name, so pages can link to each other with their state in the URL."""

from collections.abc import Callable, Mapping

import streamlit as st
from streamlit.navigation.page import Page

ICONS = {
    "overview": ":material/grid_view:",
    "comparison": ":material/balance:",
    "pairs": ":material/compare:",
    "runs": ":material/memory:",
    "gate": ":material/rule:",
    "history": ":material/timeline:",
    "start": ":material/upload_file:",
}
QUESTIONS = {
    "overview": "Which format can you ship?",
    "comparison": "What changed?",
    "pairs": "Which words changed?",
    "runs": "What ran?",
    "gate": "How much drift is acceptable?",
    "history": "How did it develop?",
    "start": "Do the quantized model's outputs stay the same?",
}
"""What each page answers, as its heading."""
_PAGES, _ARRIVING = "pages", "arriving"


def pages(draw: Mapping[str, Callable[[], None]]) -> list[Page]:
    """The pages for `st.navigation`; the first is the default."""
    made = {
        name: st.Page(page, title=name.capitalize(), url_path=name, default=number == 0)
        for number, (name, page) in enumerate(draw.items())
    }
    st.session_state[_PAGES] = made
    return list(made.values())


def go(name: str, *, carried: tuple[str, ...] = (), **state: str) -> None:
    """Open another page. `carried` are the keys of choices that both pages have."""
    st.session_state[_ARRIVING] = {key: st.session_state[key] for key in carried}
    st.switch_page(st.session_state[_PAGES][name], query_params=state)


def arrive() -> None:
    """Restore the choices that `go` carried, before their widgets are created."""
    for key, value in st.session_state.pop(_ARRIVING, {}).items():
        st.session_state[key] = value


def link(name: str, words: str, **state: str) -> None:
    """A link to another page."""
    st.page_link(st.session_state[_PAGES][name], label=words, icon=ICONS[name], query_params=state)
