"""The dashboard: drift over sizes and formats, down to single pairs. It reads a store and loads no model."""

STORE, GATE = "FIDELITY_STORE", "FIDELITY_GATE"
"""Environment variables: the store's directory, and the gate for comparisons outside a study."""
