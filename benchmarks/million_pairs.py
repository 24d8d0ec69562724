"""Scoring and judging N synthetic pairs: pairs per second, efficiency of workers, peak memory, and the verdict's time.

    python benchmarks/million_pairs.py N [--workers 1 2] [--metrics KIND ...] [--folder DIRECTORY] [--rounds 1]
        [--inputs DIRECTORY]

Baseline, control and candidate are English answers of 300 characters on average, as JSONL. Each is a common answer
that has another end in 30% of the cases (the candidate: 31%). They are written before anything is measured, to
`--inputs` only once for all calls. A row is `fidelity compare` in a process of its own with an empty store: its wall
time, CPU time and peak memory. "peak" is the largest resident set of the command's own process, as the kernel counts
it; "all processes" the largest sum with those that score for it, sampled every 0.1 s (pages that they share count
several times). "read" is the time until scoring begins, "score" the time until all columns are stored, "judge" the
rest: statistics, verdict and report. "load" is the machine's load average over a minute before and at the end. A pair
of texts is scored for the candidate with the baseline and with the control, for the control, and for the chance levels
of both: 5 N in all, so 200,000 prompts are a million pairs. Numbers of workers take turns in each round, so that other
work on the machine meets them alike. The last line is `fidelity gate check` on the stored comparison.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

FILES = ("base", "control", "quant")
LEXICAL = ("identical", "rouge", "chrf", "edit", "length", "conflicts")
SUBJECTS = ("the model", "a nurse", "the committee", "her brother", "the old bridge", "a small company", "our teacher")
VERBS = (
    "describes",
    "has measured",
    "never mentions",
    "repaired",
    "sold",
    "will replace",
    "is close to",
    "understands",
)
OBJECTS = (
    "the second edition",
    "a dose of {n} mg",
    "{n} houses in the valley",
    "the answer",
    "a letter",
    "{n}% of it",
)
ENDS = ("before the war", "in {n}", "because it was late", "with great care", "for the first time", "as expected")
MARGINS = {"rouge": ("rouge1", "rougeL"), "chrf": ("chrf",), "edit": ("edit_chars",)}
"""The columns of each metric with a margin, which betting bounds judge."""


def gate_of(metrics: Sequence[str]) -> dict[str, object]:
    """Margins, a tail that is judged by a bootstrap, and an exact share."""
    margins = dict.fromkeys((name for metric in metrics for name in MARGINS.get(metric, ())), 0.05)
    gate: dict[str, object] = {"confidence": 0.95, "margins": margins}
    if margins:
        gate["tail"] = {list(margins)[-1] if "rougeL" not in margins else "rougeL": 0.2}
    if "conflicts" in metrics:
        gate["conflicts"] = {"any": 0.9}
    return gate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("n", type=int)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--metrics", nargs="+", default=LEXICAL)
    parser.add_argument("--folder", type=Path, help="where files are written; a temporary directory if not given")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--inputs", type=Path, help="where the answers are kept for other calls")
    arguments = parser.parse_args()
    if arguments.folder:
        arguments.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        inputs = inputs_in(arguments.inputs or Path(folder), arguments.n)
        (Path(folder) / "gate.yaml").write_text(json.dumps(gate_of(arguments.metrics)))
        print(f"{arguments.n:,} prompts, {5 * arguments.n:,} scored pairs; {', '.join(arguments.metrics)}\n")
        print(
            "| workers | read s | score s | judge s | wall s | CPU s | pairs/s scored | peak MiB | all processes MiB "
            "| load before, at the end | exit |"
        )
        print("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|", flush=True)
        speeds: dict[int, list[float]] = {workers: [] for workers in arguments.workers}
        for number in range(arguments.rounds):
            for workers in arguments.workers:
                store = Path(folder) / f"store-{workers}-{number}"
                speeds[workers].append(row(inputs, Path(folder), store, workers, arguments.metrics, arguments.n))
        print_efficiency(speeds)
        print_verdict(Path(folder), store)


def inputs_in(folder: Path, n: int) -> Path:
    """The directory with n answers of each run, which is written if it isn't there."""
    inputs = folder / f"answers-{n}"
    if not inputs.is_dir():
        draft = folder / f"unfinished-{os.getpid()}"
        draft.mkdir(parents=True)
        write(draft, n)
        draft.rename(inputs)
    return inputs


def row(inputs: Path, folder: Path, store: Path, workers: int, metrics: Sequence[str], n: int) -> float:
    """Run a comparison in a process of its own, and print its row. Returns the pairs scored in a second."""
    kinds = [f"--metric={kind}" for kind in metrics]
    files = [str(inputs / f"{name}.jsonl") for name in ("base", "quant", "control")]
    before = os.getloadavg()[0]
    compare = ["compare", *files[:2], "--control", files[2], "--gate", str(folder / "gate.yaml"), *kinds]
    measured = run([*compare, "--store", str(store), "--workers", str(workers)])
    speed = 5 * n / (measured.last - measured.first)
    phases = f"{measured.first:.1f} | {measured.last - measured.first:.1f} | {measured.wall - measured.last:.1f}"
    memory = f"{measured.peak >> 20:,} | {measured.all_processes >> 20:,}"
    load = f"{before:.1f}, {os.getloadavg()[0]:.1f}"
    times = f"{measured.wall:.1f} | {measured.cpu:.1f} | {speed:,.0f}"
    print(f"| {workers} | {phases} | {times} | {memory} | {load} | {measured.code} |", flush=True)
    return speed


