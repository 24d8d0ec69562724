"""Do the statistics hold what they promise? A simulation; prints the tables of docs/statistics.md as Markdown.

    python benchmarks/calibration.py [--part bounds|sharper|runs|bootstrap|power|speed] [--studies 2000]

Every study has its true excess exactly at the margin: each "pass" is wrong. Takes a few minutes on two cores.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import LCSseq

from fidelity.stats import Interval, bca_intervals, betting_bound, prompts_needed, studentised_intervals, tail_excess
from fidelity.stats.betting import peak_wealth, upper_bounds

Floats = NDArray[np.float64]
RECORDINGS = Path(__file__).parents[1] / "fidelity" / "sample_data" / "h100-smollm2-135m"
SIZES = (50, 200, 500)
LEVEL = 0.05
RESAMPLES = 4_000
"""Fewer than the 10,000 that users get, as there are thousands of studies."""


@dataclass(frozen=True)
class Scenario:
    """A distribution of the excess on [-1, 1] and its mean."""

    name: str
    draw: Callable[[np.random.Generator, tuple[int, int]], Floats]
    mean: float


def dense(rng: np.random.Generator, shape: tuple[int, int], *, a: float, b: float) -> Floats:
    """Every prompt loses something, most a little."""
    return rng.beta(a, b, shape)


def broken(rng: np.random.Generator, shape: tuple[int, int], *, share: float) -> Floats:
    """A share of the prompts loses everything, the rest nothing."""
    return (rng.random(shape) < share).astype(np.float64)


def noise(rng: np.random.Generator, shape: tuple[int, int], *, a: float, b: float) -> Floats:
    """Control and candidate are alike: similarities drawn independently from one distribution."""
    return rng.beta(a, b, shape) - rng.beta(a, b, shape)


def resampled(rng: np.random.Generator, shape: tuple[int, int], *, excess: Floats) -> Floats:
    """The recordings' prompts, with replacement."""
    return rng.choice(excess, shape)


def scenarios(recordings: Path) -> list[Scenario]:
    """Those of the issue, a narrow one, and four from the recordings."""
    made = [
        Scenario("dense, skewed (sd 0.12)", partial(dense, a=0.5, b=4.5), 0.1),
        Scenario("dense, narrow (sd 0.07)", partial(dense, a=2, b=18), 0.1),
        Scenario("5% broken", partial(broken, share=0.05), 0.05),
        Scenario("1% broken", partial(broken, share=0.01), 0.01),
        Scenario("no effect, symmetric (sd 0.17)", partial(noise, a=8, b=2), 0.0),
    ]
    for candidate, column in [("w8a8-fp8", "lcs"), ("w4a16", "prefix"), ("bf16-eager", "lcs"), ("bf16-serial", "lcs")]:
        excess = recorded_excess(recordings, candidate, column)
        name = f"recorded {candidate}, {column} (sd {excess.std():.2f})"
        made.append(Scenario(name, partial(resampled, excess=excess), float(excess.mean())))
    return made


def recorded_excess(recordings: Path, candidate: str, column: str) -> Floats:
    """Similarity of bf16 and its control minus that of bf16 and the candidate, prompt by prompt, on token ids."""
    tokens = {name: read_tokens(recordings / f"{name}.jsonl") for name in ("bf16", "bf16-rev", candidate)}
    similarity = {"lcs": longest_common_share, "prefix": prefix_share}[column]
    pairs = [(one, tokens["bf16-rev"][name], tokens[candidate][name]) for name, one in tokens["bf16"].items()]
    return np.array([similarity(one, control) - similarity(one, other) for one, control, other in pairs])


def read_tokens(path: Path) -> dict[str, list[int]]:
    """Token ids of each prompt id."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {line["id"]: line["token_ids"] for line in lines}


def longest_common_share(a: Sequence[int], b: Sequence[int]) -> float:
    """ROUGE-L's F on token ids."""
    return 2 * LCSseq.similarity(a, b) / (len(a) + len(b))


def prefix_share(a: Sequence[int], b: Sequence[int]) -> float:
    """Tokens before the first differing one, as a share of the longer."""
    same = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return same / max(len(a), len(b))


def drawn(scenario: Scenario, n: int, studies: int, seed: int) -> Floats:
    """Prompts x studies."""
    return scenario.draw(np.random.default_rng([seed, n, *scenario.name.encode()]), (n, studies))


