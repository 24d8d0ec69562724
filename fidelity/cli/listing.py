"""`fidelity list` and `fidelity metrics`."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from fidelity.cli.options import OK, STANDARD_OUTPUT, Commands, add_json, add_store, open_store, write
from fidelity.cli.terminal import WIDE, echo, open_console

if TYPE_CHECKING:
    from fidelity.store.store import Store


def add_to(commands: Commands) -> None:
    """Add these commands to the parser's."""
    listing = commands.add_parser("list", help="list the runs and comparisons of a store")
    add_json(listing, "the list")
    add_store(listing)
    listing.set_defaults(command=_list)
    metrics = commands.add_parser(
        "metrics", help="list the metrics with their columns, needs, range, cost and signature"
    )
    metrics.set_defaults(command=_list_metrics)


def _list(chosen: argparse.Namespace) -> int:
    from rich.table import Table
    from rich.text import Text

    from fidelity.outside.strings import one_line
    from fidelity.report import describe_run

    store = open_store(chosen.store)
    if chosen.json:
        write(chosen.json, json.dumps(_as_json(store), indent=2, ensure_ascii=False) + "\n")
        if chosen.json == STANDARD_OUTPUT:
            return OK
    runs = Table("run", "what", "prompts", "failed", "created", show_edge=False, pad_edge=False, title="Runs")
    for run in store.runs():
        counts = run.manifest.counts
        cells = (run.id, describe_run(run), str(counts.prompts), str(counts.failures), run.manifest.created)
        runs.add_row(*(Text(one_line(cell)) for cell in cells))
    compared = Table("comparison", "pairs", show_edge=False, pad_edge=False, title="Comparisons")
    for comparison in store.comparisons():
        compared.add_row(Text(one_line(comparison.path.name)), str(len(comparison.prompt_ids)))
    damaged = Table("damaged", "why", show_edge=False, pad_edge=False, title="Damaged")
    for place, reason in store.damaged().items():
        damaged.add_row(Text(one_line(place)), Text(one_line(reason)))
    tables = [table for table in (runs, compared, damaged) if table.row_count]
    if not tables:
        echo(f"{store.root}: no finished run; start with: fidelity compare base.yaml quant.yaml")
        return OK
    whole = {} if sys.stdout.isatty() else {"width": WIDE}  # a pipe or a file gets whole ids, whatever COLUMNS says
    open_console(**whole).print(*tables, sep="\n\n")
    return OK


def _as_json(store: "Store") -> dict[str, object]:
    """The runs, comparisons and damaged directories of a store."""
    runs = [
        {
            "id": run.id,
            "name": run.name,
            "path": str(run.path),
            "created": run.manifest.created,
            "prompts": run.manifest.counts.prompts,
            "failures": run.manifest.counts.failures,
        }
        for run in store.runs()
    ]
    comparisons = [
        {
            "id": one.path.name,
            "path": str(one.path),
            "pairs": len(one.prompt_ids),
            "of": "floor" if one.manifest.controls is None else "candidate",
        }
        for one in store.comparisons()
    ]
    return {"store": str(store.root), "runs": runs, "comparisons": comparisons, "damaged": store.damaged()}


def _list_metrics(chosen: argparse.Namespace) -> int:
    from itertools import groupby

    from fidelity.metrics import default_metrics, every_metric

    by_default = {metric.kind for metric in default_metrics()}
    for metric in every_metric():
        also = ", in the default set" if metric.kind in by_default else ""
        echo(f"{metric.kind} (needs {' and '.join(sorted(metric.needs))}; cost: {metric.cost}{also})")
        for (bounds, better), columns in groupby(metric.score([]), key=lambda column: (column.bounds, column.better)):
            known = f"{bounds[0]:g} to {bounds[1]:g}" if bounds else "no fixed range"
            direction = "described, not judged" if better == "neither" else f"{better} is better"
            echo(f"  {', '.join(column.name for column in columns)}: {known}, {direction}")
        echo(f"  {metric.signature()}")
    return OK
