"""The command line: arguments and exit codes.

0 pass (or no gate asked for), 1 fail, 2 could not judge, and every error that isn't a verdict; Ctrl-C 130.
"""

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fidelity import __version__
from fidelity.errors import ConfigError, FidelityError, StoreError

if TYPE_CHECKING:
    from fidelity.config import RunConfig
    from fidelity.gate import Verdict
    from fidelity.metrics import Metric
    from fidelity.pipeline import ComparisonSet
    from fidelity.store import Store

OK, COULD_NOT_JUDGE, INTERRUPTED = 0, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        chosen = _parser().parse_args(arguments)
        code: int = chosen.command(chosen)
        return code
    except FidelityError as error:
        print(f"fidelity: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("fidelity: interrupted; whole chunks are kept, run again to go on", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        pass
    except Exception:
        traceback.print_exc()
        print("fidelity: this is a defect of fidelity's; please report it with the lines above", file=sys.stderr)
    return COULD_NOT_JUDGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fidelity", description="Does a quantized model still say the same things?")
    parser.add_argument("--version", action="version", version=f"fidelity {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    compare = commands.add_parser("compare", help="generate what is missing, and compare candidates with a baseline")
    compare.add_argument("baseline", type=Path, help="the baseline's YAML file")
    compare.add_argument("candidates", type=Path, nargs="+", help="a candidate's YAML file")
    compare.add_argument(
        "--metric", action="append", metavar="KIND", help="score only this kind of metric (repeatable)"
    )
    _add_reports(compare)
    compare.set_defaults(command=_compare)

    generate = commands.add_parser("generate", help="generate one run and its controls")
    generate.add_argument("run", type=Path, help="the run's YAML file")
    generate.add_argument(
        "--baseline", type=Path, metavar="YAML", help="generate the run as a candidate of this one: on its prompts"
    )
    generate.set_defaults(command=_generate)

    for command in (compare, generate):
        command.add_argument("--limit", type=_positive, metavar="N", help="only the first N prompts")

    listing = commands.add_parser("list", help="list the runs and comparisons of a store")
    listing.set_defaults(command=_list)

    metrics = commands.add_parser(
        "metrics", help="list the metrics with their columns, needs, range, cost and signature"
    )
    metrics.set_defaults(command=_list_metrics)

    for command in (compare, generate, listing):
        command.add_argument(
            "--store",
            type=Path,
            default=Path("fidelity-store"),
            metavar="DIR",
            help="where runs are kept (fidelity-store)",
        )
    return parser


def _add_reports(command: argparse.ArgumentParser) -> None:
    for option, what in (
        ("--json", "the numbers, unrounded, as JSON"),
        ("--markdown", "a report that fits a pull-request comment"),
        ("--junit", "the gate's lines as test cases, for CI systems"),
        ("--html", "a report to look through, with every pair; one file that needs no network"),
    ):
        command.add_argument(option, type=Path, metavar="FILE", help=f"write {what}")


def _compare(chosen: argparse.Namespace) -> int:
    from rich.console import Console

    from fidelity.config import load_run
    from fidelity.pipeline import compare
    from fidelity.report import print_table

    baseline, *candidates = [load_run(path) for path in (chosen.baseline, *chosen.candidates)]
    result = compare(
        baseline,
        candidates,
        metrics=_metrics(baseline, chosen.metric),
        store=_store(chosen.store),
        listener=_Terminal(),
        limit=chosen.limit,
    )
    print_table(result, Console())
    _write_reports(result, {}, chosen)
    return COULD_NOT_JUDGE if result.not_compared else OK


def _write_reports(result: "ComparisonSet", verdicts: "Mapping[str, Verdict]", chosen: argparse.Namespace) -> None:
    """Every form that was asked for; in GitHub Actions the step's summary and an annotation, unasked."""
    from fidelity import report

    if chosen.json:
        _write(chosen.json, json.dumps(report.as_json(result, verdicts), indent=2, ensure_ascii=False) + "\n")
    forms = ((chosen.markdown, report.as_markdown), (chosen.junit, report.as_junit), (chosen.html, report.as_html))
    for path, form in forms:
        if path:
            _write(path, form(result, verdicts))
    report.add_step_summary(result, verdicts, environment=os.environ)
    if said := report.annotation(result, verdicts, environment=os.environ):
        print(said, flush=True)


def _generate(chosen: argparse.Namespace) -> int:
    from fidelity.config import load_run
    from fidelity.pipeline import generate

    runs = generate(
        load_run(chosen.run),
        store=_store(chosen.store),
        listener=_Terminal(),
        limit=chosen.limit,
        baseline=load_run(chosen.baseline) if chosen.baseline else None,
    )
    for run in runs:
        counts = run.manifest["counts"]
        print(
            f"{run.path}: {counts['generations']} generations, {counts['failures']} failures, {counts['tokens']} tokens"
        )
    return OK


def _list(chosen: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from fidelity.report import describe_run

    store = _store(chosen.store)
    runs = Table("run", "what", "prompts", "failed", "created", show_edge=False, pad_edge=False, title="Runs")
    for run in store.runs():
        counts = run.manifest["counts"]
        cells = (run.id, describe_run(run), str(counts["prompts"]), str(counts["failures"]), run.manifest["created"])
        runs.add_row(*(Text(cell) for cell in cells))
    compared = Table("comparison", "pairs", show_edge=False, pad_edge=False, title="Comparisons")
    for comparison in store.comparisons():
        compared.add_row(Text(comparison.path.name), str(len(comparison.prompt_ids)))
    if not runs.row_count:
        print(f"{store.root}: no finished run; start with: fidelity compare base.yaml quant.yaml")
        return OK
    Console().print(runs, compared, sep="\n\n")
    return OK


def _list_metrics(chosen: argparse.Namespace) -> int:
    from itertools import groupby

    from fidelity.metrics import default_metrics, every_metric

    by_default = {metric.kind for metric in default_metrics()}
    for metric in every_metric():
        also = ", in the default set" if metric.kind in by_default else ""
        print(f"{metric.kind} (needs {' and '.join(sorted(metric.needs))}; cost: {metric.cost}{also})")
        for (bounds, better), columns in groupby(metric.score([]), key=lambda column: (column.bounds, column.better)):
            known = f"{bounds[0]:g} to {bounds[1]:g}" if bounds else "no fixed range"
            direction = "described, not judged" if better == "neither" else f"{better} is better"
            print(f"  {', '.join(column.name for column in columns)}: {known}, {direction}")
        print(f"  {metric.signature()}")
    return OK


class _Terminal:
    """Progress on stderr: a line that is rewritten on a terminal, a line every ten seconds elsewhere."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._due = time.monotonic() + (0 if self._live else 10)
        self._before = 0

    def say(self, text: str) -> None:
        self._print(text, end="\n")

    def progress(self, run: str, done: int, total: int, tokens: int, seconds: float) -> None:
        finished = done >= total
        if not seconds:
            self._before = done  # what an earlier command has done says nothing about the speed of this one
        if not finished and time.monotonic() < self._due:
            return
        self._due = time.monotonic() + (0.5 if self._live else 10)
        rate = f", {tokens / seconds:.0f} tokens/s" if seconds > 1 else ""
        fresh = done - self._before
        left = f", about {seconds / fresh * (total - done):.0f} s left" if fresh and not finished else ""
        self._print(f"{run}: {done} of {total} prompts{rate}{left}", end="\n" if finished or not self._live else "")

    def _print(self, text: str, *, end: str) -> None:
        clear = "\r\x1b[K" if self._live else ""
        print(f"{clear}{text}", end=end, file=sys.stderr, flush=True)


def _metrics(baseline: "RunConfig", kinds: Sequence[str] | None) -> list["Metric"]:
    """The metrics that are asked for: by --metric, else by the baseline's YAML, else the default set."""
    from fidelity.metrics import default_metrics, metric_of_kind

    written: list[Metric] = list(baseline.metrics or ())
    if not kinds:
        return written or [metric for default in default_metrics() if (metric := _as_far_as_possible(default))]
    return [m for kind in kinds for m in ([w for w in written if w.kind == kind] or [metric_of_kind(kind)])]


def _as_far_as_possible(metric: "Metric") -> "Metric | None":
    """A metric that nobody asked for, as far as it can be had here; what is left out is said."""
    from fidelity.scoring import check_can_be_scored

    try:
        check_can_be_scored(metric)
    except FidelityError as error:
        rest = metric.fallback()
        print(f"fidelity: {metric.kind} is left out{' in part' if rest else ''}: {error}", file=sys.stderr)
        return rest and _as_far_as_possible(rest)
    return metric


def _store(root: Path) -> "Store":
    from fidelity.store import Store

    if root.exists() and not root.is_dir():
        raise ConfigError(f"{root}: is a file; --store names a directory")
    return Store(root)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path}: can't be written ({error.strerror})") from error


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)
