"""The runs of the study: their YAML, the prompt sets, study.yaml, and jobs.json in order of value.

    python benchmarks/study_2026/plan.py WORK [--prompts N] [--tokens N] [--cpu]

Everything that can be checked without a model is checked here: prompt ids, every YAML file, every name. --cpu plans the
families that need no GPU instead of the others. --prompts and --tokens make a small copy of the study to try.
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
CPU_TOKEN_METRICS = [*TOKEN_METRICS, {"kind": "sts", "encoder": str(ROOT / "models" / "all-MiniLM-L6-v2")}]
CPU_SETS = ("expected", "starter")
PORT = 8471
"""llama.cpp's servers on this machine have this port and the next ones."""
S, G, P = "smollm2-135m", "gemma-3-270m", "smollm2-135m-padded"
KV_FP8 = {"options": {"kv_cache_dtype": "fp8"}, "keys": {"compares": "kv_cache", "label": "BF16 with KV-FP8"}}
COMPILED = {"options": {"enforce_eager": False}, "keys": {"compares": "engine"}}
FP16 = {"engine": {"dtype": "float16"}, "keys": {"compares": "engine"}}
FP32 = {"engine": {"dtype": "float32"}, "keys": {"compares": "engine"}}
ZEROS = {"keys": {"compares": "engine"}}
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
GGUF = ("bf16", "q8-0", "q4-k-m")
"""Files of llama.cpp, in the order of their servers' ports."""
FAMILIES = (
    Family("s", "SmolLM2-135M", S, (*both(S), Candidate("fp16", S, **FP16))),  # vLLM refuses Gemma in FP16
    Family("g", "Gemma 3 270M", G, (*both(G), *of(G, *WIDE))),
    Family("si", "SmolLM2-135M, batch-invariant", S, of(S, "w8a8-int8", "w4a16-g64", "w8a8-fp8"), 0, INVARIANT),
    Family("gi", "Gemma 3 270M, batch-invariant", G, of(G, "w8a8-int8", "w4a16-g64", "w8a8-fp8"), 0, INVARIANT),
    Family("p", "SmolLM2-135M, padded", P, of(P, *WIDE), 1),
    Family("sl", "SmolLM2-135M, 1,024 tokens", S, of(S, "w8a8-int8", "w4a16-g64"), 2, LONG, 1024, "arena.jsonl"),
)
CPU_FAMILIES = (
    Family(
        "c",
        "SmolLM2-135M, CPU",
        S,
        (
            *of(S, "w8a8-int8", "w4a16-g64", "w4a16-g64-gptq", "w4a16-g32", "w4a16-g32-gptq"),
            Candidate("8da4w", S, **MOBILE),
            Candidate("fp32", S, **FP32),
            Candidate("compiled", S, **COMPILED),
            Candidate("padded", P, **ZEROS),
            Candidate("w4a16-g128", f"{P}-w4a16-g128"),
        ),
        3,
        {"metrics": CPU_TOKEN_METRICS},
        64,
    ),
    Family(
        "cg",
        "SmolLM2-135M, llama.cpp on CPU",
        "bf16",
        of("gguf", *GGUF[1:]),
        1,
        {"kl": "none", "metrics": ["identical", CPU_TOKEN_METRICS[-1]]},
        64,
    ),
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
    parser.add_argument("--cpu", action="store_true", help="the families without a GPU")
    parser.add_argument("--skip", type=lambda text: text.split(","), default=(), help="families: sl,gi")
    chosen = parser.parse_args()
    work = chosen.work.resolve()
    (work / "yaml").mkdir(parents=True, exist_ok=True)
    write_prompts(work, CPU_SETS if chosen.cpu else tuple(SETS), chosen.prompts)
    families = [family for family in (CPU_FAMILIES if chosen.cpu else FAMILIES) if family.key not in chosen.skip]
    jobs, entries = [], []
    for family in families:
        runs = runs_of(family, work, tokens=chosen.tokens, cpu=chosen.cpu)
        for run in runs:
            (work / "yaml" / f"{run['name']}.yaml").write_text(json.dumps(run, indent=1))
        first, *rest = (run["name"] for run in runs)
        entries.append({"name": family.title, "baseline": f"{first}.yaml", "candidates": [f"{n}.yaml" for n in rest]})
        made = (run for run in runs if "model" in run)  # a server's model is its own
        jobs += [{"id": r["name"], "needs": None if r["name"] == first else first, "model": r["model"]} for r in made]
    (work / "yaml" / "study.yaml").write_text(json.dumps({"name": "2026-study", "families": entries}, indent=1))
    if not chosen.cpu:
        jobs.sort(key=lambda job: ORDER.index(str(job["id"])))
    (work / "jobs.json").write_text(json.dumps(jobs, indent=1))
    load_study(work / "yaml" / "study.yaml")
    print(
        f"{len(jobs)} runs of {len(families)} families, {len(load_prompts(work / 'prompts.jsonl'))} prompts", flush=True
    )


def write_prompts(work: Path, sets: Sequence[str], limit: int | None) -> None:
    """All sets in one file, and Arena-Hard alone."""
    rows = {
        name: (ROOT / "prompts" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()[:limit] for name in sets
    }
    marked = {
        name: [{**json.loads(line), "id": SETS[name] + json.loads(line)["id"]} for line in lines]
        for name, lines in rows.items()
    }
    files = {
        "prompts.jsonl": [row for own in marked.values() for row in own],
        "arena.jsonl": marked.get("arena-hard-v0.1"),
    }
    for file, own in files.items():
        if own:
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in own)
            (work / file).write_text(text, encoding="utf-8")
            load_prompts(work / file)


def runs_of(family: Family, work: Path, *, tokens: int | None, cpu: bool) -> list[dict[str, Any]]:
    """The YAML of a family's runs, the baseline first."""
    baseline = {
        "name": f"{family.key}-bf16",
        **served(family.checkpoint, {}, {}, work, cpu=cpu),
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
            **served(one.checkpoint, one.options, one.engine, work, cpu=cpu),
            **one.keys,
        }
        for one in family.candidates
    ]
    return [baseline, *candidates]


def served(checkpoint: str, options: dict[str, Any], keys: dict[str, Any], work: Path, *, cpu: bool) -> dict[str, Any]:
    """Model and engine: a checkpoint in vLLM, or one of llama.cpp's servers."""
    file = checkpoint.removeprefix("gguf-")
    if file in GGUF:
        address = f"http://127.0.0.1:{PORT + GGUF.index(file)}/v1"
        request = {"cache_prompt": False}
        return {"engine": {"kind": "openai", "base_url": address, "concurrency": 8, "request": request}}
    return {"model": str(work / "models" / checkpoint), "engine": engine(options, keys, cpu=cpu)}


def engine(options: dict[str, Any], keys: dict[str, Any], *, cpu: bool) -> dict[str, Any]:
    """vLLM, eager, with a share of the GPU that leaves room for others and for log-probabilities of prompts."""
    shares = (
        {} if cpu else {"gpu_memory_utilization": 0.08, "kv_cache_memory_bytes": 5_000_000_000, "max_num_seqs": 512}
    )
    fixed = {"enforce_eager": True, "max_num_batched_tokens": 2048, **shares, **options}
    return {"kind": "vllm", "dtype": "bfloat16", "max_model_len": 2048 if cpu else 8192, **keys, "options": fixed}


if __name__ == "__main__":
    main()
