"""Meaning, and the CPU family's token scores: what the comparisons of a store don't have. After export.py.

    python benchmarks/study_2026/scores.py STORE docs/results/2026-study/tokens.parquet

STS of each candidate and control against its baseline: of all prompts in the CPU families, of the first 200 Arena-Hard
prompts in the two GPU families with three controls, since a small encoder on a laptop reads about 12 answers a second.
For the CPU family also exact KL, EAR, top-1 and flips of the starter prompts: one core computes a whole distribution of
49,152 tokens in about 2 ms, so all pairs would take an hour. Adds to the runs that have no STS in the file.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from export import COLUMNS, SCHEMA
from plan import ROOT

from fidelity.encoders import locate, open_encoder
from fidelity.files import read_parquet, write_parquet
from fidelity.metrics.base import Metric
from fidelity.metrics.kl import Kl
from fidelity.metrics.sts import Sts
from fidelity.metrics.tokens import Tokens
from fidelity.prompts import load_prompts
from fidelity.records import Generation, Pair
from fidelity.store.runs import Run
from fidelity.store.scored_pairs import both_scored
from fidelity.store.store import Store

FIRST = {"s": 200, "g": 200, "c": None, "cg": None}
"""How many Arena-Hard prompts of a family get an STS; None is every prompt."""


def main() -> None:
    """Score every run of these families that has a baseline in the store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("file", type=Path)
    chosen = parser.parse_args()
    runs = {run.name: run for run in Store(chosen.store).runs() if not run.damage}
    meaning = Sts().bind(open_encoder(locate(str(ROOT / "models" / "all-MiniLM-L6-v2"))))
    read = read_parquet(chosen.file).to_pylist() if chosen.file.is_file() else []
    rows = {(row["run"], row["prompt"]): row for row in read}
    arena = [prompt.id for prompt in load_prompts(ROOT / "prompts" / "arena-hard-v0.1.jsonl")]
    for family, first in FIRST.items():
        baseline = runs.get(f"{family}-bf16")
        for name, run in sorted(runs.items()) if baseline else ():
            known = {row["run"] for row in rows.values() if row["sts"] is not None}
            if name.startswith(f"{family}-") and run is not baseline and name not in known:
                for row in scored(baseline, run, meaning, set(arena[:first]) if first else None):
                    rows.setdefault((name, row["prompt"]), dict.fromkeys(SCHEMA.names)).update(row)
                ordered = [rows[key] for key in sorted(rows)]
                write_parquet(chosen.file, pa.Table.from_pylist(ordered, schema=SCHEMA), small=True)
                print(f"{name}: {sum(row['run'] == name for row in ordered)} prompts", flush=True)


def scored(baseline: Run, run: Run, meaning: Sts, own: set[str] | None) -> Iterator[dict[str, Any]]:
    """What is measured of each prompt that both have answered, and that is in `own`."""
    answers = {o.prompt_id: o for o in run.outcomes() if isinstance(o, Generation)}
    prompts = {prompt.id: prompt for prompt in baseline.prompts()}
    pairs = {
        o.prompt_id: Pair(prompts[o.prompt_id], o, answers[o.prompt_id])
        for o in baseline.outcomes()
        if isinstance(o, Generation) and o.prompt_id in answers and (own is None or o.prompt_id in own)
    }
    values: dict[str, dict[str, Any]] = {prompt_id: {} for prompt_id in pairs}
    add(values, list(pairs), meaning, list(pairs.values()))
    if baseline.name == "c-bf16":
        token_pairs = {}
        for own, other in both_scored(baseline, run, whole_vocabulary=True):
            if own.prompt_id.startswith("starter-") and own.prompt_id in pairs:
                pair = pairs[own.prompt_id]
                token_pairs[own.prompt_id] = Pair(pair.prompt, pair.baseline, pair.candidate, token_scores=(own, other))
        for metric in (Kl(), Tokens(detail=True)):
            add(values, list(token_pairs), metric, list(token_pairs.values()))
    for prompt_id, measured in values.items():
        yield {"run": run.name, "prompt": prompt_id, **measured}


def add(values: dict[str, dict[str, Any]], prompt_ids: list[str], metric: Metric, pairs: list[Pair]) -> None:
    """Put a metric's columns into the rows of its prompts."""
    for column in metric.score(pairs):
        if column.name in COLUMNS:
            for place, prompt_id in enumerate(prompt_ids):
                values[prompt_id][column.name] = column.values[place]
                if column.name == "kl" and column.weights:
                    values[prompt_id]["tokens"] = column.weights[place]


if __name__ == "__main__":
    main()
