"""BERTScore against the package bert-score, in one run: the same numbers, and how many times faster.

    python benchmarks/bertscore.py ENCODER --layer 6

ENCODER is a directory, such as a copy of all-MiniLM-L6-v2. One baseline and four candidates of the recordings that come
with the package, 64 prompts each, none of the texts equal. The package is used as its users do: `score()` for each
candidate, and one `BERTScorer` for all (its loading is not counted). fidelity opens its encoder in every round and
scores all candidates in one call. Medians of five rounds, in turn, because a busy machine then slows all; wall time,
and CPU time for machines that do other work meanwhile. Needs: pip install bert-score==0.3.13
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from importlib.resources import files

import bert_score
import torch
from transformers.utils import logging

from fidelity.encoders import locate, open_encoder
from fidelity.metrics.bertscore import BertScore
from fidelity.records import Generation, Pair, Prompt

CANDIDATES = ["w8a8-fp8", "fp8-online", "w8a8-int8", "w4a16"]
AIMS = {"bert_score.score() four times": 3.0, "one kept BERTScorer": 1.5}
ROUNDS = 5
TOLERANCE = 1e-4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder")
    parser.add_argument("--layer", type=int, required=True)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    logging.disable_progress_bar()
    source, layer = locate(arguments.encoder), arguments.layer
    baseline, *candidates = (texts(name)[: arguments.prompts] for name in ("bf16", *CANDIDATES))
    package = {"model_type": str(source.path), "num_layers": layer}
    scorer = bert_score.BERTScorer(**package)
    pairs = [
        Pair(Prompt("", ""), Generation("", a), Generation("", b))
        for candidate in candidates
        for a, b in zip(baseline, candidate, strict=True)
    ]
    sides: dict[str, Callable[[], list[float]]] = {
        "bert_score.score() four times": lambda: f1(
            bert_score.score(candidate, baseline, **package) for candidate in candidates
        ),
        "one kept BERTScorer": lambda: f1(scorer.score(candidate, baseline) for candidate in candidates),
        "fidelity": lambda: list(BertScore(encoder="", layer=layer).bind(open_encoder(source)).score(pairs)[0].values),
    }
    numbers = {name: side() for name, side in sides.items()}
    for name in AIMS:
        largest = max(abs(a - b) for a, b in zip(numbers[name], numbers["fidelity"], strict=True))
        print(f"{len(pairs)} pairs, {name}: largest difference {largest:.1e}", flush=True)
        if largest > TOLERANCE:
            raise SystemExit("that is too much")
    rounds = [{name: clocked(side) for name, side in sides.items()} for _ in range(ROUNDS)]
    wall, cpu = ({name: statistics.median(r[name][i] for r in rounds) for name in sides} for i in (0, 1))
    print(f"\n{torch.get_num_threads()} threads\n\n| | wall s | CPU s | times slower, wall | CPU | aim |")
    print("|---|---|---|---|---|---|")
    for name in sides:
        ratios = f"{wall[name] / wall['fidelity']:.2f} | {cpu[name] / cpu['fidelity']:.2f}"
        print(f"| {name} | {wall[name]:.2f} | {cpu[name]:.2f} | {ratios} | {AIMS.get(name, '-')} |")


def texts(run: str) -> list[str]:
    file = files("fidelity") / "sample_data" / "h100-smollm2-135m" / f"{run}.jsonl"
    records = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return [record["text"] for record in sorted(records, key=lambda record: record["id"])]


def f1(scored) -> list[float]:  # type: ignore[no-untyped-def]  # the package has no types
    return [value for _, _, f1 in scored for value in f1.tolist()]


def clocked(call: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
