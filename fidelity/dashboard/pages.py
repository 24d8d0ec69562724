"""The app: its navigation, and what is loaded before the first visit."""

import gc
from pathlib import Path


def load() -> None:
    """Import everything that the pages need, which takes seconds, and prepare the first page."""
    gc.set_threshold(200_000, 20, 100)
    import pyarrow.dataset  # noqa: F401
    import scipy.stats  # noqa: F401

    from fidelity.dashboard import (  # noqa: F401
        comparison_page,
        first_page,
        gate_page,
        history_page,
        overview_page,
        pairs_page,
        runs_page,
    )

    overview_page.prepare()


def main() -> None:
    """Draw the page in the URL. Streamlit calls this for every change."""
    from fidelity.dashboard.background import drawing

    with drawing():
        _draw()


def _draw() -> None:
    import streamlit as st

    from fidelity.dashboard import (
        comparison_page,
        first_page,
        gate_page,
        history_page,
        navigation,
        overview_page,
        pairs_page,
        runs_page,
    )
    from fidelity.dashboard.cache import DEMO, shelf
    from fidelity.dashboard.widgets import begin_page, note, refresh, title

    st.set_page_config(layout="wide")  # a material icon would be downloaded from its provider
    st.html(Path(__file__).parent / "style.css")
    navigation.arrive()
    begin_page()
    opened = shelf()
    draw = {
        "overview": overview_page.draw,
        "comparison": comparison_page.draw,
        "pairs": pairs_page.draw,
        "runs": runs_page.draw,
        "gate": gate_page.draw,
        "history": history_page.draw,
        "start": first_page.draw,
    }
    empty = not opened.entries and not opened.studies
    pages = navigation.pages(
        {name: first_page.draw if empty and name != "runs" else page for name, page in draw.items()}
    )
    page = st.navigation(pages, position="top")
    st.set_page_config(page_title=f"{page.title} · fidelity")
    refresh(opened.stamp)
    if opened.root.name == DEMO:
        note("These are the demo's recordings: two models on an H100. Your own comparisons will replace them.")
    title(page.title, navigation.QUESTIONS[page.title.lower()])
    page.run()
