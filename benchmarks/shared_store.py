"""Commands that use one store at the same time, against the same commands one after another.

    python benchmarks/shared_store.py [--rounds 50] [--size 24]

Each round compares recorded runs with 2 and with 4 commands at once, with overlapping candidates and metrics, first as
processes of one PID namespace, then each in a namespace of its own, as in containers (needs root on Linux; without it
that half is left out). Every command must end with 0, and the store must have the numbers and the records of a serial
run. Ends with 1 if a round differs.
"""

import argparse
import ctypes
import io
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pyarrow.parquet as pq

import fidelity
import fidelity.pipeline
import fidelity.report  # before the commands are forked
from fidelity.cli import main

RECORDINGS = Path(fidelity.__file__).parent / "sample_data" / "h100-smollm2-135m"
CLONE_NEWPID = 0x20000000
LATEST_START_S = 0.15
ONE_AFTER_ANOTHER = ("created", "candidates", "seal")
"""Keys of a record that depend on which command is the last, also without any overlap."""
COMMANDS = (
    ("q1.yaml", "--metric", "rouge", "--metric", "identical"),
    ("q1.yaml", "q2.yaml", "--metric", "edit", "--metric", "identical"),
    ("q2.yaml", "--metric", "rouge", "--metric", "chrf"),
    ("q1.yaml", "q2.yaml", "--metric", "edit", "--metric", "rouge"),
)


def write_inputs(folder: Path, size: int) -> None:
    """Recorded answers and the YAML files of a baseline with a control and two candidates."""
    for name, source in (("base", "bf16"), ("control", "bf16-rev"), ("q1", "w8a8-fp8"), ("q2", "bf16-serial")):
        lines = (RECORDINGS / f"{source}.jsonl").read_text(encoding="utf-8").splitlines()[:size]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        run = {"name": name, "label": name, "engine": {"kind": "recorded", "path": f"{name}.jsonl"}}
        if name == "base":
            run |= {"control": {"path": "control.jsonl"}, "metrics": ["identical"]}
        (folder / f"{name}.yaml").write_text(json.dumps(run), encoding="utf-8")


def command(arguments: Sequence[str], store: Path) -> tuple[int, str]:
    """Run a comparison in this process. Returns its exit code and its output."""
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        code = main(["compare", "base.yaml", *arguments, "--store", str(store)])
    return code, out.getvalue()


def at_once(commands: Sequence[Sequence[str]], store: Path, draw: random.Random, *, apart: bool) -> list[int]:
    """Start all commands within a moment and return their exit codes."""
    children = []
    for arguments in commands:
        wait = draw.uniform(0, LATEST_START_S)
        if not (child := os.fork()):
            os._exit(_in_child(arguments, store, wait, apart=apart))
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def _in_child(arguments: Sequence[str], store: Path, wait: float, *, apart: bool) -> int:
    if apart:
        if ctypes.CDLL(None).unshare(CLONE_NEWPID):
            return 97
        if grandchild := os.fork():  # which is process 1 of its namespace
            return os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1])
    time.sleep(wait)
    code, out = command(arguments, store)
    if code:
        sys.stderr.write(out)
    if apart:
        os._exit(code)
    return code


def content(store: Path) -> dict[str, object]:
    """Every number and every record of a store, by file."""
    tables: dict[str, object] = {
        str(file.relative_to(store)): pq.read_table(file).to_pydict() for file in sorted(store.rglob("*.parquet"))
    }
    for file in sorted(store.rglob("manifest.json")):
        record = json.loads(file.read_text(encoding="utf-8"))
        tables[str(file.relative_to(store))] = {k: v for k, v in record.items() if k not in ONE_AFTER_ANOTHER}
    drafts = [file for file in store.rglob("*") if file.name.endswith(".draft")]
    return {**tables, "drafts": [str(file.relative_to(store)) for file in drafts]}


def can_unshare() -> bool:
    """Whether this process may make PID namespaces."""
    if not (child := os.fork()):
        os._exit(bool(ctypes.CDLL(None).unshare(CLONE_NEWPID)))
    return not os.waitpid(child, 0)[1]


def compared(folder: Path, count: int, rounds: int, *, apart: bool) -> int:
    """Run the rounds of so many commands. Returns the number that differ from a serial run."""
    commands, draw, differing = COMMANDS[:count], random.Random(count), 0
    serial = folder / f"serial-{count}-{apart}"
    for arguments in commands:
        at_once([arguments], serial, draw, apart=False)
    expected = content(serial)
    began = time.monotonic()
    for number in range(rounds):
        store = folder / f"{count}-{apart}-{number}"
        codes = at_once(commands, store, draw, apart=apart)
        own = content(store)
        wrong = sorted(key for key in expected.keys() | own.keys() if expected.get(key) != own.get(key))
        if wrong or any(codes):
            differing += 1
            print(f"  round {number}: exit codes {codes}, different: {wrong[:5]}, in {store}")
    where = "a PID namespace each" if apart else "one PID namespace"
    print(
        f"{count} commands, {where}: {rounds} rounds, {differing} differ, {time.monotonic() - began:.0f} s", flush=True
    )
    return differing


def run() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--size", type=int, default=24, help="prompts of each run")
    chosen = parser.parse_args()
    namespaces = [False, True] if can_unshare() else [False]
    if len(namespaces) == 1:
        print("no PID namespaces: that needs root on Linux")
    with tempfile.TemporaryDirectory() as folder:
        write_inputs(Path(folder), chosen.size)
        os.chdir(folder)
        cells = [(count, apart) for apart in namespaces for count in (2, 4)]
        return int(sum(compared(Path(folder), count, chosen.rounds, apart=apart) for count, apart in cells) > 0)


if __name__ == "__main__":
    sys.exit(run())
