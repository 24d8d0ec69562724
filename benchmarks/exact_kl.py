"""How fast are exact distributions, and how narrow is the bracket of EAR without them?

    python benchmarks/exact_kl.py speed [--baseline models/smollm2-135m] [--candidate models/smollm2-135m-w8a8-int8]
        [--limit 8] [--max-tokens 32] [--old-limit 2] [--engine '{"max_model_len": 1024}'] [--candidate-engine '{}']
    python benchmarks/exact_kl.py widths STORE

`speed` lets both models score the baseline's answers with vLLM in three ways: the 20 most likely tokens, the same with
hidden states, and the whole vocabulary (as before hidden states, for the first few prompts). It prints tokens per
second and bytes per token, and compares the numbers of both ways to exact KL and EAR. It runs on a CPU and on a GPU;
`--engine` and `--candidate-engine` are keys of the YAML's `engine`, such as '{"options": {"quantization": "fp8"}}'.

`widths` reads a store of runs with `kl: {exact: true}`: KL, EAR and top-1 agreement over all tokens of each run, and
how wide the bracket of EAR would be with the k most likely tokens, at how many bytes per token.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fidelity.config import Sampling, load_run
from fidelity.engines import TokenScoringEngine, open_engine
from fidelity.metrics.exact_distributions import exact_values
from fidelity.metrics.logits import log_softmax, logits
from fidelity.metrics.token_divergence import acceptance, exact_acceptance, exact_kl
from fidelity.prompts import load_prompts
from fidelity.records import Failure, HiddenStates, Prompt, TokenScores
from fidelity.store.scored_pairs import both_scored, together
from fidelity.store.store import Store
from fidelity.store.token_scores import ScoreWriter

ROOT = Path(__file__).parent.parent
TOP_K = 20
WIDTHS = (5, 10, 20, 50, 100, 200, 500)
BLOCK = 64
"""The number of distributions in memory at once."""


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(required=True)
    speed = kinds.add_parser("speed")
    speed.add_argument("--baseline", default=str(ROOT / "models" / "smollm2-135m"))
    speed.add_argument("--candidate", default=str(ROOT / "models" / "smollm2-135m-w8a8-int8"))
    speed.add_argument("--prompts", type=Path, default=ROOT / "prompts" / "starter.jsonl")
    speed.add_argument("--limit", type=int, default=8)
    speed.add_argument("--max-tokens", type=int, default=32)
    speed.add_argument("--old-limit", type=int, default=2, help="prompts to score over the whole vocabulary; 0: none")
    speed.add_argument("--engine", type=json.loads, default={})
    speed.add_argument("--candidate-engine", type=json.loads, default={})
    speed.set_defaults(measure=measure_speed)
    widths = kinds.add_parser("widths")
    widths.add_argument("store", type=Path)
    widths.set_defaults(measure=measure_widths)
    chosen = parser.parse_args()
    chosen.measure(chosen)


def measure_speed(chosen: argparse.Namespace) -> None:
    """Score with both models, and compare them in both ways."""
    prompts = load_prompts(chosen.prompts, limit=chosen.limit)
    engine = {"kind": "vllm", "max_model_len": 1024, "options": {"enforce_eager": True}, **chosen.engine}
    with tempfile.TemporaryDirectory() as folder:
        run = _Scorer(Path(folder), prompts, chosen)
        run.score("baseline", chosen.baseline, engine)
        run.score("candidate", chosen.candidate, {**engine, **chosen.candidate_engine})
        new, old = run.scores["hidden states"], run.scores["whole vocabulary"]
        _print_comparison(new, "hidden states")
        if old:
            _print_comparison(old, "whole vocabulary")
            _print_differences(new, old)


class _Scorer:
    """Scores the baseline's answers with one model after the other."""

    def __init__(self, folder: Path, prompts: list[Prompt], chosen: argparse.Namespace) -> None:
        self._folder, self._prompts, self._chosen = folder, prompts, chosen
        self._answers: list[list[int]] = []
        self.scores: dict[str, list[list[TokenScores]]] = {"hidden states": [], "whole vocabulary": []}

    def score(self, name: str, model: str, engine: dict[str, Any]) -> None:
        """Open a model, and score in all ways; the first model generates the answers."""
        file = self._folder / f"{name}.yaml"
        model = str(Path(model).resolve()) if Path(model).exists() else model
        file.write_text(json.dumps({"name": name, "model": model, "engine": engine}))
        with open_engine(load_run(file), log=Path(f"exact-kl-{name}.log"), on_progress=lambda _: None) as opened:
            assert isinstance(opened, TokenScoringEngine)
            if not self._answers:
                sampling = Sampling(max_tokens=self._chosen.max_tokens)
                outcomes = list(opened.generate(self._prompts, sampling))
                failed = [one.reason for one in outcomes if isinstance(one, Failure)]
                if failed:
                    raise SystemExit(f"{len(failed)} prompts failed: {failed[0]}")
                self._answers = [list(one.token_ids or ()) for one in outcomes if not isinstance(one, Failure)]
                print(f"{len(self._answers)} answers, {sum(map(len, self._answers))} tokens, {opened.info.device}")
                print("\n| model | way | tokens | s | tokens/s | bytes per token |\n|---|---|---:|---:|---:|---:|")
            list(opened.score_tokens(self._prompts[:1], self._answers[:1], TOP_K, exact=True))  # compiles kernels
            began = time.monotonic()
            head = ScoreWriter(self._folder / "scores" / name).add_head(opened.write_head)
            head_s = time.monotonic() - began
            if head is None or isinstance(head, str):
                raise SystemExit(f"{name}: {head or 'the engine has no head'}")
            self._timed(opened, name, f"top {TOP_K}", {"top_k": TOP_K}, len(self._prompts))
            scores = self._timed(
                opened, name, "hidden states", {"top_k": TOP_K, "exact": True}, len(self._prompts), head=head
            )
            self.scores["hidden states"].append(scores)
            if self._chosen.old_limit:
                way, limit = "whole vocabulary", min(self._chosen.old_limit, len(self._prompts))
                self.scores[way].append(self._timed(opened, name, way, {"top_k": -1}, limit))
        size = head.matrix.nbytes / 2**20
        print(
            f"| {name} | its head: {head.matrix.shape}, {head.dtype}, {size:.0f} MiB | | {head_s:.1f} | | |", flush=True
        )

    def _timed(
        self, engine: TokenScoringEngine, name: str, way: str, keys: dict[str, Any], limit: int, head: Any = None
    ) -> list[TokenScores]:
        """Score and store, and print a row."""
        prompts, answers, scores = self._prompts[:limit], self._answers[:limit], list[TokenScores]()

        def outcomes() -> Iterator[TokenScores]:
            for one in engine.score_tokens(prompts, answers, **keys):
                if isinstance(one, Failure):
                    raise SystemExit(f"{name}, {way}: {one.reason}")
                if isinstance(one.hidden, str):
                    raise SystemExit(f"{name}, {way}: {one.hidden}")
                one = replace(one, hidden=replace(one.hidden, head=head)) if one.hidden else one
                scores.append(one)
                yield one

        folder = self._folder / "scores" / f"{name}-{way.replace(' ', '-')}"
        began = time.monotonic()
        ScoreWriter(folder).add_chunk(0, outcomes(), exact=head is not None)
        seconds = time.monotonic() - began
        size = sum(file.stat().st_size for file in folder.glob("*.parquet"))
        tokens = sum(len(one.token_ids) for one in scores)
        row = f"| {name} | {way} | {tokens} | {seconds:.2f} | {tokens / seconds:,.0f} | {size / tokens:,.0f} |"
        print(row, flush=True)
        return scores


