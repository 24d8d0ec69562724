"""The default metrics over Arena-Hard's answers: seconds from cold and from cache, peak memory, and the longest case.

    python benchmarks/sts.py DIRECTORY ENCODER

DIRECTORY holds `answers-gpt-4-0314.jsonl` (here the baseline) and `answers-gpt-4-0613.jsonl` (the candidate), ENCODER
is a directory, such as a copy of all-MiniLM-L6-v2. Every row is a process of its own, imports included; "cold" starts
with an empty cache of embeddings, "cached" with the one that the row above left. CPU time beside wall time, for
machines that do other work. At the end, `chunk: false` against sentence-transformers' own encode() and cosine.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LONGEST = 32_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("encoder")
    parser.add_argument("--pairs", type=int, default=500)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments, *arguments.child)
        return
    print("| | wall s | CPU s | peak MiB | of it, s |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as cache:
        row(f"default set, {arguments.pairs} pairs, cold", "default", cache, arguments.pairs)
        row(f"default set, {arguments.pairs} pairs, cached", "default", cache, arguments.pairs)
    with tempfile.TemporaryDirectory() as cache:
        row(f"default set, {arguments.pairs // 4} pairs, cold", "default", cache, arguments.pairs // 4)
    with tempfile.TemporaryDirectory() as cache:
        row(f"sts, two texts of {LONGEST} words, cold", "longest", cache, 1)
    with tempfile.TemporaryDirectory() as cache:
        row("sts, chunk: false, against encode()", "package", cache, arguments.pairs)


def row(title: str, what: str, cache: str, pairs: int) -> None:
    wall, before = time.perf_counter(), os.times()
    command = [sys.executable, *sys.argv, "--pairs", str(pairs), "--child", what, cache]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split("\n")[-2]
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    peak, detail = said.split(" ", 1)
    print(f"| {title} | {time.perf_counter() - wall:.1f} | {cpu:.1f} | {peak} | {detail} |", flush=True)


def child(arguments: argparse.Namespace, what: str, cache: str) -> None:
    from fidelity.encoders import CachedEncoder, locate
    from fidelity.metrics import EncoderMetric, default_metrics
    from fidelity.metrics.sts import Sts

    both = list(zip(*(answers(arguments.directory, m) for m in ("gpt-4-0314", "gpt-4-0613")), strict=True))
    source = locate(arguments.encoder)
    encoder = CachedEncoder(source, Path(cache))
    detail = []
    match what:
        case "default":
            for metric in default_metrics():
                start = time.perf_counter()
                bound = metric.bind(encoder) if isinstance(metric, EncoderMetric) else metric
                bound.score(pairs(both[: arguments.pairs]))
                detail.append(f"{metric.kind} {time.perf_counter() - start:.1f}")
        case "longest":
            words = [" ".join(side).split() for side in zip(*both, strict=True)]
            longest = [" ".join((side * (LONGEST // len(side) + 1))[:LONGEST]) for side in words]
            columns = Sts(profile=True).bind(encoder).score(pairs([(longest[0], longest[1])]))
            detail = [f"{column.name} {column.values[0]:.3f}" for column in columns[:3]]
        case "package":
            from sentence_transformers import SentenceTransformer

            ours = Sts(chunk=False).bind(encoder).score(pairs(both[: arguments.pairs]))[0].values
            model = SentenceTransformer(str(source.path), local_files_only=True)
            a, b = (model.encode(list(side[: arguments.pairs])) for side in zip(*both, strict=True))
            theirs = model.similarity_pairwise(a, b).tolist()
            detail = [f"largest difference {max(abs(x - max(0, y)) for x, y in zip(ours, theirs, strict=True)):.1e}"]
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, ", ".join(detail))


def answers(directory: Path, model: str) -> list[str]:
    """The model's answers in the order of their prompts' ids."""
    lines = (directory / f"answers-{model}.jsonl").read_text(encoding="utf-8").splitlines()
    records = sorted(map(json.loads, lines), key=lambda record: record["uid"])
    return [record["messages"][-1]["content"]["answer"] for record in records]


def pairs(both: list[tuple[str, ...]]):  # type: ignore[no-untyped-def]  # the records load only in the child
    from fidelity.records import Generation, Pair, Prompt

    return [Pair(Prompt(str(i), ""), Generation(str(i), a), Generation(str(i), b)) for i, (a, b) in enumerate(both)]


if __name__ == "__main__":
    main()
