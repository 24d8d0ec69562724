"""Baselines as files to commit beside the code that is held to them: see `files` for what lies where."""

from fidelity.baselines.files import adopt, export, is_export, read_index
from fidelity.baselines.fit import Finding, check

__all__ = ["Finding", "adopt", "check", "export", "is_export", "read_index"]