def _print_comparison(scores: list[list[TokenScores]], way: str) -> None:
    baseline, other = scores
    exact_values(baseline[0], other[0])  # loads torch and the heads
    began = time.monotonic()
    values = [exact_values(*pair) for pair in zip(baseline, other, strict=True)]
    seconds = time.monotonic() - began
    kl, acceptances, agree = (
        np.concatenate([getattr(v, key) for v in values]) for key in ("kl", "acceptance", "agree")
    )
    print(f"\nCompared by {way}: {len(kl)} tokens in {seconds:.2f} s, {len(kl) / seconds:,.0f} tokens/s")
    print(f"KL {kl.mean():.6f} nats, EAR {acceptances.mean():.6f}, same most likely token {agree.mean():.4f}")
    own = [exact_values(one, one) for one in baseline]
    print(f"KL of the baseline and itself: {max(float(np.abs(v.kl).max(initial=0)) for v in own)} at most")


def _print_differences(new: list[list[TokenScores]], old: list[list[TokenScores]]) -> None:
    """Both ways for the same answers. In another batch the engine's own numbers differ; this is shown apart."""
    kl, rates, engine, below, above, tokens = [0.0], [0.0], [0.0], 0, 0, 0
    for p, q, old_p, old_q in zip(new[0], new[1], old[0], old[1], strict=False):
        values, bracket = exact_values(p, q), acceptance(p, q)
        kl.append(float(np.abs(values.kl - exact_kl(old_p, old_q)).max()))
        rates.append(float(np.abs(values.acceptance - exact_acceptance(old_p, old_q)).max()))
        engine += [float(np.abs(a.logprobs - b.logprobs).max()) for a, b in ((p, old_p), (q, old_q))]
    for p, q in zip(*new, strict=True):
        values, bracket = exact_values(p, q), acceptance(p, q)
        below += int((values.acceptance < bracket[0] - 1e-5).sum())
        above += int((values.acceptance > bracket[1] + 1e-5).sum())
        tokens += len(values.kl)
    print(f"\nBoth ways, at most: KL differs by {max(kl):.2g} nats, EAR by {max(rates):.2g}")
    print(f"(the engine's own log-probabilities differ by {max(engine):.2g} nats between the two passes)")
    print(f"ear <= ear_exact <= ear_upper (within 1e-5): violated below {below}, above {above} of {tokens} tokens")


