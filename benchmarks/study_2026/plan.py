"""The runs of the study: their YAML, the prompt sets, study.yaml, and jobs.json in order of value.

    python benchmarks/study_2026/plan.py WORK [--prompts N] [--tokens N] [--cpu]

Everything that can be checked without a model is checked here: prompt ids, every YAML file, every name. --prompts,
--tokens and --cpu make a small copy of the study to try on a laptop.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fidelity.prompts import load_prompts
from fidelity.study.study import load_study

ROOT = Path(__file__).resolve().parents[2]
SETS = {"arena-hard-v0.1": "", "expected": "expected-", "starter": "starter-"}
"""Prompt sets, each with what is put before its ids, since two sets share some."""
TOKEN_METRICS = ["identical", "prefix_agreement", {"kind": "tokens", "detail": True}, {"kind": "kl"}]
"""What needs token scores, which stay on the GPU host; everything else is scored from the exported runs."""
S, G, P = "smollm2-135m", "gemma-3-270m", "smollm2-135m-padded"
KV_FP8 = {"options": {"kv_cache_dtype": "fp8"}, "keys": {"compares": "kv_cache", "label": "BF16 with KV-FP8"}}
COMPILED = {"options": {"enforce_eager": False}, "keys": {"compares": "engine"}}
FP16 = {"engine": {"dtype": "float16"}, "keys": {"compares": "engine"}}
MOBILE = {"engine": {"torchao": {"scheme": "8da4w", "group_size": 32}}}


@dataclass(frozen=True)
class Candidate:
    """A run of a family: what is served, and what differs from the baseline besides."""

    name: str
    checkpoint: str
    options: dict[str, Any] = field(default_factory=dict)
    engine: dict[str, Any] = field(default_factory=dict)
    keys: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Family:
    """A baseline and its candidates."""

    key: str
    title: str
    checkpoint: str
    candidates: tuple[Candidate, ...]
    controls: int = 3
    baseline: dict[str, Any] = field(default_factory=dict)
    tokens: int = 256
    prompts: str = "prompts.jsonl"


def of(checkpoint: str, *formats: str) -> tuple[Candidate, ...]:
    """Candidates that differ from the baseline by their checkpoint alone."""
    return tuple(Candidate(name, f"{checkpoint}-{name}") for name in formats)


def both(checkpoint: str) -> tuple[Candidate, ...]:
    """The candidates that both models have."""
    formats = of(checkpoint, "w8a8-int8", "w4a16-g64", "w8a8-fp8", "w4a16-g64-gptq", "w4a16-g32")
    others = {"kv-fp8": KV_FP8, "compiled": COMPILED, "8da4w": MOBILE}
    return (*formats, *(Candidate(name, checkpoint, **more) for name, more in others.items()))


INVARIANT = {"batching": "invariant"}
LONG = {"kl": "none", "metrics": ["identical", "prefix_agreement", "first_divergence"]}
WIDE = ("fp8-block", "w4a16-g128", "w4a8-fp8", "nvfp4a16")
"""Formats with kernels for widths in multiples of 128."""
FAMILIES = (
    Family("s", "SmolLM2-135M", S, (*both(S), Candidate("fp16", S, **FP16))),  # vLLM refuses Gemma in FP16
    Family("g", "Gemma 3 270M", G, (*both(G), *of(G, *WIDE))),
    Family("si", "SmolLM2-135M, batch-invariant", S, of(S, "w8a8-int8", "w4a16-g64", "w8a8-fp8"), 0, INVARIANT),
    Family("gi", "Gemma 3 270M, batch-invariant", G, of(G, "w8a8-int8", "w4a16-g64", "w8a8-fp8"), 0, INVARIANT),
    Family("p", "SmolLM2-135M, padded", P, of(P, *WIDE), 1),
    Family("sl", "SmolLM2-135M, 1,024 tokens", S, of(S, "w8a8-int8", "w4a16-g64"), 2, LONG, 1024, "arena.jsonl"),
)
ORDER = (
    "s-bf16",
    "g-bf16",
    "si-bf16",
    "p-bf16",
    "gi-bf16",
    "sl-bf16",
    "s-w8a8-int8",
    "s-w4a16-g64",
    "g-w8a8-int8",
    "g-w4a16-g64",
    "s-w8a8-fp8",
    "s-w4a16-g64-gptq",
    "g-w8a8-fp8",
    "g-w4a16-g64-gptq",
    "s-kv-fp8",
    "s-compiled",
    "g-kv-fp8",
    "g-compiled",
    "s-w4a16-g32",
    "g-w4a16-g32",
    "si-w8a8-int8",
    "si-w4a16-g64",
    "si-w8a8-fp8",
    "g-fp8-block",
    "g-w4a16-g128",
    "g-w4a8-fp8",
    "p-fp8-block",
    "p-w4a8-fp8",
    "p-w4a16-g128",
    "gi-w8a8-int8",
    "gi-w4a16-g64",
    "gi-w8a8-fp8",
    "s-fp16",
    "g-nvfp4a16",
    "p-nvfp4a16",
    "s-8da4w",
    "g-8da4w",
    "sl-w8a8-int8",
    "sl-w4a16-g64",
)
"""By value: what is last falls away first if the time is short."""


def main() -> None:
    """Write everything and check it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--prompts", type=int, help="only the first N of each set")
    parser.add_argument("--tokens", type=int, help="the longest answer")
    parser.add_argument("--cpu", action="store_true", help="without the GPU's options")
    parser.add_argument("--skip", type=lambda text: text.split(","), default=(), help="families: sl,gi")
    chosen = parser.parse_args()
    work = chosen.work.resolve()
    (work / "yaml").mkdir(parents=True, exist_ok=True)
    write_prompts(work, chosen.prompts)
    families = [family for family in FAMILIES if family.key not in chosen.skip]
    jobs, entries = [], []
    for family in families:
        runs = runs_of(family, work, tokens=chosen.tokens, cpu=chosen.cpu)
        for run in runs:
            (work / "yaml" / f"{run['name']}.yaml").write_text(json.dumps(run, indent=1))
        first, *rest = (run["name"] for run in runs)
        entries.append({"name": family.title, "baseline": f"{first}.yaml", "candidates": [f"{n}.yaml" for n in rest]})
        jobs += [{"id": r["name"], "needs": None if r["name"] == first else first, "model": r["model"]} for r in runs]
    (work / "yaml" / "study.yaml").write_text(json.dumps({"name": "2026-study", "families": entries}, indent=1))
    jobs.sort(key=lambda job: ORDER.index(str(job["id"])))
    (work / "jobs.json").write_text(json.dumps(jobs, indent=1))
    load_study(work / "yaml" / "study.yaml")
    print(
        f"{len(jobs)} runs of {len(families)} families, {len(load_prompts(work / 'prompts.jsonl'))} prompts", flush=True
    )


