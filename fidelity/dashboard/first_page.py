"""Start: compare two dropped files, the commands that fill a store, and the demo's recordings."""

import subprocess
import sys
from importlib import resources

import streamlit as st

from fidelity.dashboard import dropped_files
from fidelity.dashboard.cache import DEMO, shelf, store_root
from fidelity.dashboard.widgets import note, quiet

RECORDED = "sample_data/study-2026/study.yaml"
LONGEST = 300
"""The time limit for scoring the recordings, in seconds. It takes about 20 of processor time."""


def draw() -> None:
    """Draw the page."""
    root = store_root()
    if not shelf().entries:
        st.markdown("This dashboard shows the comparisons in a store, and yours is empty.")
    st.header("Drop two files of outputs", anchor=False)
    dropped_files.draw()
    st.header("Or run the models", anchor=False)
    st.markdown("Compare a baseline with its quantized copies in a terminal:")
    st.code(
        "fidelity compare base.yaml quant.yaml     # one baseline and its copies\n"
        "fidelity study study.yaml                 # several sizes and formats",
        language=None,  # the highlighter's comments are too pale to read
    )
    st.code(f"{root}", language=None)
    quiet("The store that is shown. To open another one: fidelity dashboard --store DIR. New comparisons appear here.")
    st.header("Or see the demo's recordings first", anchor=False)
    st.markdown(
        "SmolLM2-135M and Gemma 3 270M on an H200: BF16, the same weights in other batches, and six formats. They are "
        "part of the published study and come with the package, so you need no model. Scoring them takes half a minute."
    )
    if st.button("Show the demo's recordings", type="primary", icon=":material/play_arrow:", key="demo"):
        with st.spinner("Scoring the recordings ..."):
            wrong = _score_recordings()
        if wrong:
            note(f"The recordings could not be scored: {wrong}")
        else:
            st.rerun()


def _score_recordings() -> str:
    """Score the recordings with the command line, into a store inside the store. Returns the error, if any."""
    with resources.as_file(resources.files("fidelity").joinpath(RECORDED)) as study:
        command = [sys.executable, "-P", "-m", "fidelity", "study", str(study), "--store", str(store_root() / DEMO)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False)  # noqa: S603 - a list, no shell
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
    return done.stderr.strip()[-500:] if done.returncode else ""