def measure_widths(chosen: argparse.Namespace) -> None:
    """KL, EAR and agreement of all runs, and the brackets by k."""
    runs = Store(chosen.store).runs()
    for baseline in runs:
        if isinstance(together(baseline, baseline, whole_vocabulary=True), str):
            continue
        sizes = _sizes(baseline)
        print(f"{baseline.name}: bytes per token " + ", ".join(f"k = {k}: {size:.0f}" for k, size in sizes.items()))
        columns = " | ".join(f"width, k = {k}" for k in WIDTHS)
        print(f"\n| run | tokens | KL | EAR | same top | {columns} |\n|---|{'---:|' * (len(WIDTHS) + 4)}")
        for other in runs:
            if not isinstance(together(baseline, other, whole_vocabulary=True), str):
                _print_widths(baseline, other)


def _print_widths(baseline: Any, other: Any) -> None:
    kl, rates, agree = list[Any](), list[Any](), list[Any]()
    widths: dict[int, list[Any]] = {k: [] for k in WIDTHS}
    for p, q in both_scored(baseline, other, whole_vocabulary=True):
        values = exact_values(p, q)
        kl, rates, agree = [*kl, values.kl], [*rates, values.acceptance], [*agree, values.agree]
        tops = [_most_likely(scores, max(WIDTHS)) for scores in (p, q)]
        for k, own in widths.items():
            lower, upper = acceptance(*(_cut(top, k) for top in tops))
            own.append(upper - lower)
    means = [np.concatenate(column).mean() for column in (kl, rates, agree)]
    shown = " | ".join(f"{np.concatenate(own).mean():.4f}" for own in widths.values())
    tokens = sum(map(len, kl))
    print(f"| {other.name} | {tokens} | {means[0]:.5f} | {means[1]:.4f} | {means[2]:.4f} | {shown} |", flush=True)


def _most_likely(scores: TokenScores, k: int) -> TokenScores:
    """The same answer with its k most likely tokens, from the whole distributions."""
    assert isinstance(scores.hidden, HiddenStates)
    ids, values = [], []
    for first in range(0, len(scores.token_ids), BLOCK):
        top = log_softmax(logits(scores.hidden, slice(first, first + BLOCK))).topk(k)
        ids.append(top.indices.cpu().numpy().astype(np.int32))
        values.append(top.values.cpu().numpy())
    return replace(scores, top_ids=np.concatenate(ids), top_logprobs=np.concatenate(values), hidden=None)


def _cut(scores: TokenScores, k: int) -> TokenScores:
    return replace(scores, top_ids=scores.top_ids[:, :k].copy(), top_logprobs=scores.top_logprobs[:, :k].copy())


def _sizes(baseline: Any) -> dict[int, float]:
    """Bytes per token in Parquet, by k."""
    answers = [_most_likely(p, max(WIDTHS)) for p, _ in both_scored(baseline, baseline, whole_vocabulary=True)]
    tokens, sizes = sum(len(one.token_ids) for one in answers), {}
    with tempfile.TemporaryDirectory() as folder:
        for k in WIDTHS:
            ScoreWriter(Path(folder)).add_chunk(k, [_cut(one, k) for one in answers])
            sizes[k] = Path(folder, f"chunk-{k:05d}.parquet").stat().st_size / tokens
    return sizes


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
