"""What does teacher forcing cost? Time relative to generating, bytes in the store, memory.

    python benchmarks/teacher_forcing.py time [--model models/smollm2-135m] [--limit 72] [--max-tokens 128] [--chunk 32]
    python benchmarks/teacher_forcing.py size [--prompts 500] [--tokens 512] [--top-k 20]

`time` generates a chunk, scores it, and so on, because a busy machine is then as busy for both. It prints the
ratio of the two times, and of the processor time that the engine used. Loading and warm-up are left out, and so is the
first chunk, in which vLLM compiles a kernel that only teacher forcing needs.

`size` writes drawn numbers, which compress worse than real ones, in chunks of 128 prompts for two runs, reads them back
as a metric does, and prints bytes and peak memory.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fidelity.config import Sampling, load_run
from fidelity.engines import TokenScoringEngine, open_engine
from fidelity.engines.processes import processor_seconds
from fidelity.metrics.token_divergence import token_values
from fidelity.prompts import load_prompts
from fidelity.records import TokenScores
from fidelity.runs.jobs import chunks
from fidelity.store.token_scores import ScoreWriter, StoredScores

ROOT = Path(__file__).parent.parent
PROMPTS = ROOT / "prompts" / "starter.jsonl"


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser()
    kinds = parser.add_subparsers(required=True)
    timed = kinds.add_parser("time")
    timed.add_argument("--model", type=Path, default=ROOT / "models" / "smollm2-135m")
    timed.add_argument("--limit", type=int, default=72)
    timed.add_argument("--max-tokens", type=int, default=128)
    timed.add_argument("--chunk", type=int, default=32)
    timed.set_defaults(measure=measure_time)
    sized = kinds.add_parser("size")
    sized.add_argument("--prompts", type=int, default=500)
    sized.add_argument("--tokens", type=int, default=512)
    sized.add_argument("--top-k", type=int, default=20)
    sized.set_defaults(measure=measure_size)
    chosen = parser.parse_args()
    chosen.measure(chosen)


def measure_time(chosen: argparse.Namespace) -> None:
    """Generate and force in turn."""
    prompts = load_prompts(PROMPTS, limit=chosen.limit)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "run.yaml")
        engine = {"kind": "vllm", "max_model_len": 1024, "options": {"enforce_eager": True}}
        run.write_text(json.dumps({"name": "run", "model": str(chosen.model.resolve()), "engine": engine}))
        with open_engine(load_run(run), log=Path(folder, "log"), on_progress=lambda _: None) as opened:
            assert isinstance(opened, TokenScoringEngine)
            rows = [_chunk(opened, [prompts[i] for i in members], chosen) for members in _plan(len(prompts), chosen)]
    measured = np.array(rows[1:])
    generating, generating_steps, scoring, scoring_steps, tokens = measured.sum(axis=0)
    ratios = measured[:, 2] / measured[:, 0]
    print(f"{len(measured)} chunks, {tokens:.0f} tokens: generating {generating:.1f} s, forcing {scoring:.1f} s")
    print(
        f"forcing / generating: {scoring / generating:.3f}, in the engine alone {scoring_steps / generating_steps:.3f}"
    )
    print(f"by chunk: {', '.join(f'{ratio:.2f}' for ratio in ratios)}; median {np.median(ratios):.3f}")


def _plan(count: int, chosen: argparse.Namespace) -> list[list[int]]:
    return chunks(count, largest=chosen.chunk, seed=0)


def _chunk(engine: TokenScoringEngine, prompts: list, chosen: argparse.Namespace) -> list[float]:
    """Wall and processor seconds of generating, the same of teacher forcing; and tokens."""
    began, used = time.monotonic(), _used()
    answers = [answer.token_ids for answer in engine.generate(prompts, Sampling(max_tokens=chosen.max_tokens))]
    between, used_between = time.monotonic(), _used()
    for _ in engine.score_tokens(prompts, answers, 20):
        pass
    ended, used_ended = time.monotonic(), _used()
    tokens = sum(map(len, answers))
    return [between - began, used_between - used, ended - between, used_ended - used_between, tokens]


def _used() -> float:
    """Processor seconds of the engine's process: the only child of this one."""
    (child,) = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return processor_seconds(int(child))


def measure_size(chosen: argparse.Namespace) -> None:
    """Write and read the scores of two runs."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        runs = [Path(folder, name) for name in ("baseline", "candidate")]
        for seed, path in enumerate(runs):
            writer = ScoreWriter(path)
            for number, start in enumerate(range(0, chosen.prompts, 128)):
                members = range(start, min(start + 128, chosen.prompts))
                writer.add_chunk(number, _drawn(members, chosen.tokens, chosen.top_k, seed))
        own, other = map(StoredScores, runs)
        began = time.monotonic()
        agree = [token_values(_read(own, key), _read(other, key)).agree.mean() for key in own.keys]
        size = sum(file.stat().st_size for file in runs[0].iterdir())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{chosen.prompts} prompts x {chosen.tokens} tokens x top {chosen.top_k}: {size / 2**20:.1f} MiB a run on disk"
    )
    print(f"read and compared in {time.monotonic() - began:.1f} s ({np.mean(agree):.3f} agreement)")
    print(f"peak memory {peak / 2**10:.0f} MiB, of which {before / 2**10:.0f} MiB before anything was written")


def _read(stored: StoredScores, key: tuple[str, int]) -> TokenScores:
    scores = stored.get(*key)
    assert scores is not None
    return scores


def _drawn(members: range, tokens: int, top_k: int, seed: int) -> Iterator[TokenScores]:
    draw = np.random.default_rng(seed)
    for number in members:
        logprobs = -np.sort(draw.exponential(2.0, (tokens, top_k)).astype(np.float32), axis=1)
        ids = draw.integers(0, 128_000, (tokens, top_k), dtype=np.int32)
        ranks = draw.integers(1, 50, tokens, dtype=np.int32)
        yield TokenScores(f"p{number}", ids[:, 0].copy(), logprobs[:, 0].copy(), ranks, ids, logprobs)


if __name__ == "__main__":
    main()
