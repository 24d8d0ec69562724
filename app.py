"""The dashboard: `streamlit run app.py`. FIDELITY_STORE names the store's directory (default: fidelity-store)."""

from fidelity.dashboard.pages import main

main()