def bound_row(scenario: Scenario, n: int, studies: int, seed: int) -> list[str]:
    """One scenario and size: how often each bound passes wrongly, and the median distance from mean to bound."""
    excess = drawn(scenario, n, studies, seed)
    x, margin = (excess + 1) / 2, (scenario.mean + 1) / 2
    means, levels = np.full((1, studies), margin), np.full((1, studies), LEVEL)
    passed = [(peak_wealth(x, means, levels, planned=planned) >= 1).mean() for planned in (None, n)]
    failed = (peak_wealth(1 - x, 1 - means, levels) >= 1).mean()
    bca = np.array([one.high for one in bootstrapped(excess, 1 - 2 * LEVEL, seed)], dtype=np.float64)
    distances = [np.median(bca - excess.mean(axis=0))]
    fixed, any_time = upper_bounds(x, LEVEL), upper_bounds(x, LEVEL, planned=n)
    papers = upper_bounds(x, LEVEL, bets="plug_in")
    distances += [np.median(2 * upper - 1 - excess.mean(axis=0)) for upper in (fixed, any_time, papers)]
    distances.append((1 - scenario.mean) * (1 - (2 * LEVEL) ** (1 / n)))
    ratios = [f"{one / distances[0]:.2f}" if distances[0] > 0 else "-" for one in distances[1:]]
    wrong = [*passed, failed, (bca < scenario.mean).mean()]
    return [scenario.name, str(n), *(f"{100 * one:.1f}" for one in wrong), f"{distances[0]:.4f}", *ratios]


def bootstrapped(excess: Floats, confidence: float, seed: int) -> list[Interval]:
    """BCa intervals of each study, a hundred studies to the same resamples."""
    names = [str(i) for i in range(len(excess))]
    blocks = range(0, excess.shape[1], 100)
    return [
        interval
        for block in blocks
        for interval in bca_intervals(
            names, excess.T[block : block + 100], confidence=confidence, resamples=RESAMPLES, seed=seed + block
        )
    ]


def covered(intervals: Sequence[Interval], true: float) -> float:
    """Share of the intervals that hold the true value."""
    ends = np.array([(one.low, one.high) for one in intervals], dtype=np.float64)
    return float(((ends[:, 0] <= true) & (true <= ends[:, 1])).mean())


def coverage_row(scenario: Scenario, studies: int, seed: int) -> list[str]:
    """How often the two-sided 95% BCa interval covers, and the tail's one-sided 95% bounds."""
    cells = [scenario.name]
    for n in SIZES:
        intervals = bootstrapped(drawn(scenario, n, studies, seed + 1), 0.95, seed)
        cells.append(f"{100 * covered(intervals, scenario.mean):.1f}")
    return cells


def studentised_row(sigma: float, studies: int, seed: int) -> list[str]:
    """Coverage of the studentised interval for a column without a range: the difference of two log-normals."""
    cells = [f"log-normal({sigma}) minus 1.2 of the like"]
    mean = -0.2 * np.exp(sigma**2 / 2)
    for n in SIZES:
        rng = np.random.default_rng([seed, n])
        values = rng.lognormal(0, sigma, (studies, n)) - 1.2 * rng.lognormal(0, sigma, (studies, n))
        names = [str(i) for i in range(n)]
        intervals = [
            interval
            for block in range(0, studies, 100)
            for interval in studentised_intervals(names, values[block : block + 100], resamples=RESAMPLES, seed=block)
        ]
        cells.append(f"{100 * covered(intervals, mean):.1f}")
    return cells


def tail_row(shape: tuple[float, float], n: int, studies: int, seed: int) -> list[str]:
    """How often each end of the tail's 90% interval is wrong: control beta(8, 2), candidate another beta."""
    from scipy.stats import beta

    rng = np.random.default_rng([seed, n])
    true = beta(8, 2).ppf(0.05) - beta(*shape).ppf(0.05)
    names = [str(i) for i in range(n)]
    wrong = np.zeros(2)
    for study in range(studies):
        control, candidate = rng.beta(8, 2, n), rng.beta(*shape, n)
        interval = tail_excess(names, [control], [candidate], confidence=0.9, resamples=1000, seed=study)
        ends = np.array([interval and interval.high, interval and interval.low], dtype=np.float64)
        wrong += (ends - true) * [1, -1] < 0
    return [f"beta{shape}", str(n), *(f"{100 * one / studies:.1f}" for one in wrong)]


