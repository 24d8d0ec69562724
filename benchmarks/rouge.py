"""ROUGE against the package rouge-score, in one run: the same numbers, and how many times faster.

    python benchmarks/rouge.py DIRECTORY

DIRECTORY holds Arena-Hard's `answers-gpt-4-0314.jsonl` (here the baseline) and `answers-gpt-4-0613.jsonl` (the
candidate). Both sides read the same two texts, one pair per call, with the package's tokenizer. Times are medians of
five, taken in turn, in CPU seconds: neither side waits for anything, and other work on the machine does not count.
"""

import argparse
import json
import random
import re
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rouge_score.rouge_scorer import RougeScorer

from fidelity.metrics.rouge import Rouge
from fidelity.records import Generation, Pair, Prompt

COLUMNS = ["rouge1", "rouge2", "rougeL"]
ALL_COLUMNS = [*COLUMNS, "rougeLsum"]
ROWS = [
    (COLUMNS, 256, 40),
    (COLUMNS, 1024, 200),
    (COLUMNS, 4096, 400),
    (ALL_COLUMNS, 256, None),
    (ALL_COLUMNS, 1024, None),
]
"""What is computed together, on how many words a text, and how many times faster than the package this should be."""
ROUNDS = 5
TOLERANCE = 1e-12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--random", type=int, default=10_000, help="random pairs to compare")
    arguments = parser.parse_args()
    real = list(zip(*(answers(arguments.directory, name) for name in ("gpt-4-0314", "gpt-4-0613")), strict=True))
    print(f"{len(real)} real pairs: largest difference {largest_difference(real):.1e}")
    print_distance_of_the_default(real)
    print(
        f"{arguments.random} random pairs: largest difference {largest_difference(random_pairs(arguments.random)):.1e}"
    )
    print("\n| columns | words | rouge-score | fidelity | times faster | aim |\n|---|---|---|---|---|---|")
    for columns, length, aim in ROWS:
        package, own = speed(*(text_of(side, length) for side in zip(*real, strict=True)), columns)
        numbers = f"{package * 1e3:.1f} ms | {own * 1e3:.3f} ms | {package / own:.0f}"
        print(f"| {' '.join(columns)} | {length} | {numbers} | {aim or '-'} |", flush=True)


def print_distance_of_the_default(pairs: list[tuple[str, str]]) -> None:
    """How far `tokenizer: unicode` is from the package."""
    both = [pair(*texts) for texts in pairs]
    columns = zip(Rouge().score(both), Rouge(tokenizer="rouge_score").score(both), strict=True)
    for default, package in columns:
        differences = [a - b for a, b in zip(default.values, package.values, strict=True)]
        equal = sum(abs(d) < TOLERANCE for d in differences) / len(differences)
        print(
            f"the default's {default.name}: equal in {equal:.1%} of the pairs, mean difference "
            f"{statistics.fmean(differences):+.5f}, largest {max(map(abs, differences)):.3f}"
        )


def answers(directory: Path, model: str) -> list[str]:
    """The model's answers in the order of their prompts' ids."""
    lines = (directory / f"answers-{model}.jsonl").read_text(encoding="utf-8").splitlines()
    records = sorted(map(json.loads, lines), key=lambda record: record["uid"])
    contents = [record["messages"][-1]["content"] for record in records]
    return [content["answer"] if isinstance(content, dict) else content for content in contents]


def random_pairs(count: int) -> Iterator[tuple[str, str]]:
    """Short texts from few words, because they must share some; several lines, punctuation, other scripts."""
    rng = random.Random(0)
    words = [*"abcdefgh", "The", "cat's", "-3", "3.14", "naïve", "ÀÉ", "人工", "don't", "\n", "\n\n", "...", ""]
    for _ in range(count):
        baseline, candidate = (" ".join(rng.choices(words, k=rng.randrange(60))) for _ in range(2))
        yield baseline, candidate


def largest_difference(pairs: list[tuple[str, str]] | Iterator[tuple[str, str]]) -> float:
    """Over F1, precision and recall of all four; more than the tolerance ends the run."""
    scorer = RougeScorer(ALL_COLUMNS)
    metric = Rouge(tokenizer="rouge_score", parts="all")
    largest = 0.0
    for baseline, candidate in pairs:
        own = {column.name: column.values[0] for column in metric.score([pair(baseline, candidate)])}
        for name, score in scorer.score(baseline, candidate).items():
            package = {name: score.fmeasure, f"{name}_precision": score.precision, f"{name}_recall": score.recall}
            largest = max(largest, *(abs(value - (own[key] or 0.0)) for key, value in package.items()))
        if largest > TOLERANCE:
            raise SystemExit(f"rouge-score differs by {largest}:\n{baseline!r}\n{candidate!r}")
    return largest


def text_of(texts: tuple[str, ...], length: int) -> str:
    """The first so many words of all texts, one after another, with their white space."""
    pieces = re.findall(r"\s*\S+", "\n\n".join(texts))
    return "".join(pieces[:length])


def speed(baseline: str, candidate: str, columns: list[str]) -> tuple[float, float]:
    """Seconds for one pair: the package's, and fidelity's."""
    scorer = RougeScorer(columns)
    metric = Rouge(tokenizer="rouge_score", lsum="rougeLsum" in columns)
    pairs = [pair(baseline, candidate)]
    rounds = [
        (seconds(lambda: scorer.score(baseline, candidate)), seconds(lambda: metric.score(pairs), repeat=20))
        for _ in range(ROUNDS)
    ]
    package, own = zip(*rounds, strict=True)
    return statistics.median(package), statistics.median(own)


def seconds(call: Callable[[], object], *, repeat: int = 1) -> float:
    start = time.process_time()
    for _ in range(repeat):
        call()
    return (time.process_time() - start) / repeat


def pair(baseline: str, candidate: str) -> Pair:
    return Pair(Prompt("p", ""), Generation("p", baseline), Generation("p", candidate))


if __name__ == "__main__":
    main()
