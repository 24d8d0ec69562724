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
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from fidelity import __version__
from fidelity.errors import ConfigError, FidelityError, StoreError

if TYPE_CHECKING:
    from fidelity.comparison import ComparisonSet
    from fidelity.config import RunConfig
    from fidelity.gate import Verdict
    from fidelity.metrics import Metric
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
    compare.add_argument("--gate", type=Path, metavar="FILE", help="judge by this gate.yaml: exit 0, 1 or 2")
    compare.add_argument(
        "--until-decided", action="store_true", help="generate candidates only as far as the gate needs to decide"
    )
    compare.set_defaults(command=_compare)

    gate = commands.add_parser("gate", help="judge a comparison that lies in a store, or begin a gate.yaml with it")
    gates = gate.add_subparsers(required=True, metavar="COMMAND")
    check = gates.add_parser("check", help="judge again, without a model")
    check.add_argument("comparison", type=Path, metavar="COMPARISON", help="its directory, DIR/comparisons/NAME")
    check.add_argument("--gate", type=Path, required=True, metavar="FILE", help="the gate.yaml")
    check.set_defaults(command=_gate_check)

    init = gates.add_parser("init", help="write a provisional gate.yaml from a measured comparison")
    init.add_argument("comparison", type=Path, metavar="COMPARISON", help="its directory, DIR/comparisons/NAME")
    init.add_argument("--margin", type=_limit, action="append", metavar="COLUMN=X", help="a margin that is wanted")
    init.add_argument("--breaks", type=_limit, action="append", metavar="CHECK=X", help="a share of breaks, the same")
    init.add_argument("--output", type=Path, default=Path("gate.yaml"), metavar="FILE", help="(gate.yaml)")
    init.set_defaults(command=_gate_init)

    for command in (compare, check):
        _add_reports(command)

    generate = commands.add_parser("generate", help="generate one run and its controls")
    generate.add_argument("run", type=Path, help="the run's YAML file")
    generate.set_defaults(command=_generate)

    baseline = commands.add_parser("baseline", help="keep a baseline and its controls as files to commit")
    baselines = baseline.add_subparsers(required=True, metavar="COMMAND")
    export = baselines.add_parser("export", help="write them into a directory, for {kind: stored, path: DIR}")
    export.add_argument("run", type=Path, help="the baseline's YAML file; what is missing is generated")
    export.add_argument("directory", type=Path, metavar="DIR")
    export.add_argument("--replace", action="store_true", help="promote this baseline over the one that is there")
    export.set_defaults(command=_baseline_export)
    fit = baselines.add_parser("check", help="say whether an exported baseline still fits, and what differs")
    fit.add_argument("directory", type=Path, metavar="DIR")
    fit.add_argument("run", type=Path, nargs="?", help="the baseline's YAML file as it is now (else as it was)")
    fit.set_defaults(command=_baseline_check)

    for command in (compare, generate, export, fit):
        command.add_argument("--limit", type=_positive, metavar="N", help="only the first N prompts")

    history = commands.add_parser("history", help="a gate's numbers over the past comparisons of a baseline")
    history.add_argument("baseline", nargs="?", help="a run's name or id (that of the newest comparison)")
    history.add_argument("--gate", type=Path, required=True, metavar="FILE", help="the gate.yaml")
    history.add_argument("--json", type=Path, metavar="FILE", help="write the entries, unrounded, as JSON")
    history.set_defaults(command=_history)

    listing = commands.add_parser("list", help="list the runs and comparisons of a store")
    listing.set_defaults(command=_list)

    metrics = commands.add_parser(
        "metrics", help="list the metrics with their columns, needs, range, cost and signature"
    )
    metrics.set_defaults(command=_list_metrics)

    for command in (compare, generate, export, fit, history, listing):
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
    from fidelity.comparison import verdicts
    from fidelity.config import load_run
    from fidelity.gate import load_gate
    from fidelity.pipeline import compare

    baseline, *candidates = [load_run(path) for path in (chosen.baseline, *chosen.candidates)]
    gate = load_gate(chosen.gate) if chosen.gate else None
    result = compare(
        baseline,
        candidates,
        metrics=_metrics(baseline, chosen.metric),
        store=_store(chosen.store),
        listener=_Terminal(),
        limit=chosen.limit,
        gate=gate,
        until_decided=chosen.until_decided,
    )
    return _report(result, verdicts(result, gate) if gate else {}, chosen)


