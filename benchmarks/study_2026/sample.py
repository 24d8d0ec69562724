"""The dashboard's sample: two models of the study in a few formats, the first Arena-Hard prompts alone.

    python benchmarks/study_2026/sample.py [DIRECTORY]

DIRECTORY is fidelity/sample_data/study-2026 by default. A run keeps the rows of these prompts as they are; its manifest
says that it is a subset.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from fidelity.files import read_parquet, sha256_of, write_parquet
from fidelity.prompts import load_prompts, prompts_digest
from fidelity.records import Generation
from fidelity.store.record_files import write_record
from fidelity.store.runs import GENERATIONS, Run

ROOT = Path(__file__).resolve().parents[2]
RUNS = ROOT / "docs" / "results" / "2026-study" / "runs"
FORMATS = ("kv-fp8", "w8a8-int8", "w8a8-fp8", "w4a16-g64-gptq", "w4a16-g64", "8da4w")
KEYS = {"kv-fp8": ", compares: kv_cache"}
FAMILIES = {"s": "SmolLM2-135M", "g": "Gemma 3 270M"}
PROMPTS = 200
HEAD = """\
# Two models of the study (docs/study-2026.md) on an H200: the first 200 prompts of docs/results/2026-study. Conflicts
# and meaning are left out, so scoring takes half a minute and no model. Written by benchmarks/study_2026/sample.py.
name: study-2026
metrics: [identical, prefix_agreement, first_divergence, rouge, length, breaks]
gate: {confidence: 0.95, margins: {rougeL: 0.5}, breaks: {loop: 0.1}}
families:
"""


def main() -> None:
    """Write the runs and the study's YAML."""
    directory = Path(*sys.argv[1:]) if sys.argv[1:] else ROOT / "fidelity" / "sample_data" / "study-2026"
    shutil.rmtree(directory, ignore_errors=True)
    wanted = {prompt.id for prompt in load_prompts(ROOT / "prompts" / "arena-hard-v0.1.jsonl")[:PROMPTS]}
    runs = {run.name: run for run in map(Run, sorted(RUNS.iterdir()))}
    lines = [HEAD]
    for family, title in FAMILIES.items():
        baseline, *candidates = (
            write_subset(runs[f"{family}-{name}"], wanted, directory / "runs") for name in ("bf16", *FORMATS)
        )
        for name in runs:
            if name.startswith(f"{family}-bf16.control"):
                write_subset(runs[name], wanted, directory / "runs")
        lines += [f"  - name: {title}\n", f"    baseline: {entry(baseline)}\n", "    candidates:\n"]
        lines += [f"      - {entry(run)}\n" for run in candidates]
    (directory / "study.yaml").write_text("".join(lines), encoding="utf-8")


def write_subset(run: Run, wanted: set[str], folder: Path) -> Run:
    """Write a run's rows of some prompts, in the run's own order."""
    manifest = run.manifest
    rows = read_parquet(run.path / GENERATIONS)
    rows = rows.filter(pc.is_in(rows["prompt_id"], value_set=pa.array(sorted(wanted))))
    prompts = [prompt for prompt in run.prompts() if prompt.id in wanted]
    answers = [o for o in run.outcomes() if o.prompt_id in wanted]
    generations = [o for o in answers if isinstance(o, Generation)]
    counts = manifest.counts.replace(
        prompts=len(prompts),
        generations=len(generations),
        failures=len(answers) - len(generations),
        tokens=sum(len(o.token_ids or ()) for o in generations),
        longest_prompt=max(rows["prompt_tokens"].to_pylist()),
    )
    subset = manifest.replace(
        digest=_subset(manifest.digest),
        control_of=manifest.control_of and _subset(manifest.control_of),
        prompts_digest=prompts_digest(prompts),
        subset_of=manifest.prompts_digest,
        counts=counts,
    )
    path = folder / subset.id
    path.mkdir(parents=True)
    write_parquet(path / GENERATIONS, rows, small=True)
    write_record(path / "manifest.json", subset.replace(answers_sha256=sha256_of(path / GENERATIONS)))
    return Run(path)


def entry(run: Run) -> str:
    keys = KEYS.get(run.name.partition("-")[2], "")
    return f"{{name: {run.name}, engine: {{kind: stored, path: runs/{run.id}}}{keys}}}"


def _subset(digest: str) -> str:
    return hashlib.sha256(f"{digest}, first {PROMPTS} prompts of Arena-Hard".encode()).hexdigest()


if __name__ == "__main__":
    main()
