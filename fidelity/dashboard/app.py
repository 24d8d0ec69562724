"""The dashboard's door: `streamlit run app.py`, with the store's directory in FIDELITY_STORE (fidelity-store)."""

from fidelity.dashboard.pages import main

main()
