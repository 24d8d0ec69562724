"""Which number formats does vLLM run on this machine, with which kernel, and how far do they drift?

`python benchmarks/formats.py FOLDER [NAME ...]` compares each format with BF16 on the starter prompts (72 answers of 64
tokens, eager) and prints the table of docs/formats.md, each row as soon as it is there. A format's model is made by
`python examples/make_models.py` if it isn't there. The store is in FOLDER: finished runs are not repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MODEL = "smollm2-135m"
BASELINE = "bf16"
COLUMNS = ("identical", "prefix_agreement", "rouge1")


@dataclass(frozen=True)
class Cell:
    """One row: a model of models/, and the engine options that it has in addition to those of all rows."""

    model: str = MODEL
    engine: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


CELLS = {
    "fp32": Cell(engine={"dtype": "float32"}),
    "fp16": Cell(engine={"dtype": "float16"}),
    "w8a8-int8": Cell(f"{MODEL}-w8a8-int8"),
    "w4a16": Cell(f"{MODEL}-w4a16"),
    "w4a16-kept-at-a16": Cell(f"{MODEL}-w4a16", {"env": {"VLLM_CPU_INT4_W4A8": "0"}}),
    "w4a8-int": Cell(f"{MODEL}-w4a8-int"),
    "w8a16-int8": Cell(f"{MODEL}-w8a16-int8"),
    "torchao-int8wo": Cell(engine={"torchao": {"scheme": "int8wo"}}),
    "torchao-int4wo": Cell(engine={"torchao": {"scheme": "int4wo"}}),
    "torchao-8da8w": Cell(engine={"torchao": {"scheme": "8da8w"}}),
    "torchao-8da4w": Cell(engine={"torchao": {"scheme": "8da4w"}}),
    "kv-cache-fp8": Cell(options={"kv_cache_dtype": "fp8"}),
    "int8-per-channel-online": Cell(options={"quantization": "int8_per_channel_weight_only"}),
    "fp8-online": Cell(options={"quantization": "fp8"}),
    "fp8-per-channel-online": Cell(engine={"deadline": 300}, options={"quantization": "fp8_per_channel"}),
    "mxfp4-online": Cell(options={"quantization": "mxfp4"}),
    "bitsandbytes-online": Cell(options={"quantization": "bitsandbytes"}),
    "w8a8-fp8": Cell(f"{MODEL}-w8a8-fp8", {"deadline": 300}),
}


def main() -> None:
    """Run the formats that are named, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CELLS)} (default: all)")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    wanted = {name: CELLS[name] for name in chosen.names or CELLS}
    models = sorted({cell.model for cell in wanted.values()})
    subprocess.run([sys.executable, str(ROOT / "examples" / "make_models.py"), *models], check=True)
    write(chosen.folder, BASELINE, Cell(engine={"dtype": "bfloat16"}))
    print("| asked for | checkpoint | ran as | kernel | identical | prefix agreement | ROUGE-1 | excess | outcome |")
    print("|---|---|---|---|---|---|---|---|---|")
    for number, (name, cell) in enumerate(wanted.items()):
        write(chosen.folder, name, cell)
        code, error, report = compare(chosen.folder, name)
        if number == 0 and report and report["floor"]:
            values = [f"{report['floor']['columns'][column]['mean']:.3f}" for column in COLUMNS]
            print(f"| BF16 (the floor) | BF16 | BF16 | - | {' | '.join(values)} | | ran |")
        print(row(name, code, error, report), flush=True)


def write(folder: Path, name: str, cell: Cell) -> None:
    """The format's YAML file; JSON is YAML."""
    options = {"enforce_eager": True, **cell.options}
    run: dict[str, Any] = {
        "name": name,
        "model": str(ROOT / "models" / cell.model),
        "engine": {"kind": "vllm", "max_model_len": 1024, "options": options, **cell.engine},
    }
    if name == BASELINE:
        run |= {"prompts": str(ROOT / "prompts" / "starter.jsonl"), "sampling": {"temperature": 0, "max_tokens": 64}}
    (folder / f"{name}.yaml").write_text(json.dumps(run, indent=1))


def compare(folder: Path, name: str) -> tuple[int, str, dict[str, Any] | None]:
    """`fidelity compare`: its exit code, its output, and its JSON."""
    result = folder / f"{name}.json"
    result.unlink(missing_ok=True)
    metrics = [word for kind in ("identical", "prefix_agreement", "rouge") for word in ("--metric", kind)]
    files = [str(folder / f"{run}.yaml") for run in (BASELINE, name)]
    command = [sys.executable, "-m", "fidelity", "compare", *files, "--store", str(folder / "store"), *metrics]
    done = subprocess.run([*command, "--json", str(result)], capture_output=True, text=True, env=environment())
    (folder / f"{name}.log").write_text(done.stdout + done.stderr)
    return done.returncode, done.stderr, json.loads(result.read_text()) if result.exists() else None


def environment() -> dict[str, str]:
    """With byte code: vLLM is 9,000 files, and without it every start takes half a minute longer."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


def row(name: str, code: int, error: str, report: dict[str, Any] | None) -> str:
    """A row of the table: numbers where it ran, else the reason."""
    compared = report["comparisons"] if report else []
    if not compared:
        reasons = list(report["not_compared"].values()) if report else [error]
        reason = reasons[0] if reasons else error
        return f"| {name} | | | | | | | | exit {code}: {reason.strip().splitlines()[0]} |"
    about, columns = compared[0]["candidate"], compared[0]["columns"]
    values = [f"{columns[column]['mean']:.3f}" for column in COLUMNS]
    excess = columns["rouge1"]["excess"]
    over = f"{excess['mean']:+.3f}" if excess else ""
    kernels = ", ".join(about["engine"]["kernels"]) or "-"
    layers = f"{about['engine']['quantized_layers']} layers quantized"
    cells = (name, about["format"], about["ran_as"], kernels, *values, over, f"ran, {layers}")
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


if __name__ == "__main__":
    main()
