"""Runs: planning, generating, scoring given tokens, measuring."""
