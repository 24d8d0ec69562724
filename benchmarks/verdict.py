"""The verdict on many prompts, without texts: a stored comparison whose prompts are repeated as others.

    python benchmarks/verdict.py COMPARISON TIMES --gate GATE [--folder DIRECTORY]

Prints CPU seconds and peak memory of the process after reading, judging, and ordering the pairs. The repeated prompts
have the same numbers under new ids, so what is measured is the cost, not the verdict.
"""

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from fidelity.comparison.evidence import verdicts
from fidelity.comparison.stored import load_comparison
from fidelity.gate import load_gate
from fidelity.records import Column, ColumnNumbers, Sides
from fidelity.report.pairs import rank
from fidelity.store.comparisons import Comparison, _StoredColumns
from fidelity.store.record_files import MANIFEST, write_record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("comparison", type=Path)
    parser.add_argument("times", type=int)
    parser.add_argument("--gate", type=Path, required=True)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        store = Path(folder) / "store"
        shutil.copytree(given.comparison.parent.parent, store)
        for one in (store / "comparisons").iterdir():
            repeat(Comparison(one), given.times)
        command = [sys.executable, __file__, "--child", str(store / "comparisons" / given.comparison.name)]
        subprocess.run([*command, str(given.gate)], check=True)


def repeat(comparison: Comparison, times: int) -> None:
    ids = comparison.prompt_ids
    signatures = [_StoredColumns.read(file).signature for file in comparison.path.glob("*.parquet")]
    tables = {signature: comparison.columns(signature) or () for signature in signatures}
    more = tuple(f"{one}-{number}" for number in range(times) for one in ids)
    write_record(comparison.path / MANIFEST, comparison.manifest.replace(prompt_ids=more))
    for signature, columns in tables.items():
        Comparison(comparison.path).add_columns(signature, [repeated(column, times) for column in columns])


def repeated(column: Column, times: int) -> Column:
    values = ColumnNumbers(np.tile(ColumnNumbers.of(column.values).array, times))
    weights = column.weights and ColumnNumbers(np.tile(ColumnNumbers.of(column.weights).array, times))
    sides = column.sides and Sides(np.tile(Sides.of(column.sides).array, times))
    return replace(column, values=values, weights=weights or None, sides=sides or None)


def child(comparison: Path, gate: Path) -> None:
    print("| after | CPU s | peak MiB |\n|---|---:|---:|")
    show("starting")
    result = load_comparison(comparison)
    show("reading")
    verdicts(result, load_gate(gate))
    show("judging")
    rank(result, result.candidates[0], None)
    show("ordering pairs")


def show(step: str) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"| {step} | {time.process_time():.1f} | {peak:,} |", flush=True)


if __name__ == "__main__":
    child(Path(sys.argv[2]), Path(sys.argv[3])) if sys.argv[1:2] == ["--child"] else main()
