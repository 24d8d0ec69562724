"""`fidelity compare` and `fidelity generate`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fidelity.cli.options import OK, Commands, add_limit, add_store, open_store, positive
from fidelity.cli.progress import Progress
from fidelity.cli.reports import add_reports, report_all
from fidelity.errors import FidelityError

if TYPE_CHECKING:
    from fidelity.comparison.results import ComparisonSet
    from fidelity.config import RunConfig
    from fidelity.metrics import Metric
    from fidelity.store.store import Store


def add_to(commands: Commands) -> None:
    """Add these commands to the parser's."""
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
    compare.add_argument(
        "--interleave",
        type=positive,
        nargs="?",
        const=3,
        default=0,
        metavar="ROUNDS",
        help="measure the runs in turn, A B A B, each round with engines opened anew (3 rounds)",
    )
    add_reports(compare)
    compare.set_defaults(command=_compare)

    generate = commands.add_parser("generate", help="generate one run and its controls")
    generate.add_argument("run", type=Path, help="the run's YAML file")
    generate.add_argument(
        "--baseline", type=Path, metavar="YAML", help="generate it as a candidate of this run: on its prompts"
    )
    generate.add_argument("--profile", action="store_true", help="say where the time went")
    generate.set_defaults(command=_generate)

    for command in (compare, generate):
        add_limit(command)
        add_store(command)


def _compare(chosen: argparse.Namespace) -> int:
    from fidelity.config import load_run
    from fidelity.gate import load_gate
    from fidelity.pipeline import compare

    baseline, *candidates = [load_run(path) for path in (chosen.baseline, *chosen.candidates)]
    gate = load_gate(chosen.gate) if chosen.gate else None
    store = open_store(chosen.store)
    result = compare(
        baseline,
        candidates,
        metrics=metrics_of(baseline, chosen.metric),
        store=store,
        listener=Progress(),
        limit=chosen.limit,
        gate=gate,
        until_decided=chosen.until_decided,
        must_be_in_reach=True,
    )
    if chosen.interleave:
        _measure_in_turn(result, baseline, candidates, store, chosen.interleave)
    return report_all(result, gate, store, chosen)


def _measure_in_turn(
    result: "ComparisonSet", baseline: "RunConfig", candidates: Sequence["RunConfig"], store: "Store", rounds: int
) -> None:
    """The baseline and all that was compared with it."""
    from fidelity.config import candidate_of
    from fidelity.price.interleaved import measure_in_turn

    compared = [candidate_of(baseline, config) for config in candidates if config.name not in result.not_compared]
    runs = [(baseline, result.baseline), *zip(compared, (scores.run for scores in result.candidates), strict=True)]
    measure_in_turn(runs, store=store, listener=Progress(), rounds=rounds)


def _generate(chosen: argparse.Namespace) -> int:
    from fidelity.config import load_run
    from fidelity.pipeline import generate
    from fidelity.report import profile_lines

    runs = generate(
        load_run(chosen.run),
        store=open_store(chosen.store),
        listener=Progress(),
        limit=chosen.limit,
        baseline=load_run(chosen.baseline) if chosen.baseline else None,
    )
    for run in runs:
        counts = run.manifest.counts
        print(f"{run.path}: {counts.generations} generations, {counts.failures} failures, {counts.tokens} tokens")
        if chosen.profile:
            for line in profile_lines(run):
                print(f"  {line}")
    return OK


def metrics_of(baseline: "RunConfig", kinds: Sequence[str] | None = None) -> list["Metric"]:
    """The metrics that are asked for: by --metric, else by the baseline's YAML, else the default set."""
    from fidelity.metrics import default_metrics, metric_of_kind

    written: list[Metric] = list(baseline.metrics or ())
    if not kinds:
        return written or [metric for default in default_metrics() if (metric := _as_far_as_possible(default))]
    return [m for kind in kinds for m in ([w for w in written if w.kind == kind] or [metric_of_kind(kind)])]


def _as_far_as_possible(metric: "Metric") -> "Metric | None":
    """A metric that nobody asked for, as far as it can be had here; what is left out is said."""
    from fidelity.comparison.scoring import check_can_be_scored

    try:
        check_can_be_scored(metric)
    except FidelityError as error:
        rest = metric.fallback()
        print(f"fidelity: {metric.kind} is left out{' in part' if rest else ''}: {error}", file=sys.stderr)
        return rest and _as_far_as_possible(rest)
    return metric
