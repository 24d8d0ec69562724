"""What `fidelity generate` costs beside a bare vLLM script: same model, prompts, options and chunks, in turn (A B A B).

    python benchmarks/overhead.py [--pairs 7] [--limit 32] [--max-tokens 64]

Prints the ratio of speeds (bare time / fidelity's time; 1 is equal, above is faster) with a 95 % interval over the
pairs, and the share of fidelity's generation time outside the engine's own steps. Loading is left out on both sides.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean, median, stdev

from scipy.stats import t

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
        print(json.dumps({"seconds": bare(chosen.limit, chosen.max_tokens)}))
        return
    ratios, outside = [], []
    print("| pair | fidelity, s | bare, s | ratio | outside the steps |\n|---|---|---|---|---|")
    for pair in range(1, chosen.pairs + 1):
        ours = with_fidelity(chosen.limit, chosen.max_tokens)
        theirs = in_a_process_of_its_own(chosen.limit, chosen.max_tokens)
        ratios.append(theirs / ours["seconds"])
        outside.append(1 - ours["step_seconds"] / ours["seconds"])
        print(f"| {pair} | {ours['seconds']:.2f} | {theirs:.2f} | {ratios[-1]:.3f} | {outside[-1]:.2%} |", flush=True)
    low, high = t.interval(0.95, len(ratios) - 1, mean(ratios), stdev(ratios) / len(ratios) ** 0.5)
    print(f"\nspeed ratio {mean(ratios):.3f}, median {median(ratios):.3f}, 95 % interval {low:.3f} to {high:.3f}")
    print(f"outside the engine's own steps: median {median(outside):.2%}")


def with_fidelity(limit: int, max_tokens: int) -> dict[str, float]:
    """Generation time of `fidelity generate`, as it measures it itself."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "run.yaml").write_text(
            f"name: run\nmodel: {MODEL}\nprompts: {PROMPTS}\ncontrol: none\nsampling: {{max_tokens: {max_tokens}}}\n"
            "engine: {kind: vllm, dtype: bfloat16, max_model_len: 2048, options: {enforce_eager: true}}\n"
        )
        command = [sys.executable, "-m", "fidelity", "generate", "run.yaml", "--limit", str(limit)]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        (measurement,) = Path(folder).glob("fidelity-store/measurements/*/manifest.json")
        measured: dict[str, float] = json.loads(measurement.read_text())
        return measured


def in_a_process_of_its_own(limit: int, max_tokens: int) -> float:
    """The bare script, loaded anew each time as fidelity's engine is."""
    command = [sys.executable, __file__, "--bare", "--limit", str(limit), "--max-tokens", str(max_tokens)]
    env = {**os.environ, "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "4"}
    out = subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout
    return float(json.loads(out.splitlines()[-1])["seconds"])


def bare(limit: int, max_tokens: int) -> float:
    """What a user would write: vLLM's own `LLM.chat`, chunk by chunk."""
    import time

    from vllm import LLM, SamplingParams

    from fidelity.pipeline import DEFAULT_CHUNK, chunks

    rows = [json.loads(line) for line in PROMPTS.read_text().splitlines()[:limit]]
    chats = [[{"role": "user", "content": r["prompt"]}] if isinstance(r["prompt"], str) else r["prompt"] for r in rows]
    llm = LLM(str(MODEL), dtype="bfloat16", max_model_len=2048, enforce_eager=True)
    params = SamplingParams(temperature=0, max_tokens=max_tokens, logprobs=0)
    llm.chat(chats[:1], SamplingParams(temperature=0, max_tokens=2), use_tqdm=False)
    began = time.monotonic()
    for chunk in chunks(len(chats), largest=DEFAULT_CHUNK, seed=0):
        llm.reset_prefix_cache()
        llm.chat([chats[n] for n in chunk], params, use_tqdm=False)
    return time.monotonic() - began


if __name__ == "__main__":
    main()