def power_row(shape: tuple[float, float], margin: float, sizes: Sequence[int], studies: int, seed: int) -> list[str]:
    """How often a candidate without excess passes, by number of prompts; and with how many it is decided early."""
    a, b = shape
    scenario = Scenario(f"{a},{b}", partial(noise, a=a, b=b), 0.0)
    means, levels = np.full((1, studies), (margin + 1) / 2), np.full((1, studies), LEVEL)
    spread = drawn(scenario, 1000, 100, seed).std()
    cells = [f"{spread:.2f}", f"{margin:g}"]
    for n in sizes:
        x = (drawn(scenario, n, studies, seed) + 1) / 2
        cells.append(f"{100 * (peak_wealth(x, means, levels) >= 1).mean():.0f}")
    planned, looks = 500, range(10, 501, 10)
    x = (drawn(scenario, planned, studies, seed) + 1) / 2
    undecided = [(peak_wealth(x[:look], means, levels, planned=planned) < 1).mean() for look in looks]
    cells.append(f"{100 * (1 - undecided[-1]):.0f} with {10 * (1 + sum(undecided[:-1])):.0f}")
    pilot = betting_bound([str(i) for i in range(200)], drawn(scenario, 200, 1, seed)[:, 0], low=-1, high=1)
    needed = prompts_needed(pilot, (pilot.mean or 0.0) + margin) or 0
    reached = peak_wealth((drawn(scenario, needed, studies, seed + 2) + 1) / 2, means, levels)
    return [*cells, f"{needed} ({100 * (reached >= 1).mean():.0f})"]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print as Markdown."""
    for row in [header, ["---"] * len(header), *rows]:
        print("| " + " | ".join(row) + " |", flush=True)
    print(flush=True)


def bounds(studies: int, recordings: Path, seed: int) -> None:
    """Calibration and width of the bounds."""
    error = 100 * (LEVEL + 1.96 * np.sqrt(LEVEL * (1 - LEVEL) / studies))
    print(f"## Wrong verdicts in % ({studies} studies: up to {error:.1f} is chance), and distance from mean to bound\n")
    cases = [(scenario, n) for scenario in scenarios(recordings) for n in SIZES]
    with ProcessPoolExecutor(2) as pool:
        jobs = [pool.submit(bound_row, scenario, n, studies, seed) for scenario, n in cases]
        rows = [job.result() for job in jobs]
    wrong = ["passes", "passes, any time", "fails", "BCa below truth"]
    widths = ["BCa distance", "fixed / BCa", "any-time / BCa", "paper's bets / BCa", "least possible / BCa"]
    table(["excess", "n", *wrong, *widths], rows)


def sharper(studies: int, recordings: Path, seed: int) -> None:
    """Gaffke's bound, which nobody has proven: how often it is wrong, and how far it is from the mean."""
    print("## Gaffke's bound (conjectured): wrong passes in %, and median distance from mean to bound over BCa's\n")
    rows = []
    for scenario in scenarios(recordings):
        for n in (72, *SIZES[1:]):
            excess = drawn(scenario, n, studies, seed)
            upper = gaffke_bounds((excess + 1) / 2, np.random.default_rng(seed))
            betting = upper_bounds((excess + 1) / 2, LEVEL)
            distances = [np.median(2 * bound - 1 - excess.mean(axis=0)) for bound in (upper, betting)]
            wrong = [100 * (2 * bound - 1 <= scenario.mean).mean() for bound in (upper, betting)]
            rows.append([scenario.name, str(n), *(f"{w:.1f}" for w in wrong), *(f"{d:.4f}" for d in distances)])
    table(["excess", "n", "Gaffke wrong", "betting wrong", "Gaffke distance", "betting distance"], rows)


def gaffke_bounds(x: Floats, rng: np.random.Generator, *, draws: int = 4000) -> Floats:
    """Upper bounds for means of columns in [0, 1] (Gaffke 2005; Learned-Miller & Thomas 2020): prompts x columns.

    The 95th percentile of a mean whose weights are a uniform draw from the simplex over the values and a 1.
    """
    weights = rng.exponential(size=(draws, len(x) + 1))
    weights /= weights.sum(axis=1, keepdims=True)
    ordered = np.concatenate([np.sort(x, axis=0), np.ones((1, x.shape[1]))])
    bounds: Floats = np.quantile(weights @ ordered, 1 - LEVEL, axis=0)
    return bounds


