"""How fast are the default metrics? Arena-Hard's answers, cold and cached, peak memory, and the longest texts.

    python benchmarks/default_set.py DIRECTORY ENCODER [--only compare metrics longest package]

DIRECTORY has `answers-gpt-4-0314.jsonl` (here the baseline) and `answers-gpt-4-0613.jsonl` (the candidate), ENCODER is
a directory, such as a copy of all-MiniLM-L6-v2. Each row is a separate process, imports included. The first rows are
`fidelity compare` as a user calls it, chance levels included: "cold" with an empty store, "again" with the store of
the previous row. Then each metric alone: on all pairs and on those of its chance level, as `compare` scores them (the
last column is without imports and without the first pair, for which word lists are read); and on two texts of 32,000
words. Last, `chunk: false` against sentence-transformers' own encode() and cosine. Wall time, and CPU time for
machines that do other work.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LONGEST = 32_000
ROWS = ("compare", "metrics", "longest", "package")
ALSO = ["bertscore"]
"""Metrics outside the default set that the longest texts are tried on; BERTScore on the sixth layer."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("--pairs", type=int, default=500)
    parser.add_argument("--only", nargs="+", choices=ROWS, default=ROWS, help="the rows to measure")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments, arguments.child)
        return
    print("| | wall s | CPU s | peak MiB | |\n|---|---|---|---|---|")
    if "compare" in arguments.only:
        with tempfile.TemporaryDirectory() as folder:
            for pairs in (arguments.pairs // 2, arguments.pairs):
                command = compare(arguments, Path(folder), pairs)
                row(f"compare, {pairs} pairs, cold", command)
            row(f"compare, {arguments.pairs} pairs, again", command)
    again = [sys.executable, *sys.argv, "--child"]
    for kind in kinds() if "metrics" in arguments.only else ():
        row(f"{kind}, {arguments.pairs} pairs", [*again, f"{kind} on all"])
    for kind in kinds() if "longest" in arguments.only else ():
        row(f"{kind}, two texts of {LONGEST} words", [*again, kind])
    if "package" in arguments.only:
        row("sts, chunk: false, against encode()", [*again, "package"])


def kinds() -> list[str]:
    from fidelity.metrics import default_metrics

    return [*(metric.kind for metric in default_metrics()), *ALSO]


def compare(arguments: argparse.Namespace, folder: Path, pairs: int) -> list[str]:
    """The command that compares the first pairs, with a store of its own."""
    metrics = [
        {"kind": kind, **({"encoder": str(arguments.encoder.resolve())} if kind == "sts" else {})}
        for kind in kinds()
        if kind not in ALSO
    ]
    for name, side in zip(("base", "quant"), both_sides(arguments.directory), strict=True):
        lines = [json.dumps({"id": str(n), "prompt": str(n), "text": text}) for n, text in enumerate(side[:pairs])]
        (folder / f"{name}-{pairs}.jsonl").write_text("\n".join(lines), encoding="utf-8")
        engine = {"kind": "recorded", "path": f"{name}-{pairs}.jsonl"}
        run = {"name": name, "engine": engine, **({"metrics": metrics, "control": "none"} if name == "base" else {})}
        (folder / f"{name}-{pairs}.yaml").write_text(json.dumps(run), encoding="utf-8")  # JSON is YAML
    files = [str(folder / f"{name}-{pairs}.yaml") for name in ("base", "quant")]
    return [sys.executable, "-m", "fidelity", "compare", *files, "--store", str(folder / f"store-{pairs}")]


def row(title: str, command: list[str]) -> None:
    wall, before = time.perf_counter(), os.times()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    output = process.stdout.read().strip().split("\n") if process.stdout else [""]
    _, status, usage = os.wait4(process.pid, 0)
    after = os.times()
    if status:
        raise SystemExit(f"{title}: ended with status {status}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    detail = output[-1] if "--child" in command else ""
    wall = time.perf_counter() - wall
    print(f"| {title} | {wall:.1f} | {cpu:.1f} | {usage.ru_maxrss // 1024} | {detail} |", flush=True)


def child(arguments: argparse.Namespace, what: str) -> None:
    from fidelity.encoders import CachedEncoder, locate
    from fidelity.metrics import EncoderMetric, default_metrics
    from fidelity.metrics.bertscore import BertScore
    from fidelity.metrics.sts import Sts

    sides = both_sides(arguments.directory)
    source = locate(str(arguments.encoder))
    with tempfile.TemporaryDirectory() as cache:
        encoder = CachedEncoder(source, Path(cache))
        if what == "package":
            print(against_the_package(sides, encoder, str(source.path)))
            return
        metrics = {m.kind: m for m in (*default_metrics(), BertScore(encoder="", layer=6), Sts(profile=True))}
        kind, _, on_all = what.partition(" ")
        metric = metrics[kind]
        bound = metric.bind(encoder) if isinstance(metric, EncoderMetric) else metric
        if on_all:
            print(time_of(bound, [side[: arguments.pairs] for side in sides]))
            return
        words = [" ".join(side).split() for side in sides]
        longest = [" ".join((side * (LONGEST // len(side) + 1))[:LONGEST]) for side in words]
        columns = bound.score(paired([(longest[0], longest[1])]))
        values = {c.name: c.values[0] for c in columns if "[" not in c.name}
        print(", ".join(f"{name} {'unscored' if v is None else f'{v:.3f}'}" for name, v in values.items()))


def time_of(metric, sides):  # type: ignore[no-untyped-def]  # the metrics load only in the child
    """CPU seconds of a metric on all pairs and on as many of a chance level, without what happens once."""
    baseline, candidate = sides
    own = paired(list(zip(baseline, candidate, strict=True)))
    by_chance = paired(list(zip([*baseline[1:], baseline[0]], candidate, strict=True)))
    metric.score(own[:1])
    before = time.process_time()
    metric.score([pair for both in zip(own, by_chance, strict=True) for pair in both])
    took = time.process_time() - before
    return f"{took:.2f} s, {500 * took / len(own):.2f} ms a pair"


def against_the_package(sides, encoder, path):  # type: ignore[no-untyped-def]  # torch loads only in the child
    from sentence_transformers import SentenceTransformer

    from fidelity.metrics.sts import Sts

    own = Sts(chunk=False).bind(encoder).score(paired(list(zip(*sides, strict=True))))[0].values
    model = SentenceTransformer(path, local_files_only=True)
    a, b = (model.encode(side) for side in sides)
    package = model.similarity_pairwise(a, b).tolist()
    return f"largest difference {max(abs(x - max(0, y)) for x, y in zip(own, package, strict=True)):.1e}"


def both_sides(directory: Path) -> list[list[str]]:
    """The answers of the two models, each in the order of their prompts' ids."""
    sides = []
    for model in ("gpt-4-0314", "gpt-4-0613"):
        lines = (directory / f"answers-{model}.jsonl").read_text(encoding="utf-8").splitlines()
        records = sorted(map(json.loads, lines), key=lambda record: record["uid"])
        sides.append([record["messages"][-1]["content"]["answer"] for record in records])
    return sides


def paired(both):  # type: ignore[no-untyped-def]  # the records load only in the child
    from fidelity.records import Generation, Pair, Prompt

    return [Pair(Prompt(str(i), ""), Generation(str(i), a), Generation(str(i), b)) for i, (a, b) in enumerate(both)]


if __name__ == "__main__":
    main()
