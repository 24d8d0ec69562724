"""Processor time of each metric on long and on hostile texts, up to the limit that is scored.

    python benchmarks/long_texts.py

Prose is random words, so its two texts have little in common: the slowest case of an alignment. Times are of one pair.
"""

import random
import time

from fidelity.comparison.lengths import LONGEST_TEXT
from fidelity.metrics import metric_of_kind
from fidelity.records import Generation, Pair, Prompt

KINDS = ("rouge", "edit", "chrf", "facts", "conflicts", "markdown", "code", "breaks")
LETTERS = "abcdefghij"


def seconds(kind: str, baseline: str, candidate: str) -> float:
    """Processor seconds for one pair, after a first one that loads what the metric needs."""
    metric = metric_of_kind(kind)
    metric.score([_pair("warm 1", "up 2")])
    began = time.process_time()
    metric.score([_pair(baseline, candidate)])
    return time.process_time() - began


def prose(size: int, seed: int) -> str:
    """Random words, a period after some."""
    vocabulary = random.Random(0)
    words = ["".join(vocabulary.choices(LETTERS, k=vocabulary.randint(2, 9))) for _ in range(5000)]
    draw = random.Random(seed)
    text = (f"{draw.choice(words)}{'.' if draw.random() < 0.08 else ''} " for _ in range(size))
    return "".join(text)[:size]


def _pair(baseline: str, candidate: str) -> Pair:
    return Pair(Prompt("p", ""), Generation("p", baseline), Generation("p", candidate))


def main() -> None:
    """Print a table."""
    brackets, dates = "[" * 24_000 + "]" * 24_000, "2020-01-" * 5000
    cases = {f"prose {size // 1000} KB": (prose(size, 1), prose(size, 2)) for size in (125_000, 250_000, LONGEST_TEXT)}
    cases |= {"brackets 48 KB": (brackets, brackets[:-7] + " x"), "dates 40 KB": (dates, dates[:20_000] + " x")}
    print(f"{'seconds':16}" + "".join(f"{kind:>10}" for kind in KINDS))
    for name, texts in cases.items():
        print(f"{name:16}" + "".join(f"{seconds(kind, *texts):10.2f}" for kind in KINDS), flush=True)


if __name__ == "__main__":
    main()
