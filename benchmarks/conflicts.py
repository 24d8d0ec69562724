"""Recall and false alarms of `conflicts`, by kind, on real answers with edits that are known; and its speed.

    python benchmarks/conflicts.py DIRECTORY [--split development | "held out"] [--seed 0] [--show KIND]

DIRECTORY holds Arena-Hard's `answers-gpt-4-0314.jsonl` (development) and `answers-gpt-4-0613.jsonl` (held out). For
each kind, 200 answers: one fatal edit in each of 40 (a candidate of its own for each kind), and harmless paraphrases
in a third of the candidate and, independently, of a control. Recall is the share of the 40 that the kind's column
shows; a false alarm is a 1 in the column of an answer without an edit, of the candidate or the control. The held-out
half has other answers, other words for edits and other paraphrases; it was not looked at while the metric was made.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.edits import INSERTS, KINDS, edits_of
from benchmarks.paraphrases import paraphrase
from fidelity.text.conflicts import TextComparison, compare_texts

ANSWERS, EDITED = 200, 40
FILES = {"development": "answers-gpt-4-0314.jsonl", "held out": "answers-gpt-4-0613.jsonl"}
COLUMN = {"sql": "code"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--split", choices=list(FILES), default="development")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", choices=list(KINDS), help="print what was missed, and what was a false alarm")
    options = parser.parse_args()
    texts = answers(options.directory / FILES[options.split])
    print("| kind | edits | found | recall | false alarms | of | rate | any, of unedited |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for kind in KINDS:
        measure(kind, texts, options.split, options.seed, show=options.show == kind)
    speed(options.directory)


def answers(path: Path) -> list[str]:
    """The texts of a file of answers."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line)["messages"][-1]["content"]["answer"] for line in lines]


def measure(kind: str, texts: list[str], split: str, seed: int, *, show: bool) -> None:
    """One row of the table."""
    rng = random.Random(f"{seed} {kind} {split}")
    baseline = rng.sample(texts, ANSWERS)
    if kind in INSERTS:
        baseline = [INSERTS[kind][0](text) for text in baseline]
    edited = edit_some(kind, baseline, rng, split)
    control, candidate = ([harmless(kind, text, rng, split) for text in side] for side in (baseline, baseline))
    for i, (_, text) in edited.items():
        candidate[i] = harmless(kind, text, rng, split, whole=True)
    hits, missed, alarms, any_alarm = 0, Counter[str](), 0, 0
    column = COLUMN.get(kind, kind)
    for i, text in enumerate(baseline):
        compared = compare_texts(text, candidate[i])
        hit = any(conflict.kind == column for conflict in compared.conflicts)
        if i in edited:
            hits += hit
            missed[edited[i][0]] += not hit
            if show and not hit:
                print(f"missed {edited[i][0]}: {_changed(text, edited[i][1])}\n")
            continue
        for other in (compared, compare_texts(text, control[i])):
            alarms += any(conflict.kind == column for conflict in other.conflicts)
            any_alarm += bool(other.conflicts)
            if show:
                _print_alarms(other, text, candidate[i] if other is compared else control[i])
    unedited = 2 * (ANSWERS - len(edited))
    if show:
        print(missed)
    row = [kind, len(edited), hits, f"{hits / len(edited):.3f}", alarms, unedited, f"{alarms / unedited:.4f}"]
    print(f"| {' | '.join(map(str, row))} | {any_alarm / unedited:.4f} |")


def edit_some(kind: str, baseline: list[str], rng: random.Random, split: str) -> dict[int, tuple[str, str]]:
    """The answers that are edited, by index: the edit's name and the new text."""
    edited = {}
    edits = list(edits_of(kind))
    for i in rng.sample(range(len(baseline)), len(baseline)):
        for name, edit in rng.sample(edits, len(edits)):
            text = edit(baseline[i], rng, split)
            if text is not None and text != baseline[i]:
                edited[i] = name, text
                break
        if len(edited) == EDITED:
            break
    return edited


def harmless(kind: str, text: str, rng: random.Random, split: str, *, whole: bool = False) -> str:
    """A third of the texts, paraphrased."""
    if rng.random() >= 1 / 3:
        return text
    text = INSERTS[kind][1](text, rng) if kind in INSERTS else text
    return paraphrase(text, rng, split, whole=whole)


def _changed(a: str, b: str) -> str:
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return f"{a[max(0, start - 80) : start + 60]!r} -> {b[start : start + 40]!r}"


def _print_alarms(compared: TextComparison, baseline: str, candidate: str) -> None:
    for conflict in compared.conflicts:
        (a, b), (c, d) = conflict.baseline, conflict.candidate
        print(f"alarm {conflict.kind} {conflict.severity:.2f}: {baseline[a:b]!r} / {candidate[c:d]!r}")
        print(f"   {baseline[max(0, a - 100) : b + 60]!r}\n   {candidate[max(0, c - 100) : d + 60]!r}\n")


def speed(directory: Path) -> None:
    """CPU seconds for 500 pairs of different models' answers, and for texts of 1,000 to 8,000 words."""
    left, right = (answers(directory / name) for name in FILES.values())
    started = time.process_time()
    for a, b in zip(left, right, strict=True):
        compare_texts(a, b)
    print(f"\n500 pairs of two models' answers: {time.process_time() - started:.1f} CPU s")
    for words in (1_000, 2_000, 4_000, 8_000):
        a, b = (" ".join(" \n\n".join(side).split(" ")[:words]) for side in (left, right))
        started = time.process_time()
        compare_texts(a, b)
        print(f"{words} words: {time.process_time() - started:.2f} CPU s")


if __name__ == "__main__":
    main()
