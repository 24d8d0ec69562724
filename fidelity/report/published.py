"""Published results: prices by Meta, drift by Kurtic et al."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources


@dataclass(frozen=True, slots=True)
class Published:
    """A published comparison of a quantized model with its unquantized original."""

    name: str
    format: str
    source: str
    parameters: float
    """The unquantized model's parameters, as its name states them."""
    ratios: Mapping[str, float] = field(default_factory=dict)
    """Published ratios to the unquantized model, by measure (`price.MEASURES`)."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Mean similarity with the unquantized model's answers, by column; 1 is identical, no floor is subtracted."""


COLUMNS = {
    "size_mib": ("bytes", False),
    "rss_mib": ("memory", False),
    "ttft_s": ("first_token", False),
    "decode_tok_s": ("next_token", True),
    "prefill_tok_s": ("first_token[prefill 64]", True),
}
"""Meta's columns, fidelity's measures, and whether a column is a speed (the inverse of a time)."""
SCORES = ("rouge1", "rougeL", "bertscore", "sts")
"""The columns that Kurtic et al. report."""


def published() -> list[Published]:
    """Meta's Llama 3.2 on a phone, then Kurtic et al.'s Llama 3.1; see published/README.md."""
    rows = {(row["model"], row["variant"]): row for row in _rows("meta_llama32_oneplus12.csv")}
    meta = [
        Published(
            f"{model} {variant}",
            variant,
            "Meta, ExecuTorch on a OnePlus 12",
            float(model.rpartition("-")[2].removesuffix("B")) * 1e9,
            ratios=_ratios(row, rows[model, "BF16"]),
        )
        for (model, variant), row in rows.items()
        if variant != "BF16"
    ]
    kurtic = [
        Published(
            f"{row['model'].removesuffix('-Instruct')} {row['format']}",
            row["format"],
            "Kurtic et al. 2025, Arena-Hard",
            float(row["params_b"]) * 1e9,
            scores={name: float(row[name]) for name in SCORES},
        )
        for row in _rows("kurtic2025_figure1.csv")
    ]
    return meta + kurtic


def _rows(name: str) -> list[dict[str, str]]:
    text = resources.files("fidelity.report").joinpath("published", name).read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))


def _ratios(row: Mapping[str, str], base: Mapping[str, str]) -> dict[str, float]:
    known = {column: float(row[column]) / float(base[column]) for column in COLUMNS if row[column] and base[column]}
    return {
        measure: 1 / known[column] if speed else known[column]
        for column, (measure, speed) in COLUMNS.items()
        if column in known
    }
