"""What others have published of the same bargain, to be set beside one's own; a price without a drift."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True, slots=True)
class Published:
    """A quantized model beside its unquantized one, as somebody else measured them elsewhere."""

    name: str
    source: str
    ratios: dict[str, float]
    """Over the unquantized model's, by measure (`price.MEASURES`), as far as they are published."""


COLUMNS = {
    "size_mib": ("bytes", False),
    "rss_mib": ("memory", False),
    "ttft_s": ("first_token", False),
    "decode_tok_s": ("next_token", True),
    "prefill_tok_s": ("first_token[prefill 64]", True),
}
"""Meta's columns, our measures, and whether a column is a speed, whose inverse is the time."""


def published() -> list[Published]:
    """Meta's Llama 3.2 on a telephone: see published/README.md."""
    text = resources.files("fidelity.report").joinpath("published/meta_llama32_oneplus12.csv").read_text("utf-8")
    rows = {(row["model"], row["variant"]): row for row in csv.DictReader(text.splitlines())}
    return [
        Published(f"{model} {variant}", "Meta, ExecuTorch on a OnePlus 12", _ratios(row, rows[model, "BF16"]))
        for (model, variant), row in rows.items()
        if variant != "BF16"
    ]


def _ratios(row: Mapping[str, str], base: Mapping[str, str]) -> dict[str, float]:
    known = {column: float(row[column]) / float(base[column]) for column in COLUMNS if row[column] and base[column]}
    return {
        measure: 1 / known[column] if speed else known[column]
        for column, (measure, speed) in COLUMNS.items()
        if column in known
    }
