"""Pairing, scoring and comparing the outputs of runs."""
