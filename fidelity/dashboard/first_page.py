"""The first page of an empty store: what to do, and the demo's recordings to look at meanwhile."""

import subprocess
import sys
from importlib import resources

import streamlit as st

from fidelity.dashboard.cache import DEMO, store_root
from fidelity.dashboard.widgets import note

RECORDED = "sample_data/h100-smollm2-135m/study.yaml"
LONGEST = 300
"""Seconds that scoring the recordings may take; it takes some ten."""


def draw() -> None:
    """The page."""
    root = store_root()
    st.title("Does the quantized copy still say the same things?", anchor=False)
    st.markdown(
        "This dashboard shows what lies in a store, and this one is empty. A comparison of a baseline with its "
        "quantized copies fills it:"
    )
    st.code(
        "fidelity compare base.yaml quant.yaml     # one baseline, its copies\n"
        "fidelity study study.yaml                 # several sizes and formats",
        language="sh",
    )
    st.code(f"{root}", language=None)
    st.caption("The store that is shown; another one: `fidelity dashboard --store DIR`. What lands in it appears here.")
    st.subheader("Or look at the demo's recordings first", anchor=False)
    st.markdown(
        "SmolLM2-135M on an H100: BF16, the same weights in other batches, FP8, INT8 and INT4. The outputs come with "
        "the package, so that no model is needed; scoring them takes some ten seconds."
    )
    if st.button("Show the demo's recordings", type="primary", icon=":material/play_arrow:"):
        with st.spinner("Scoring the recordings ..."):
            wrong = _score_recordings()
        if wrong:
            note(f"The recordings could not be scored: {wrong}")
        else:
            st.rerun()


def _score_recordings() -> str:
    """Score them with the command line, in a process of its own, into a store inside the store; what went wrong."""
    with resources.as_file(resources.files("fidelity").joinpath(RECORDED)) as study:
        command = [sys.executable, "-m", "fidelity", "study", str(study), "--store", str(store_root() / DEMO)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
    return done.stderr.strip()[-500:] if done.returncode else ""