def write_prompts(work: Path, limit: int | None) -> None:
    """All sets in one file, and Arena-Hard alone."""
    rows = {
        name: (ROOT / "prompts" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()[:limit] for name in SETS
    }
    marked = [
        {**json.loads(line), "id": prefix + json.loads(line)["id"]}
        for name, prefix in SETS.items()
        for line in rows[name]
    ]
    for file, own in (("prompts.jsonl", marked), ("arena.jsonl", marked[: len(rows["arena-hard-v0.1"])])):
        (work / file).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in own), encoding="utf-8")
        load_prompts(work / file)


def runs_of(family: Family, work: Path, *, tokens: int | None, cpu: bool) -> list[dict[str, Any]]:
    """The YAML of a family's runs, the baseline first."""
    baseline = {
        "name": f"{family.key}-bf16",
        "model": str(work / "models" / family.checkpoint),
        "engine": engine({}, {}, cpu=cpu),
        "prompts": str(work / family.prompts),
        "sampling": {"temperature": 0, "max_tokens": tokens or family.tokens},
        "kl": {"exact": True},
        "metrics": TOKEN_METRICS,
        **({"control": {"repeats": family.controls}} if family.controls else {}),
        **family.baseline,
    }
    candidates: Sequence[dict[str, Any]] = [
        {
            "name": f"{family.key}-{one.name}",
            "model": str(work / "models" / one.checkpoint),
            "engine": engine(one.options, one.engine, cpu=cpu),
            **one.keys,
        }
        for one in family.candidates
    ]
    return [baseline, *candidates]


def engine(options: dict[str, Any], keys: dict[str, Any], *, cpu: bool) -> dict[str, Any]:
    """vLLM, eager, with a share of the GPU that leaves room for others and for log-probabilities of prompts."""
    shares = (
        {} if cpu else {"gpu_memory_utilization": 0.08, "kv_cache_memory_bytes": 5_000_000_000, "max_num_seqs": 512}
    )
    fixed = {"enforce_eager": True, "max_num_batched_tokens": 2048, **shares, **options}
    return {"kind": "vllm", "dtype": "bfloat16", "max_model_len": 8192, **keys, "options": fixed}


if __name__ == "__main__":
    main()
