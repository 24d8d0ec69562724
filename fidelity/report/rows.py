"""Rows of plain values as JSONL and CSV."""

import csv
import io
import json
from collections.abc import Mapping, Sequence

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A text that begins with one of these would be a formula in a spreadsheet."""


def as_jsonl(rows: Sequence[Mapping[str, object]]) -> str:
    """A JSON object per line, exact."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def as_csv(rows: Sequence[Mapping[str, object]]) -> str:
    """A table for spreadsheets; a text that would be a formula there gets an apostrophe in front."""
    if not rows:
        return ""
    file = io.StringIO()
    table = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
    table.writeheader()
    for row in rows:
        table.writerow(
            {
                key: f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
                for key, value in row.items()
            }
        )
    return file.getvalue()
