"""chrF against the package sacrebleu, in one run: the same numbers, and how many times faster.

    python benchmarks/chrf.py DIRECTORY

DIRECTORY holds Arena-Hard's `answers-gpt-4-0314.jsonl` (here the baseline) and `answers-gpt-4-0613.jsonl` (the
candidate). Both sides compute chrF and chrF++ of the same pairs; sacrebleu by `CHRF(...).sentence_score`. Times are CPU
seconds, taken in turn; the ratio is the median of the rounds, with the interval that holds the true median at 95%
(order statistics, the binomial distribution). "One count" is what sacrebleu needs at least: its n-grams of characters
are counted once for both scores, by functions that aren't public.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from sacrebleu.metrics import CHRF
from scipy.stats import binom

from fidelity.metrics.chrf import Chrf
from fidelity.records import Generation, Pair, Prompt

LENGTHS = (300, 1000, None)
"""Characters of a text; None is all of them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    real = list(zip(*(answers(arguments.directory, name) for name in ("gpt-4-0314", "gpt-4-0613")), strict=True))
    print("| characters | pairs/s | times faster (95%) | than one count | largest difference |")
    print("|---|---:|---:|---:|---:|")
    for length in LENGTHS:
        texts = [(baseline[:length], candidate[:length]) for baseline, candidate in real]
        print(row(length, texts, arguments.rounds), flush=True)


def row(length: int | None, texts: Sequence[tuple[str, str]], rounds: int) -> str:
    pairs = [Pair(Prompt("p", ""), Generation("p", a), Generation("p", b)) for a, b in texts]
    package, once, own = [], [], []
    for _ in range(rounds):
        seconds, expected = timed(lambda: by_sacrebleu(texts))
        package.append(seconds)
        once.append(timed(lambda: by_one_count(texts))[0])
        seconds, columns = timed(lambda: [column.values for column in Chrf().score(pairs)])
        own.append(seconds)
    worst = max(abs(x - y) for a, b in zip(expected, columns, strict=True) for x, y in zip(a, b, strict=True))
    ratio, low, high = median([a / b for a, b in zip(package, own, strict=True)])
    less, *_ = median([a / b for a, b in zip(once, own, strict=True)])
    speed = f"{len(pairs) / statistics.median(own):,.0f} | {ratio:.1f} ({low:.1f} to {high:.1f}) | {less:.1f}"
    return f"| {length or 'all'} | {speed} | {worst:.0e} |"


def median(values: Sequence[float]) -> tuple[float, float, float]:
    """The median with the narrowest interval of order statistics that covers it at 95%."""
    ordered = sorted(values)
    cut = max(int(binom.ppf(0.025, len(ordered), 0.5)) - 1, 0)
    return statistics.median(ordered), ordered[cut], ordered[-1 - cut]


T = TypeVar("T")


def timed(compute: Callable[[], T]) -> tuple[float, T]:
    start = time.process_time()
    result = compute()
    return time.process_time() - start, result


def by_sacrebleu(texts: Sequence[tuple[str, str]]) -> list[list[float]]:
    metrics = CHRF(), CHRF(word_order=2)
    return [[metric.sentence_score(b, [a]).score / 100 for a, b in texts] for metric in metrics]


def by_one_count(texts: Sequence[tuple[str, str]]) -> None:
    plain, plus = CHRF(), CHRF(word_order=2)
    for baseline, candidate in texts:
        (counts,) = plus._extract_corpus_statistics([candidate], [[baseline]])
        plain._compute_f_score(counts[:18])
        plus._compute_f_score(counts)


def answers(directory: Path, model: str) -> list[str]:
    lines = (directory / f"answers-{model}.jsonl").read_text(encoding="utf-8").splitlines()
    records = sorted(map(json.loads, lines), key=lambda record: record["uid"])
    return [record["messages"][-1]["content"]["answer"] for record in records]


if __name__ == "__main__":
    main()
