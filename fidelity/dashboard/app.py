"""Entry point of the dashboard: `streamlit run app.py`, with the store in FIDELITY_STORE (default: fidelity-store)."""

from fidelity.dashboard.pages import main

main()
