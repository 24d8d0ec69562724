"""How often does an unquantized copy pass the gate that `fidelity gate init` proposes? See docs/statistics.md.

    python benchmarks/gate_power.py RUN.jsonl RUN.jsonl RUN.jsonl ...

Each file is a recorded run of the same weights; each is baseline, control and candidate in turn. Conflicts and breaks
are judged on these; columns of forced tokens, which recordings don't have, are simulated.
"""

import sys
from collections.abc import Sequence
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from run_noise import CONTROLS, LEVEL, generations, prompts_by_id

from fidelity.gate import Measured
from fidelity.gate.drafting import LEADING_CONFLICTS
from fidelity.gate.proposals import propose_share
from fidelity.metrics import metric_of_kind
from fidelity.records import Column, Pair, PromptValue
from fidelity.stats import clopper_pearson
from fidelity.stats.betting import peak_wealth

Floats = NDArray[np.float64]
TOKENS = 70
AGREEMENT = 0.998
"""Of a control with its baseline, token by token, as in the demo."""
SIZES = (72, 100, 150, 200, 300, 500)


def main(files: Sequence[Path]) -> None:
    """Print both tables as Markdown."""
    columns = {name: hits for name, hits in _hits(files).items() if _is_proposed(name)}
    print("| controls | assignments | all pass | least often |\n|---|---|---|---|")
    for controls in CONTROLS:
        passed = {name: np.array(_passes(hits, controls)) for name, hits in columns.items()}
        together = np.all(list(passed.values()), axis=0)
        worst = min(passed, key=lambda name: passed[name].mean())
        rarest = f"{worst}: {100 * passed[worst].mean():.0f}%"
        print(f"| {controls} | {len(together)} | {100 * together.mean():.0f}% | {rarest} |", flush=True)
    print("\n| top-1 agreement | margin | " + " | ".join(map(str, SIZES)) + " |\n" + "|---" * (2 + len(SIZES)) + "|")
    rng = np.random.default_rng(0)
    for rate in (AGREEMENT, 0.99):
        for margin in (0.02, 0.05):
            cells = [f"{100 * _token_power(rng, n, rate, margin):.0f}%" for n in SIZES]
            print("| " + " | ".join([f"{rate:g}", f"{margin:g}", *cells]) + " |", flush=True)


def _is_proposed(name: str) -> bool:
    return name.startswith("break_") or name.removeprefix("conflict_") in LEADING_CONFLICTS


def _hits(files: Sequence[Path]) -> dict[str, Floats]:
    """By column: runs x runs x prompts, 1 where the second conflicts with the first or is newly broken, or NaN."""
    runs, prompts = [generations(file) for file in files], prompts_by_id(files)
    both = [(a, b) for a in range(len(runs)) for b in range(len(runs)) if a != b]
    pairs = [Pair(prompt, runs[a][i], runs[b][i]) for a, b in both for i, prompt in prompts.items()]
    hits = {}
    for metric in (metric_of_kind("conflicts"), metric_of_kind("breaks")):
        for column in metric.fit(pairs).score(pairs):
            values = np.array([np.nan if value is None else value for value in column.values])
            hits[column.name] = np.full((len(runs), len(runs), len(prompts)), np.nan)
            hits[column.name][tuple(np.array(both).T)] = values.reshape(len(both), -1)
    return hits


def _passes(hits: Floats, controls: int) -> list[bool]:
    """Of each assignment: whether the candidate's share is within the limit that its controls propose."""

    @cache
    def limit(baseline: int, chosen: tuple[int, ...]) -> float:
        shares = tuple(
            {str(n): None if np.isnan(v) else PromptValue(float(v), 1.0) for n, v in enumerate(hits[baseline, control])}
            for control in chosen
        )
        proposal = propose_share(Measured(Column("", (), better="lower"), {}, shares), "balanced", confidence=1 - LEVEL)
        return 1.0 if proposal.limit is None else proposal.limit

    passes = []
    for baseline in range(len(hits)):
        for candidate in (run for run in range(len(hits)) if run != baseline):
            own = hits[baseline, candidate][~np.isnan(hits[baseline, candidate])]
            upper = clopper_pearson(int(own.sum()), len(own), confidence=1 - LEVEL, side="upper")[1]
            others = [run for run in range(len(hits)) if run not in (baseline, candidate)]
            passes += [upper <= limit(baseline, chosen) for chosen in combinations(others, controls)]
    return passes


def _token_power(rng: np.random.Generator, prompts: int, rate: float, margin: float, studies: int = 1000) -> float:
    """How often a copy passes whose tokens agree at this rate, which varies over prompts (beta, concentration 100)."""
    control, candidate = (
        rng.binomial(TOKENS, rng.beta(100 * mean, 100 * (1 - mean), (prompts, studies))) / TOKENS
        for mean in (AGREEMENT, rate)
    )
    means, levels = np.full((1, studies), (margin + 1) / 2), np.full((1, studies), LEVEL)
    return float((peak_wealth((control - candidate + 1) / 2, means, levels) >= 1).mean())


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
