"""The metrics on real outputs: they give the table that came with the recordings, which rouge-score itself had made."""

import json
import statistics
from pathlib import Path

import pytest

import fidelity
from fidelity.metrics.first_divergence import FirstDivergence
from fidelity.metrics.identical import Identical
from fidelity.metrics.length import Length
from fidelity.metrics.rouge import Rouge
from fidelity.records import Column, Generation, Pair, Prompt

RECORDINGS = Path(fidelity.__file__).parent / "sample_data" / "h100-smollm2-135m"


def generations(name: str) -> dict[str, Generation]:
    records = [json.loads(line) for line in (RECORDINGS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    return {r["id"]: Generation(r["id"], r["text"], tuple(r["token_ids"])) for r in records}


def summary(column: Column) -> float:
    assert None not in column.values
    if column.summary == "median":
        return statistics.median(column.values)
    weights = column.weights or [1.0] * len(column.values)
    return sum(v * w for v, w in zip(column.values, weights, strict=True)) / sum(weights)


@pytest.mark.parametrize(
    ("candidate", "identical", "rouge1", "rouge_l", "first_divergence", "length_ratio"),
    [
        ("bf16-rev", 0.69, 0.964, 0.958, 110, 1.007),
        ("bf16-serial", 0.80, 0.984, 0.981, 129.5, 0.998),
        ("bf16-eager", 0.27, 0.666, 0.623, 29.5, 1.047),
        ("w8a8-fp8", 0.00, 0.448, 0.377, 8, 1.086),
        ("fp8-online", 0.06, 0.477, 0.414, 8, 1.088),
        ("w8a8-int8", 0.06, 0.446, 0.381, 7, 1.048),
        ("w4a16", 0.00, 0.271, 0.219, 1, 1.297),
    ],
)
def test_the_table_of_the_recordings(candidate, identical, rouge1, rouge_l, first_divergence, length_ratio):
    baselines, candidates = generations("bf16"), generations(candidate)
    pairs = [Pair(Prompt(i, ""), baselines[i], candidates[i]) for i in baselines]
    metrics = [Identical(), Rouge(tokenizer="rouge_score"), FirstDivergence(), Length()]
    means = {column.name: summary(column) for metric in metrics for column in metric.score(pairs)}
    assert len(pairs) == 64
    assert round(means["identical"], 2) == identical
    assert round(means["rouge1"], 3) == rouge1
    assert round(means["rougeL"], 3) == rouge_l
    assert means["first_divergence"] == first_divergence
    assert round(means["length_ratio"], 3) == length_ratio
