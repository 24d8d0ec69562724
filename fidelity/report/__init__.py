"""Reports of a comparison and its verdicts: one file per format, all with the same content."""

from fidelity.comparison.results import chance_level
from fidelity.price.pareto import DriftAndPrice, Point, drift_and_price
from fidelity.report.content import (
    HIDDEN,
    NOT_QUALITY,
    describe_run,
    difference_in_words,
    differences_of,
    floor_of,
    mislabeled,
    notes,
    shown_in_table,
    summaries_of,
)
from fidelity.report.github import add_step_summary, annotation, without_commands
from fidelity.report.html import as_html
from fidelity.report.json import JSON_SCHEMA_VERSION, as_json, json_schema
from fidelity.report.junit import as_junit
from fidelity.report.markdown import as_markdown
from fidelity.report.modes import print_modes
from fidelity.report.price import PriceTable, in_unit, price_table, profile_lines, times
from fidelity.report.published import Published, published
from fidelity.report.terminal import print_comparison, print_history, print_published
from fidelity.report.trends import PAST

__all__ = [
    "HIDDEN",
    "JSON_SCHEMA_VERSION",
    "NOT_QUALITY",
    "PAST",
    "DriftAndPrice",
    "Point",
    "PriceTable",
    "Published",
    "add_step_summary",
    "annotation",
    "as_html",
    "as_json",
    "as_junit",
    "as_markdown",
    "chance_level",
    "describe_run",
    "difference_in_words",
    "differences_of",
    "drift_and_price",
    "floor_of",
    "in_unit",
    "json_schema",
    "mislabeled",
    "notes",
    "price_table",
    "print_comparison",
    "print_history",
    "print_modes",
    "print_published",
    "profile_lines",
    "published",
    "shown_in_table",
    "summaries_of",
    "times",
    "without_commands",
]