@dataclass(frozen=True)
class Measured:
    """A command's times in seconds since its start, its peak memory in bytes, and its exit code."""

    first: float
    """When scoring began."""
    last: float
    """When the last column was stored."""
    wall: float
    cpu: float
    peak: int
    """Of the command's own process."""
    all_processes: int
    code: int


def run(command: Sequence[str]) -> Measured:
    start, before = time.monotonic(), os.times()
    child = [sys.executable, __file__, "--child", *command]
    process = subprocess.Popen(child, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    peak = together = 0
    while process.poll() is None:
        peak, together = max(peak, own_peak(process.pid)), max(together, resident(process.pid))
        time.sleep(0.1)
    wall, after = time.monotonic() - start, os.times()
    output = process.stdout.read() if process.stdout else ""
    marks = [float(line.split()[1]) - start for line in output.splitlines() if line.startswith("mark ")] or [wall]
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Measured(marks[0], marks[-1], wall, cpu, peak, together, process.returncode)


def own_peak(pid: int) -> int:
    """The most bytes that a process had in memory so far; 0 if it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    return 0


def resident(pid: int) -> int:
    """The bytes in memory of a process and its descendants."""
    total = 0
    for one in (pid, *descendants(pid)):
        with suppress(OSError, IndexError):
            total += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return total


def descendants(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                yield child
                yield from descendants(child)


def child(command: list[str]) -> int:
    """One command of fidelity, with the times at which scoring begins and ends on standard output."""
    from fidelity.cli import main as fidelity
    from fidelity.comparison import scoring

    score_jobs = scoring.score_jobs

    def marked(*given, **options):  # type: ignore[no-untyped-def]
        print("mark", time.monotonic())
        score_jobs(*given, **options)
        print("mark", time.monotonic(), flush=True)

    scoring.score_jobs = marked
    code = fidelity(command)
    print(flush=True)
    return code


def print_efficiency(speeds: dict[int, list[float]]) -> None:
    """Each round's speed against the least number of workers in the same round; the median over the rounds."""
    fewest = min(speeds)
    for workers in sorted(speeds)[1:]:
        each = [own / base * fewest / workers for own, base in zip(speeds[workers], speeds[fewest], strict=True)]
        print(f"\nefficiency of {workers} workers over {fewest}: {statistics.median(each):.2f} ({len(each)} rounds)")


def print_verdict(folder: Path, store: Path) -> None:
    """Judge the stored comparison of the candidate again, and print the time and memory that it takes."""
    manifests = {path.parent: json.loads(path.read_text()) for path in store.glob("comparisons/*/manifest.json")}
    (candidate,) = (path for path, manifest in manifests.items() if manifest.get("controls"))
    measured = run(["gate", "check", str(candidate), "--gate", str(folder / "gate.yaml")])
    times = f"{measured.wall:.1f} s, {measured.cpu:.1f} s of CPU, {measured.peak >> 20:,} MiB"
    print(f"\nverdict alone: {times}, exit {measured.code}")


def write(folder: Path, n: int) -> None:
    """Three files of n answers."""
    rng = random.Random(0)
    with ExitStack() as stack:
        base, control, quant = (stack.enter_context((folder / f"{name}.jsonl").open("w")) for name in FILES)
        for number in range(n):
            answer = [sentence(rng) for _ in range(rng.randint(3, 9))]
            for file, share in ((base, 0.30), (control, 0.30), (quant, 0.31)):
                file.write(line(number, changed(answer, rng, share)))


def changed(answer: Sequence[str], rng: random.Random, share: float) -> list[str]:
    """The answer, in a share of the cases with another end."""
    if rng.random() >= share:
        return list(answer)
    first = rng.randrange(len(answer))
    return [*answer[:first], *(sentence(rng) for _ in answer[first:])]


def sentence(rng: random.Random) -> str:
    words = " ".join(rng.choice(choices) for choices in (SUBJECTS, VERBS, OBJECTS, ENDS))
    return words.format(n=rng.randint(2, 900)).capitalize() + "."


def line(number: int, answer: Sequence[str]) -> str:
    return json.dumps({"id": f"p{number}", "prompt": f"Question {number}", "text": " ".join(answer)}) + "\n"


if __name__ == "__main__":
    sys.exit(child(sys.argv[2:]) if sys.argv[1:2] == ["--child"] else main())
