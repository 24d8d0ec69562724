"""What verdicts do where the prompts of a run share its batches: simulated, and on real runs of one model.

    python benchmarks/run_noise.py --studies 500                    # simulated, as `calibration.py --part runs`
    python benchmarks/run_noise.py RUN.jsonl RUN.jsonl RUN.jsonl ... # every assignment of equal runs to the roles

Simulated: a run has the chunks of a drained run, a chunk diverges on a share of its prompts that is drawn from a beta
distribution (mean 0.15), and two runs agree on a prompt where neither diverged. Each file is a recorded run of the same
weights; two to five of them are the baseline's runs and another one the candidate, so that every fail is false.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations, product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fidelity.metrics import default_metrics
from fidelity.prompts import load_prompts
from fidelity.records import Generation, Pair, Prompt
from fidelity.runs.jobs import chunks
from fidelity.stats import reading_order, run_noise
from fidelity.stats.betting import peak_wealth

Floats = NDArray[np.float64]
LEVEL = 0.05
DIVERGING = 0.15
CHUNK = 32
SHARED = (0.0, 0.03, 0.12, 0.24)
"""Standard deviations over chunks of the share of prompts that diverge; 0.24 is what the demo's control showed."""
CONTROLS = (1, 2, 4)
SIZES = (72, 200, 500, 2000)
MARGINS = (0.02, 0.05, 0.10)
MARGIN = 0.05
STARTER = Path(__file__).parents[1] / "prompts" / "starter.jsonl"


def main() -> None:
    """Print the tables of docs/statistics.md as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    if chosen.runs:
        recorded(chosen.runs)
    else:
        simulated(chosen.studies, chosen.seed)


def simulated(studies: int, seed: int) -> None:
    """Wrong verdicts by the noise that chunks share, the controls and the prompts."""
    chance = 100 * (LEVEL + 1.96 * np.sqrt(LEVEL * (1 - LEVEL) / studies))
    print(f"Wrong in % of {studies} studies (up to {chance:.1f} is chance); margin {MARGIN}\n")
    print("| column | prompts | chunk sd | controls | false pass at the margin | false fail | passes without excess |")
    print("|---|---|---|---|---|---|---|")
    cells = list(product((False, True), SIZES, SHARED, CONTROLS))
    with ProcessPoolExecutor(2) as pool:
        rates = pool.map(_cell, *zip(*((*cell, studies, seed) for cell in cells), strict=True))
        for (graded, prompts, shared, controls), (wrong_pass, wrong_fail, passes) in zip(cells, rates, strict=True):
            about = ["graded" if graded else "0 or 1", prompts, shared, controls]
            shown = [f"{new:.1f} ({old:.1f})" for new, old in (wrong_pass, wrong_fail, passes)]
            print("| " + " | ".join(map(str, [*about, *shown])) + " |", flush=True)


def _cell(
    graded: bool, prompts: int, shared: float, controls: int, studies: int, seed: int
) -> list[tuple[float, float]]:
    """False passes at the margin, false fails and passes without any excess, in %: of both shares, of prompts alone."""
    rng = np.random.default_rng([seed, graded, prompts, int(100 * shared), controls])
    at_margin, without = (
        _judged([_study(rng, prompts, controls, shared, margin, graded) for _ in range(studies)], MARGIN)
        for margin in (MARGIN, 0.0)
    )
    return [(at_margin[0], at_margin[1]), (without[2], without[3]), (without[0], without[1])]


def _study(
    rng: np.random.Generator, prompts: int, controls: int, shared: float, excess: float, graded: bool
) -> tuple[Floats, Floats]:
    """The candidate with each reference, and the references with each other: pairs of runs x prompts."""
    diverged = np.empty((controls + 2, prompts), dtype=np.bool_)
    for run in diverged:
        for chunk in chunks(prompts, largest=CHUNK, seed=int(rng.integers(2**31))):
            scale = DIVERGING * (1 - DIVERGING) / shared**2 - 1 if shared else 0.0
            share = rng.beta(DIVERGING * scale, (1 - DIVERGING) * scale) if shared else DIVERGING
            run[chunk] = rng.random(len(chunk)) < share
    loss = rng.beta(1.5, 2.5, prompts) if graded else np.ones(prompts)
    diverged[-1] |= rng.random(prompts) < excess / ((1 - DIVERGING) ** 2 * (1.5 / 4 if graded else 1.0))
    references = range(controls + 1)
    candidate = np.array([1 - loss * (diverged[run] | diverged[-1]) for run in references])
    floor = np.array([1 - loss * (diverged[a] | diverged[b]) for a, b in combinations(references, 2)])
    return candidate, floor


def _judged(studies: Sequence[tuple[Floats, Floats]], margin: float) -> tuple[float, float, float, float]:
    """In % of studies: passes (with both shares, by prompts alone with one reference), then fails of both kinds."""
    excess = np.array([floor.mean(axis=0) - candidate.mean(axis=0) for candidate, floor in studies]).T
    runs = np.array([run_noise(candidate, floor).distance(1 - LEVEL) for candidate, floor in studies])
    controls = len(studies[0][0]) - 1
    alone = np.array([floor[:controls].mean(axis=0) - candidate[0] for candidate, floor in studies]).T
    none = np.zeros(len(studies))
    return (
        100 * _below(excess, runs, margin).mean(),
        100 * _below(alone, none, margin).mean(),
        100 * _below(-excess, runs, -margin).mean(),
        100 * _below(-alone, none, -margin).mean(),
    )


def _below(excess: Floats, runs: Floats, margin: float) -> NDArray[np.bool_]:
    """Whether mean + sqrt(prompts^2 + runs^2) is below the margin, without a search for the prompts' distance."""
    means = excess.mean(axis=0)
    left = (margin - means) ** 2 - runs**2
    possible = (means < margin) & (left > 0)
    tested = np.where(possible, means + np.sqrt(np.maximum(left, 0)), 0.5)
    wealth = peak_wealth((excess + 1) / 2, (tested[None] + 1) / 2, np.full((1, len(means)), LEVEL))[0]
    below: NDArray[np.bool_] = possible & (wealth >= 1)
    return below


