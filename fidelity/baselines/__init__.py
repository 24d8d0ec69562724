"""Baselines as files to commit; see `files` for their layout."""

from fidelity.baselines.files import adopt, export, is_export, read_index
from fidelity.baselines.fit import Finding, check

__all__ = ["Finding", "adopt", "check", "export", "is_export", "read_index"]
