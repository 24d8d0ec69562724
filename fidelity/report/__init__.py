"""A comparison and its verdicts for people and for programs: one file a format, all of them saying the same."""

from fidelity.report.content import (
    HIDDEN,
    NOT_QUALITY,
    describe_run,
    engine_differences,
    floor_of,
    low_anchor,
    notes,
    shown_in_table,
    summaries_of,
)
from fidelity.report.json import JSON_SCHEMA_VERSION, as_json
from fidelity.report.markdown import as_markdown
from fidelity.report.terminal import print_table

__all__ = [
    "HIDDEN",
    "JSON_SCHEMA_VERSION",
    "NOT_QUALITY",
    "as_json",
    "as_markdown",
    "describe_run",
    "engine_differences",
    "floor_of",
    "low_anchor",
    "notes",
    "print_table",
    "shown_in_table",
    "summaries_of",
]