def recorded(files: Sequence[Path]) -> None:
    """Every assignment of equal runs to baseline, controls and candidate: what the verdict on a margin is."""
    print("| column | controls | assignments | largest excess | " + " | ".join(f"{m:g}" for m in MARGINS) + " |")
    print("|---" * (4 + len(MARGINS)) + "|")
    for name, lower_is_better, similarity in _columns(files):
        for controls in CONTROLS:
            studies = list(_assignments(-similarity if lower_is_better else similarity, controls))
            largest = max(float(np.mean(floor.mean(axis=0) - candidate.mean(axis=0))) for candidate, floor in studies)
            cells = []
            for margin in MARGINS:
                passes, passes_alone, fails, fails_alone = _judged(studies, margin)
                cells.append(f"{fails:.1f} / {passes:.0f} ({fails_alone:.1f} / {passes_alone:.0f})")
            print(
                "| " + " | ".join([name, str(controls), str(len(studies)), f"{largest:.3f}", *cells]) + " |", flush=True
            )


def _assignments(similarity: Floats, controls: int) -> Iterator[tuple[Floats, Floats]]:
    """Candidate and floor of each; the order of the baseline's runs matters to one reference alone, so all begin."""
    for candidate in range(len(similarity)):
        others = [run for run in range(len(similarity)) if run != candidate]
        for chosen in combinations(others, controls + 1):
            for first in chosen:
                references = [first, *(run for run in chosen if run != first)]
                floor = np.array([similarity[a, b] for a, b in combinations(references, 2)])
                yield np.array([similarity[run, candidate] for run in references]), floor


def _columns(files: Sequence[Path]) -> Iterator[tuple[str, bool, Floats]]:
    """Columns for margins: name, whether lower is better, and values, runs x runs x prompts in reading order."""
    answers, asked = [generations(file) for file in files], prompts_by_id(files)
    ids = [list(asked)[place] for place in reading_order(list(asked))]
    both = [(a, b) for a, b in product(range(len(files)), repeat=2) if a != b]
    pairs = [Pair(asked[i], answers[a][i], answers[b][i]) for a, b in both for i in ids]
    for metric in default_metrics():
        if metric.reads_token_scores or "encoder" in metric.needs or metric.inapplicable(pairs):
            continue
        for column in metric.fit(pairs).score(pairs):
            if column.better == "neither" or column.bounds is None or column.weights is not None or "[" in column.name:
                continue
            values = np.array([np.nan if value is None else value for value in column.values])
            similarity = np.zeros((len(files), len(files), len(ids)))
            similarity[tuple(np.array(both).T)] = values.reshape(len(both), len(ids))
            known = ~np.isnan(similarity).any(axis=(0, 1))
            if known.sum() >= 50 and np.ptp(similarity[tuple(np.array(both).T)][:, known]):
                yield metric.named(column.name), column.better == "lower", similarity[:, :, known]


def generations(file: Path) -> dict[str, Generation]:
    """A recorded run's answers by prompt id."""
    lines = map(json.loads, file.read_text().splitlines())
    return {
        line["id"]: Generation(
            line["id"], line["text"], tuple(line["token_ids"]), finish_reason=line.get("finish_reason")
        )
        for line in lines
    }


def prompts_by_id(files: Sequence[Path]) -> dict[str, Prompt]:
    """The prompts that all runs answered; those of the starter set with their texts, which recordings may leave out."""
    texts = {prompt.id: prompt for prompt in load_prompts(STARTER)}
    answered = [generations(file) for file in files]
    common = [prompt_id for prompt_id in answered[0] if all(prompt_id in run for run in answered)]
    return {prompt_id: texts.get(prompt_id, Prompt(prompt_id, "")) for prompt_id in common}


if __name__ == "__main__":
    main()
