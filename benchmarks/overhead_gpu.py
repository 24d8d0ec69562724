"""How much slower is `fidelity generate` than one `LLM.generate` of all prompts? A B A B on the same engine, one GPU.

    python benchmarks/overhead_gpu.py MODEL PROMPTS.jsonl [--pairs 5] [--limit 500] [--tokens 256] [--varied | --both]

A is fidelity's pipeline: a baseline and its controls, every answer journaled as it ends, the run written and completed.
B is what a user would write, in the same process and on the same engine. Prints the ratio of speeds
(B's seconds / A's; 1 is equal) with a 95% interval. MODEL may have random weights: lengths are given, 256 tokens each
or drawn between 16 and 1,024 (`--varied`); `--both` measures both on one engine, in turn.
"""

import argparse
import json
import os
import random
import sys
import tempfile
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any, ClassVar

from scipy.stats import t

from fidelity.config import load_run
from fidelity.engines import vllm
from fidelity.engines.child import rows_of
from fidelity.engines.timing import StreamingChild
from fidelity.pipeline import generate
from fidelity.prompts import load_prompts
from fidelity.store.store import Store


class Child(StreamingChild):
    """Runs `overhead_child`, and is remembered."""

    opened: ClassVar[list[Any]] = []

    def __init__(self, module: str, *given: Any, **named: Any) -> None:
        self.opened.append(self)
        super().__init__("overhead_child", *given, **named)

    def bare(self, prompts: Any) -> dict[str, float]:
        (record,) = self._ask("bare", while_doing="generating", rows=rows_of(prompts))
        return record


class Turns:
    """Hears when one of fidelity's runs begins, and has the bare loop take its turn before it."""

    def __init__(self, prompts: Any) -> None:
        self._prompts, self._begun = prompts, set[str]()
        self.bare: list[dict[str, float]] = []

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def progress(self, run: str, done: int, total: int, tokens: int, seconds: float) -> None:
        if run not in self._begun:
            self._begun.add(run)
            self.bare.append(Child.opened[-1].bare(self._prompts))


def lengths(count: int, tokens: int, *, varied: bool) -> list[int]:
    """Of the answers: all alike, or as in life (log-normal, a median of 221, between 16 and 1,024)."""
    draw = random.Random(1)
    return [min(1024, max(16, int(draw.lognormvariate(5.4, 0.8)))) if varied else tokens for _ in range(count)]


def main() -> None:
    """Run the pairs and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("prompts", type=Path)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--limit", type=int, default=500)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--varied", action="store_true")
    parser.add_argument("--both", action="store_true")
    parser.add_argument("--options", type=json.loads, default={}, help="more arguments of LLM(...), as JSON")
    chosen = parser.parse_args()
    prompts = load_prompts(chosen.prompts, limit=chosen.limit)
    kinds = [False, True] if chosen.both else [chosen.varied]
    given = [lengths(len(prompts), chosen.tokens, varied=varied) for varied in kinds]
    os.environ["LENGTHS"] = json.dumps([length for one in given for length in (*one, *one)])  # bare, then fidelity
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    vllm.StreamingChild = Child  # type: ignore[misc]
    turns = Turns(prompts)
    with tempfile.TemporaryDirectory() as folder:
        run = {
            "name": "run",
            "model": str(chosen.model.resolve()),
            "prompts": str(chosen.prompts.resolve()),
            "sampling": {"max_tokens": 1024},
            "control": {"repeats": chosen.pairs * len(kinds) - 1},
            "kl": "none",
            "engine": {"kind": "vllm", "dtype": "bfloat16", "max_model_len": 4096, "options": chosen.options},
        }
        (Path(folder) / "run.yaml").write_text(json.dumps(run))
        store = Store(Path(folder) / "store")
        runs = generate(load_run(Path(folder) / "run.yaml"), store=store, listener=turns, limit=chosen.limit)
        measured = [(store.measurement(one), one.manifest.counts.tokens) for one in runs]
        for place, varied in enumerate(kinds):
            every = slice(place, None, len(kinds))
            print(f"\n{'lengths as in life' if varied else f'{chosen.tokens} tokens each'}:\n")
            report(measured[every], turns.bare[every])


def report(measured: list[tuple[Any, int]], bare: list[dict[str, float]]) -> None:
    """The table, the ratio, and where the seconds before generating went; `measured` with each run's tokens."""
    seconds = [one.seconds + one.profile["write"] for one, _ in measured]
    print("| pair | fidelity, tokens/s | bare, tokens/s | ratio |\n|---|---|---|---|")
    ratios = []
    for number, (took, other, (_, count)) in enumerate(zip(seconds, bare, measured, strict=True), start=1):
        speeds = count / took, other["tokens"] / other["seconds"]
        ratios.append(speeds[0] / speeds[1])
        print(f"| {number} | {speeds[0]:,.0f} | {speeds[1]:,.0f} | {ratios[-1]:.3f} |")
    low, high = t.interval(0.95, len(ratios) - 1, mean(ratios), stdev(ratios) / len(ratios) ** 0.5)
    print(f"\nspeed ratio {mean(ratios):.3f}, median {median(ratios):.3f}, 95% interval {low:.3f} to {high:.3f}")
    profile = {phase: round(took, 2) for phase, took in measured[0][0].profile.items()}
    print(f"profile of the first run, seconds: {json.dumps(profile)}")


if __name__ == "__main__":
    main()
