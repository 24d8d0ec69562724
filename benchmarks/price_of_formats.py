"""Size, memory, speed and drift of one model's formats on this machine, as `fidelity compare` reports them.

    python benchmarks/price_of_formats.py FOLDER --model models/NAME [--checkpoint int8=models/NAME-w8a8-int8 ...]
        [--online fp8] [--eager] [--limit 64] [--max-tokens 256] [--price 2.5] [--interleave 3]

Meant for a GPU: kernels are compiled unless `--eager`. The runs are in FOLDER/store, so an interrupted command
continues when it is called again, and `--interleave` can be left to a second call. Writes price.json,
price.md and price.html, and the table, to FOLDER. Each format is a candidate: `--checkpoint NAME=DIRECTORY`
is a quantized checkpoint, `--online SCHEME` quantizes the baseline while vLLM loads it.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
LATENCY = {
    "prompts": 8,
    "repeats": 3,
    "max_tokens": 32,
    "prefill": [64, 512, 2048],
    "use_cases": ["instruction_following", "rag"],
}


def main() -> None:
    """Write the YAML files and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--checkpoint", action="append", default=[], metavar="NAME=DIRECTORY")
    parser.add_argument("--online", action="append", default=[], metavar="SCHEME")
    parser.add_argument("--eager", action="store_true")
    parser.add_argument("--limit", type=int, default=64)
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--price", type=float, help="of the machine, per hour")
    parser.add_argument("--interleave", type=int, metavar="ROUNDS")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "fidelity", "compare", *map(str, write(chosen)), "--limit", str(chosen.limit)]
    command += ["--store", str(chosen.folder / "store"), "--published"]
    command += [word for kind in ("json", "markdown", "html") for word in (f"--{kind}", str(result(chosen, kind)))]
    command += ["--interleave", str(chosen.interleave)] if chosen.interleave else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    (chosen.folder / "price.txt").write_text(done.stdout)
    print(done.stdout)
    sys.exit(done.returncode)


def write(chosen: argparse.Namespace) -> list[Path]:
    """A YAML file for the baseline and for each format; JSON is YAML."""
    name = chosen.model.name
    base = {
        **run(f"{name}-bf16", chosen.model, chosen, {}),
        "prompts": str(ROOT / "prompts" / "starter.jsonl"),
        "sampling": {"temperature": 0, "max_tokens": chosen.max_tokens},
        "latency": LATENCY,
        "metrics": ["identical", "rouge", "prefix_agreement"],
        **({"price_per_hour": chosen.price} if chosen.price else {}),
    }
    pairs = [one.split("=", 1) for one in chosen.checkpoint]
    runs = [base, *(run(f"{name}-{form}", Path(directory), chosen, {}) for form, directory in pairs)]
    runs += [run(f"{name}-{scheme}-online", chosen.model, chosen, {"quantization": scheme}) for scheme in chosen.online]
    files = []
    for keys in runs:
        files.append(chosen.folder / f"{keys['name']}.yaml")
        files[-1].write_text(json.dumps(keys, indent=1))
    return files


def run(name: str, model: Path, chosen: argparse.Namespace, options: dict[str, Any]) -> dict[str, Any]:
    options = {"enforce_eager": chosen.eager, "gpu_memory_utilization": 0.5, **options}
    engine = {"kind": "vllm", "dtype": "bfloat16", "max_model_len": 4096, "options": options}
    return {"name": name, "model": str(model.resolve()), "engine": engine}


def result(chosen: argparse.Namespace, kind: str) -> Path:
    return Path(chosen.folder, {"json": "price.json", "markdown": "price.md", "html": "price.html"}[kind])


if __name__ == "__main__":
    main()
