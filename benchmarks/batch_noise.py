"""How many answers does batching alone change, and is a candidate with answers of other lengths treated fairly?

    python benchmarks/batch_noise.py MODEL PROMPTS.jsonl [--limit 500] [--tokens 256]

One engine, one model, greedy. For each way of admitting prompts: six runs, each with its own order, and five runs with
answers of other lengths (1/8 to 8/8 of the tokens), as a candidate's might have. The share of equal answers between two
of the six, and between one of each kind (up to where the shorter answer ends), should be the same: otherwise the floor
doesn't hold for a candidate with other lengths.
"""

import argparse
import os
import random
from collections.abc import Iterator
from itertools import combinations, product
from pathlib import Path
from statistics import mean
from typing import Any

os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"

from fidelity.children import vllm as child
from fidelity.engines.child import rows_of
from fidelity.prompts import load_prompts

RUNS, OTHERS = 6, 5
SEATS = {
    "three quarters of the prompts to all, eight steps": lambda draw: draw.uniform(0.75, 1.0),
    "all prompts, eight steps": lambda draw: 1.0,
}
DRAINED = "drained batches of 8 to 32"
Answers = dict[int, list[int]]
_sampling_params = child._sampling_params


class Model:
    """An engine with answers of given lengths."""

    def __init__(self, model: Path, rows: list[Any], tokens: int) -> None:
        self.rows, self.tokens = rows, tokens
        self._engine = child.VllmInProcess({"model": str(model), "dtype": "bfloat16", "max_model_len": 4096}, None)
        self._engine._on_cpu = True  # takes shares of the prompts
        self._limits: Iterator[int] = iter(())
        child._sampling_params = self._limited

    def _limited(self, sampling: Any, *, logprobs: bool) -> Any:
        params = _sampling_params(sampling, logprobs=logprobs)
        params.max_tokens = next(self._limits)
        return params

    def answers(self, places: list[int], limits: list[int], share: float, ramp: list[float]) -> Answers:
        """The tokens of the answers to these prompts, admitted in this order."""
        self._limits = iter([limits[place] for place in places])
        rows, sampling = [self.rows[place] for place in places], {"temperature": 0.0, "max_tokens": self.tokens}
        records = self._engine.stream(rows, sampling, None, share, ramp, 0, lambda *_: None)
        return {places[record["place"]]: record["token_ids"] for record in records}

    def run(self, way: str, seed: int, limits: list[int]) -> Answers:
        """All answers, in an order of the seed."""
        draw = random.Random(seed)
        order = list(range(len(self.rows)))
        draw.shuffle(order)
        if way in SEATS:
            return self.answers(order, limits, SEATS[way](draw), sorted(draw.random() for _ in range(8)))
        answers: Answers = {}
        while order:
            size = draw.randint(8, 32)
            answers |= self.answers(order[:size], limits, 1.0, [])
            order = order[size:]
        return answers


def equal(one: Answers, other: Answers, limits: list[int]) -> float:
    """The share of answers that are equal up to their limits."""
    return mean(one[place][: limits[place]] == other[place][: limits[place]] for place in one)


def main() -> None:
    """Run all of them and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("prompts", type=Path)
    parser.add_argument("--limit", type=int, default=500)
    parser.add_argument("--tokens", type=int, default=256)
    chosen = parser.parse_args()
    prompts = [prompt for prompt in load_prompts(chosen.prompts, limit=chosen.limit) if len(prompt.text) < 3500]
    model = Model(chosen.model, rows_of(prompts), chosen.tokens)
    draw = random.Random(7)
    whole, elsewhere = (
        [chosen.tokens] * len(prompts),
        [draw.randint(chosen.tokens // 8, chosen.tokens) for _ in prompts],
    )
    print("| admission | equal answers, whole | up to the limits | with other lengths |\n|---|---|---|---|", flush=True)
    for way in (*SEATS, DRAINED):
        runs = [model.run(way, seed, whole) for seed in range(RUNS)]
        others = [model.run(way, 100 + seed, elsewhere) for seed in range(OTHERS)]
        shares = [
            [equal(one, other, whole) for one, other in combinations(runs, 2)],
            [equal(one, other, elsewhere) for one, other in combinations(runs, 2)],
            [equal(one, other, elsewhere) for one, other in product(runs, others)],
        ]
        cells = [f"{mean(share):.3f} ({min(share):.3f} to {max(share):.3f})" for share in shares]
        print(f"| {way} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