def _gate_check(chosen: argparse.Namespace) -> int:
    from fidelity.comparison import load_comparison, verdicts
    from fidelity.gate import load_gate

    gate = load_gate(chosen.gate)
    result = load_comparison(chosen.comparison)
    return _report(result, verdicts(result, gate), chosen)


def _report(result: "ComparisonSet", verdicts: "Mapping[str, Verdict]", chosen: argparse.Namespace) -> int:
    """Say what was found in every form that was asked for; a candidate that wasn't compared could not be judged.

    In GitHub Actions the step's summary and an annotation are written unasked.
    """
    from rich.console import Console

    from fidelity import report
    from fidelity.gate import exit_code

    report.print_table(result, Console(), verdicts)
    if chosen.json:
        _write(chosen.json, json.dumps(report.as_json(result, verdicts), indent=2, ensure_ascii=False) + "\n")
    forms = ((chosen.markdown, report.as_markdown), (chosen.junit, report.as_junit), (chosen.html, report.as_html))
    for path, form in forms:
        if path:
            _write(path, form(result, verdicts))
    report.add_step_summary(result, verdicts, environment=os.environ)
    if said := report.annotation(result, verdicts, environment=os.environ):
        print(said, flush=True)
    outcomes = [verdict.outcome for verdict in verdicts.values()]
    return exit_code([*outcomes, "inconclusive"] if result.not_compared else outcomes)


def _gate_init(chosen: argparse.Namespace) -> int:
    from fidelity.comparison import evidence_of, load_comparison
    from fidelity.gate import draft

    result = load_comparison(chosen.comparison)
    text = draft(
        evidence_of(result, result.candidates[0]), margins=dict(chosen.margin or ()), breaks=dict(chosen.breaks or ())
    )
    if chosen.output.exists():
        raise ConfigError(f"{chosen.output}: is there already, and is not overwritten; name another with --output")
    _write(chosen.output, text)
    print(f"{chosen.output}: written; a provisional gate, read the reasons in it")
    return OK


def _generate(chosen: argparse.Namespace) -> int:
    from fidelity.config import load_run
    from fidelity.pipeline import generate

    runs = generate(load_run(chosen.run), store=_store(chosen.store), listener=_Terminal(), limit=chosen.limit)
    for run in runs:
        counts = run.manifest["counts"]
        print(
            f"{run.path}: {counts['generations']} generations, {counts['failures']} failures, {counts['tokens']} tokens"
        )
    return OK


def _baseline_export(chosen: argparse.Namespace) -> int:
    from fidelity.baselines import export
    from fidelity.config import load_run
    from fidelity.pipeline import generate

    config = load_run(chosen.run)
    runs = generate(config, store=_store(chosen.store), listener=_Terminal(), limit=chosen.limit)
    export(runs, chosen.directory, replace=chosen.replace)
    controls = f"{len(runs) - 1} control" + ("" if len(runs) == 2 else "s")
    print(f"{chosen.directory}: {runs[0].name} and {controls}; commit it, and compare with {{kind: stored, path: ...}}")
    return OK


def _baseline_check(chosen: argparse.Namespace) -> int:
    from fidelity.baselines import check
    from fidelity.config import load_run

    config = load_run(chosen.run) if chosen.run else None
    remembered = _store(chosen.store).remembered_hashes
    findings = check(chosen.directory, config=config, limit=chosen.limit, remembered=remembered)
    words = {True: "same", False: "DIFFERS", None: "can't tell"}
    for finding in findings:
        print(f"{words[finding.fits]:10}  {finding.what}{': ' if finding.detail else ''}{finding.detail}")
    differs = [finding.what for finding in findings if finding.fits is False]
    if differs:
        print(f"{chosen.directory}: does not fit any more ({', '.join(differs)}); export anew with --replace")
        return COULD_NOT_JUDGE
    unknown = " as far as can be told here" if any(finding.fits is None for finding in findings) else ""
    print(f"{chosen.directory}: fits{unknown}")
    return OK


def _history(chosen: argparse.Namespace) -> int:
    from rich.console import Console

    from fidelity.gate import load_gate
    from fidelity.history import history
    from fidelity.report import print_history

    entries = history(_store(chosen.store), load_gate(chosen.gate), baseline=chosen.baseline)
    print_history(entries, Console())
    if chosen.json:
        _write(chosen.json, json.dumps([asdict(entry) for entry in entries], indent=2, ensure_ascii=False) + "\n")
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


def _limit(text: str) -> tuple[str, float]:
    name, _, number = text.rpartition("=")
    try:
        value = float(number)
    except ValueError:
        value = 0.0
    if not (name and 0 < value < float("inf")):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=X with a number X above 0")
    return name, value
