"""The dashboard: how drift varies over sizes and formats, down to one pair. It reads a store and loads no model."""

STORE, GATE = "FIDELITY_STORE", "FIDELITY_GATE"
"""Environment variables: the store's directory, and the gate that comparisons outside a study are judged by."""