def runs(studies: int, recordings: Path, seed: int) -> None:
    """Noise that the prompts of a chunk share."""
    file = Path(__file__).with_name("run_noise.py")
    subprocess.run([sys.executable, str(file), "--studies", str(studies), "--seed", str(seed)], check=True)


def bootstraps(studies: int, recordings: Path, seed: int) -> None:
    """Coverage of the bootstrap intervals."""
    with ProcessPoolExecutor(2) as pool:
        means = [pool.submit(coverage_row, scenario, studies, seed) for scenario in scenarios(recordings)]
        studentised = [pool.submit(studentised_row, sigma, studies, seed) for sigma in (0.5, 1.0)]
        cases = [(shape, n) for shape in ((8.0, 2.0), (4.0, 2.0)) for n in (200, 500)]
        tails = [pool.submit(tail_row, shape, n, studies // 2, seed) for shape, n in cases]
        print("## Coverage of two-sided 95% BCa intervals for the mean, in %\n")
        table(["excess", *(f"n = {n}" for n in SIZES)], [job.result() for job in means])
        print("## Coverage of two-sided 95% studentised intervals, in %\n")
        table(["values", *(f"n = {n}" for n in SIZES)], [job.result() for job in studentised])
        print("## The tail's one-sided 95% bounds on the wrong side, in %\n")
        table(["candidate", "n", "upper below truth", "lower above truth"], [job.result() for job in tails])


def power(studies: int, recordings: Path, seed: int) -> None:
    """How often a candidate as good as the baseline passes."""
    sizes = (50, 100, 200, 500, 1000)
    cases = [(shape, margin) for shape in ((80.0, 20.0), (8.0, 2.0), (2.0, 0.5)) for margin in (0.02, 0.05, 0.1)]
    with ProcessPoolExecutor(2) as pool:
        jobs = [pool.submit(power_row, shape, margin, sizes, studies, seed) for shape, margin in cases]
        rows = [job.result() for job in jobs]
    print("## A candidate without excess passes, in % of studies; any time: looked at after every 10 of 500 prompts\n")
    more = ["any time: % with prompts", "said to be needed for 80% (and got)"]
    table(["spread", "margin", *(f"n = {n}" for n in sizes), *more], rows)


def speed(studies: int, recordings: Path, seed: int) -> None:
    """Time and memory: 10,000 resamples for 30 columns over 10,000 prompts, one of them with gaps; and the bounds."""
    rng = np.random.default_rng(seed)
    names = [f"prompt-{i}" for i in range(10_000)]
    columns = rng.normal(size=(30, 10_000))
    columns[3, ::7] = np.nan
    rows = []

    def timed(name: str, call: Callable[[], object]) -> None:
        wall, processor = time.perf_counter(), time.process_time()
        call()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        times = [time.perf_counter() - wall, time.process_time() - processor]
        rows.append([name, *(f"{one:.2f}" for one in times), f"{peak:.0f}"])

    timed("30 columns x 10,000 prompts, means: BCa", lambda: bca_intervals(names, columns))
    timed("30 columns x 10,000 prompts, means: studentised", lambda: studentised_intervals(names, columns))
    timed("1 column x 10,000 prompts, median", lambda: bca_intervals(names, columns[:1], statistic="median"))
    timed("tail over 10,000 prompts", lambda: tail_excess(names, columns[:1], columns[1:2]))
    for n in (100, 500, 10_000):
        values = np.tanh(columns[0, :n])
        timed(f"bounds over {n:,} prompts", partial(betting_bound, names[:n], values, low=-1, high=1))
    print("## Time and memory\n")
    table(["10,000 resamples each", "seconds", "processor seconds", "peak MiB so far"], rows)


def main() -> None:
    """Run one part, or each in a process of its own."""
    parts = {
        "bounds": bounds,
        "sharper": sharper,
        "runs": runs,
        "bootstrap": bootstraps,
        "power": power,
        "speed": speed,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=sorted(parts))
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--recordings", type=Path, default=RECORDINGS)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    if chosen.part:
        parts[chosen.part](chosen.studies, chosen.recordings, chosen.seed)
        return
    for study in parts:
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--part", study], check=True)


if __name__ == "__main__":
    main()
