"""Do encoders give the same numbers on a GPU as on the CPU, and how much faster?

    python benchmarks/encoders_gpu.py ENCODER PROMPTS.jsonl [--pairs 500] [--layer 6] [--rounds 3]

Scores `sts` and `bertscore` of neighboring prompts' texts, in a process with the GPU and in one in
which no GPU is visible, in turn. Prints the largest difference of any number and the ratio of times, without loading.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

from fidelity.encoders import locate, open_encoder
from fidelity.metrics.bertscore import BertScore
from fidelity.metrics.sts import Sts
from fidelity.prompts import load_prompts
from fidelity.records import Generation, Pair, Prompt
from fidelity.stats import paired_ratio

METRICS = ("sts", "bertscore")


def main() -> None:
    """Measure in turn, and print a row per metric."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder")
    parser.add_argument("prompts", type=Path)
    parser.add_argument("--pairs", type=int, default=500)
    parser.add_argument("--layer", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        print(json.dumps(measured(chosen)))
        return
    rounds = [{device: in_child(device) for device in ("gpu", "cpu")} for _ in range(chosen.rounds)]
    print(f"{rounds[0]['gpu']['device']}; {chosen.pairs} pairs\n")
    print("| metric | largest difference | CPU's time over the GPU's |\n|---|---|---|")
    for metric in METRICS:
        numbers = [[r[device][metric]["values"] for r in rounds] for device in ("gpu", "cpu")]
        apart = max(abs(a - b) for one, other in zip(*numbers, strict=True) for a, b in zip(one, other, strict=True))
        seconds = [[r[device][metric]["seconds"] for r in rounds] for device in ("cpu", "gpu")]
        ratio = paired_ratio(*seconds)
        print(f"| `{metric}` | {apart:.1e} | {ratio.value:.1f} ({ratio.low or 0:.1f} to {ratio.high or 0:.1f}) |")


def in_child(device: str) -> dict:
    env = {**os.environ, **({"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {})}
    out = subprocess.run(
        [sys.executable, *sys.argv, "--child"], env=env, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    return dict(json.loads(out.splitlines()[-1]))


def measured(chosen: argparse.Namespace) -> dict:
    """Scores and seconds of each metric; the first pairs warm up."""
    import torch

    texts = [prompt.messages[-1].content for prompt in load_prompts(chosen.prompts, limit=chosen.pairs + 1)]
    pairs = [Pair(Prompt("", ""), Generation("", a), Generation("", b)) for a, b in pairwise(texts)]
    source = locate(chosen.encoder)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    result: dict = {"device": device}
    for metric, made in (
        ("sts", Sts(encoder="")),
        ("bertscore", BertScore(encoder="", layer=chosen.layer)),
    ):
        made.bind(open_encoder(source)).score(pairs[:8])
        bound, began = made.bind(open_encoder(source)), time.perf_counter()
        bound.score(pairs[:1])  # loads
        loaded = time.perf_counter()
        columns = bound.score(pairs)
        result[metric] = {"seconds": time.perf_counter() - loaded, "loading": loaded - began}
        result[metric]["values"] = [float(value or 0) for column in columns for value in column.values]
    return result


if __name__ == "__main__":
    main()
