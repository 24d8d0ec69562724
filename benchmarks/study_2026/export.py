"""The exported runs of docs/results/2026-study, from the stores that the GPU host wrote.

    python benchmarks/study_2026/export.py STORE docs/results/2026-study

Runs keep token ids and lose log-probabilities, which are most of the bytes; paths in the manifests become relative.
Token scores take gigabytes and stay out: `tokens.parquet` has what was computed of them, one row per run and prompt.
`left-out.txt` has their checksums.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from fidelity.comparison.stored import load_comparison
from fidelity.files import read_parquet, sha256_of, write_parquet
from fidelity.store.record_files import read_record, write_record
from fidelity.store.runs import EXPECTED_ANSWERS, GENERATIONS, Run
from fidelity.store.store import Store
from fidelity.store.token_scores import ScoresManifest

COLUMNS = ("kl", "ear_exact", "top1_agreement", "sure_flips", "sts")
"""What the page uses of the token scores, and meaning; `tokens` is the weight of `kl`, the number of tokens."""
SCHEMA = pa.schema(
    [("run", pa.string()), ("prompt", pa.string()), *((name, pa.float32()) for name in ("tokens", *COLUMNS))]
)
FAMILIES = {
    "s": "SmolLM2-135M",
    "g": "Gemma 3 270M",
    "p": "SmolLM2-135M, padded",
    "si": "SmolLM2-135M, batch-invariant",
    "gi": "Gemma 3 270M, batch-invariant",
    "sl": "SmolLM2-135M, 1,024 tokens",
    "c": "SmolLM2-135M, CPU",
    "cg": "SmolLM2-135M, llama.cpp on CPU",
}
METRICS = ["identical", "prefix_agreement", "first_divergence", "rouge", "length", "conflicts", "breaks", "expected"]


def main() -> None:
    """Export every finished run of a store, and write the study's YAML of all that are exported."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("directory", type=Path)
    chosen = parser.parse_args()
    store = Store(chosen.store)
    runs = [run for run in store.runs() if not run.damage]
    for run in runs:
        export(run, chosen.directory / "runs" / run.id)
    tokens = chosen.directory / "tokens.parquet"
    if (scored := token_table(store, read_parquet(tokens).to_pylist() if tokens.is_file() else [])).num_rows:
        write_parquet(tokens, scored, small=True)
    left_out(chosen.store, chosen.directory / "left-out.txt")
    exported = [Run(path) for path in sorted((chosen.directory / "runs").iterdir())]
    (chosen.directory / "study.yaml").write_text(study_yaml(exported), encoding="utf-8")
    files = sorted((chosen.directory / "runs").rglob("*.parquet"))
    print(f"{len(runs)} runs, {sum(file.stat().st_size for file in files) / 1e6:.1f} MB")


def export(run: Run, directory: Path) -> None:
    """One run without log-probabilities, with relative paths in its manifest."""
    directory.mkdir(parents=True, exist_ok=True)
    rows = read_parquet(run.path / GENERATIONS)
    place = rows.schema.get_field_index("logprobs")
    rows = rows.set_column(place, "logprobs", pa.nulls(rows.num_rows, rows.schema.field(place).type))
    write_parquet(directory / GENERATIONS, rows, small=True)
    if (run.path / EXPECTED_ANSWERS).is_file():
        shutil.copy(run.path / EXPECTED_ANSWERS, directory / EXPECTED_ANSWERS)
    config = run.manifest.config
    names = {"model": str(_relative(config.model)), "prompts": _relative(config.prompts)}
    engine = run.manifest.engine
    update = {
        "config": config.model_copy(update=names),
        "engine": replace(engine, model=str(_relative(engine.model)) if engine.model else None),
        "identity": _with_relative_paths(run.manifest.identity),
        "answers_sha256": sha256_of(directory / GENERATIONS),
    }
    write_record(directory / "manifest.json", run.manifest.model_copy(update=update))


def _with_relative_paths(value: Any) -> Any:
    """What a server reports of itself, where the model's name is its file."""
    if not isinstance(value, Mapping):
        return value
    return {
        key: str(_relative(inner))
        if key in ("model", "root") and str(inner).startswith("/")
        else _with_relative_paths(inner)
        for key, inner in value.items()
    }


def _relative(path: Path | str | None) -> Path:
    return Path(*Path(path or "").parts[-2:])


def token_table(store: Store, earlier: list[dict[str, Any]]) -> pa.Table:
    """The columns of every candidate and control of a store, by prompt, and of other runs as exported before."""
    again = {run.name for run in store.runs()}
    rows = {(row["run"], row["prompt"]): row for row in earlier if row["run"] not in again}
    for comparison in store.comparisons():
        if comparison.manifest.controls is None:
            continue
        result = load_comparison(comparison.path, only=COLUMNS, lows=False)
        for scores in (*result.candidates, *result.controls):
            for name in COLUMNS:
                column = scores.columns[name].column if name in scores.columns else None
                for place, prompt_id in enumerate(scores.prompt_ids if column else ()):
                    row = rows.setdefault((scores.run.name, prompt_id), {"run": scores.run.name, "prompt": prompt_id})
                    row[name] = column.values[place]
                    if name == "kl" and column.weights:
                        row["tokens"] = column.weights[place]
    return pa.Table.from_pylist([rows[key] for key in sorted(rows)], schema=SCHEMA)


def left_out(store: Path, file: Path) -> None:
    """Add the checksums of the token scores, which stay on the machine that made them."""
    manifests = sorted((store / "scores").glob("*/manifest.json"))
    files = [(path.parent.name, read_record(path, ScoresManifest).files or {}) for path in manifests]
    lines = [f"{digest}  scores/{folder}/{name}\n" for folder, own in files for name, digest in sorted(own.items())]
    before = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.is_file() else []
    if lines:
        file.write_text("".join(dict.fromkeys([*before, *lines])), encoding="utf-8")


def study_yaml(runs: list[Run]) -> str:
    """The study of the exported runs, for `fidelity study`."""
    families = []
    for key, name in FAMILIES.items():
        own = {run.name: run for run in runs if run.name.split("-")[0] == key and run.manifest.control_of is None}
        base = own.pop(f"{key}-bf16", None)
        if base and own:
            stored = {run.name: {"name": run.name, "engine": _stored(run)} for run in (base, *own.values())}
            candidates = [{**stored[n], **_declared(n)} for n in own]
            families.append({"name": name, "baseline": stored[base.name], "candidates": candidates})
    head = "# Rebuilds the store of these runs: fidelity study docs/results/2026-study/study.yaml --store STORE\n"
    data = {"name": "2026-study", "metrics": METRICS, "families": families}
    return head + yaml.safe_dump(json.loads(json.dumps(data)), sort_keys=False, width=160, default_flow_style=None)


def _stored(run: Run) -> dict[str, str]:
    return {"kind": "stored", "path": f"runs/{run.id}"}


def _declared(name: str) -> dict[str, str]:
    suffix = name.partition("-")[2]
    if suffix in ("compiled", "fp16", "fp32", "padded"):
        return {"compares": "engine"}
    return {"compares": "kv_cache"} if suffix == "kv-fp8" else {}


if __name__ == "__main__":
    main()
