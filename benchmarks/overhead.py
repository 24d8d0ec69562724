"""How much slower is `fidelity generate` than a bare vLLM script? Same model, prompts, options and chunks, A B A B.

    python benchmarks/overhead.py [--pairs 7] [--limit 32] [--max-tokens 64]

A is fidelity's own pipeline, with a control for each further pair; B is what a user would write with `LLM.chat`,
in a process of its own. Each loads once, and after each of A's runs B goes through the same prompts in the same chunks.
Prints the ratio of speeds (B's time / A's time; 1 is equal, above is faster) with a 95% interval, and the
share of A's generation time outside the engine's own steps. Loading is left out on both sides.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean, median, stdev

from scipy.stats import t

from fidelity.config import DEFAULT_BATCH, load_run
from fidelity.pipeline import generate
from fidelity.runs.jobs import chunks
from fidelity.store.store import Store

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "models" / "smollm2-135m"
PROMPTS = ROOT / "prompts" / "starter.jsonl"


def main() -> None:
    """Run the pairs and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--limit", type=int, default=32)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.bare:
        bare(chosen.limit, chosen.max_tokens)
    else:
        compare(chosen.pairs, chosen.limit, chosen.max_tokens)


class Turns:
    """Hears when one of fidelity's runs begins, and lets the bare script do the one before."""

    def __init__(self, limit: int, max_tokens: int) -> None:
        command = [sys.executable, __file__, "--bare", "--limit", str(limit), "--max-tokens", str(max_tokens)]
        env = {**os.environ, "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "4"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self._bare = subprocess.Popen(command, env=env, text=True, **pipes)
        self._begun = 0
        self.bare_s: list[float] = []

    def say(self, text: str) -> None:
        print(text, file=sys.stderr)

    def progress(self, run: str, done: int, total: int, tokens: int, seconds: float) -> None:
        if seconds == 0.0:
            if self._begun:
                self.their_turn()
            self._begun += 1

    def their_turn(self) -> None:
        print(len(self.bare_s), file=self._bare.stdin, flush=True)
        answer = next(line for line in self._bare.stdout if line.startswith("seconds "))
        self.bare_s.append(float(answer.split()[1]))

    def close(self) -> None:
        self._bare.stdin.close()
        self._bare.wait()


def compare(pairs: int, limit: int, max_tokens: int) -> None:
    """Both sides in turn; seeds 0, 1, 2, ... as baseline and controls have them."""
    turns = Turns(limit, max_tokens)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "run.yaml").write_text(
            f"name: run\nmodel: {MODEL}\nprompts: {PROMPTS}\nsampling: {{max_tokens: {max_tokens}}}\n"
            f"control: {{repeats: {pairs - 1}}}\nkl: none\nbatching: {{drained: {DEFAULT_BATCH}}}\n"
            "engine: {kind: vllm, dtype: bfloat16, max_model_len: 2048, options: {enforce_eager: true}}\n"
        )
        store = Store(Path(folder) / "store")
        runs = generate(load_run(Path(folder) / "run.yaml"), store=store, listener=turns, limit=limit)
        turns.their_turn()
        turns.close()
        own_s, steps = ([getattr(store.measurement(run), key) for run in runs] for key in ("seconds", "step_seconds"))
    ratios = [bare / own for bare, own in zip(turns.bare_s, own_s, strict=True)]
    outside = [1 - step / own for step, own in zip(steps, own_s, strict=True)]
    print("| pair | fidelity, s | bare, s | ratio | outside the steps |\n|---|---|---|---|---|")
    for number, row in enumerate(zip(own_s, turns.bare_s, ratios, outside, strict=True), start=1):
        print("| {} | {:.2f} | {:.2f} | {:.3f} | {:.2%} |".format(number, *row))
    low, high = t.interval(0.95, pairs - 1, mean(ratios), stdev(ratios) / pairs**0.5)
    print(f"\nspeed ratio {mean(ratios):.3f}, median {median(ratios):.3f}, 95% interval {low:.3f} to {high:.3f}")
    print(f"outside the engine's own steps: median {median(outside):.2%}")


def bare(limit: int, max_tokens: int) -> None:
    """For each seed on stdin, the prompts in that seed's chunks through vLLM's own `LLM.chat`; prints the seconds."""
    from vllm import LLM, SamplingParams

    rows = [json.loads(line) for line in PROMPTS.read_text().splitlines()[:limit]]
    chats = [[{"role": "user", "content": r["prompt"]}] if isinstance(r["prompt"], str) else r["prompt"] for r in rows]
    llm = LLM(str(MODEL), dtype="bfloat16", max_model_len=2048, enforce_eager=True)
    params = SamplingParams(temperature=0, max_tokens=max_tokens, logprobs=0)
    llm.chat(chats[:1], SamplingParams(temperature=0, max_tokens=2), use_tqdm=False)
    for seed in sys.stdin:
        began = time.monotonic()
        for chunk in chunks(limit, largest=DEFAULT_BATCH, seed=int(seed)):
            llm.reset_prefix_cache()
            llm.chat([chats[n] for n in chunk], params, use_tqdm=False)
        print(f"seconds {time.monotonic() - began}", flush=True)


if __name__ == "__main__":
    main()
