"""`fidelity compare` and `fidelity generate`."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fidelity.cli.options import (
    COULD_NOT_JUDGE,
    FAILED,
    OK,
    STANDARD_OUTPUT,
    STDIN,
    Commands,
    add_keep_failures,
    add_limit,
    add_store,
    add_workers,
    open_store,
    positive,
    read_stdin,
    workers_of,
)
from fidelity.cli.progress import ProgressBar
from fidelity.cli.reports import REPORTS, add_reports, check_reports, report_all
from fidelity.cli.terminal import echo, open_console
from fidelity.errors import ConfigError
from fidelity.outside.secrets import masked
from fidelity.prompts import PROMPT_SETS

if TYPE_CHECKING:
    from fidelity.comparison.results import ComparisonSet
    from fidelity.config import RunConfig
    from fidelity.metrics import Metric
    from fidelity.store.store import Store


SOURCES = (
    "a YAML file, a model's directory or Hub id, recorded outputs (.jsonl, .json, .csv, .parquet; - for JSONL from "
    "standard input), or a finished run"
)
DEFAULT_PROMPTS = "starter"
BOTH = ("continuous", "invariant")
"""The ways of batching of `--both`: what users see, and what the format changes."""
BY_SEVERITY = (OK, COULD_NOT_JUDGE, FAILED)
BASELINE_ONLY = ("control", "kl", "metrics", "price_per_hour")
"""Keys that `--set` gives to the baseline alone; the candidates take the shared keys from it."""


def add_to(commands: Commands) -> None:
    """Add these commands to the parser's."""
    compare = commands.add_parser(
        "compare", help="compare candidates with a baseline, generating the runs that are missing"
    )
    _add_sources(compare)
    compare.add_argument(
        "--metric", action="append", metavar="KIND", help="score only this metric (repeatable; see: fidelity metrics)"
    )
    compare.add_argument(
        "--gate", type=Path, metavar="FILE", help="judge with this gate.yaml; exit code 0 pass, 1 fail, 2 inconclusive"
    )
    compare.add_argument(
        "--until-decided",
        action="store_true",
        help="stop generating a candidate as soon as the gate can decide (needs --gate)",
    )
    compare.add_argument(
        "--interleave",
        type=positive,
        nargs="?",
        const=3,
        default=0,
        metavar="ROUNDS",
        help="time the runs in turn (A B A B), opening the engines again for each round (default: 3 rounds)",
    )
    compare.add_argument(
        "--both",
        action="store_true",
        help="compare twice, with batching: continuous (what users see) and invariant (what the format changes), and "
        "print the difference: kernels and batch noise",
    )
    add_workers(compare)
    add_reports(compare)
    compare.set_defaults(command=_compare, jsonl=("baseline", "candidates", "control"), yaml=("gate",))

    generate = commands.add_parser("generate", help="generate one run and its controls")
    generate.add_argument("run", type=Path, help="the run's YAML file")
    generate.add_argument(
        "--baseline",
        type=Path,
        metavar="YAML",
        help="generate it as a candidate of this baseline, with its prompts and sampling",
    )
    generate.add_argument("--profile", action="store_true", help="print where the time was spent")
    generate.set_defaults(command=_generate, yaml=("run", "baseline"))

    for command in (compare, generate):
        add_limit(command)
        add_keep_failures(command)
        add_store(command, urls=True)


def _add_sources(compare: argparse.ArgumentParser) -> None:
    """What is compared, and what takes the place of keys in a YAML file."""
    compare.add_argument("baseline", help=f"the baseline: {SOURCES}")
    compare.add_argument("candidates", nargs="+", help="one or more candidates, each named in the same way")
    compare.add_argument(
        "--control",
        action="append",
        metavar="FILE|N|none",
        help="the baseline again: recorded files (repeatable), or how many runs to generate (1)",
    )
    compare.add_argument(
        "--prompts",
        metavar="SET",
        help=f"{', '.join(PROMPT_SETS)}, a file (JSONL, JSON, CSV, Parquet or text), hf:DATASET[:SPLIT] or - for stdin "
        "(starter, where a model is named)",
    )
    compare.add_argument("--max-tokens", type=positive, metavar="N", help="the longest answer, in tokens (256)")
    compare.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="KEY=VALUE",
        help="any key of the YAML, for the baseline and, unless they share it, the candidates: engine.dtype=float16",
    )


def _compare(chosen: argparse.Namespace) -> int:
    return _compare_both(chosen) if chosen.both else _compared(chosen)[1]


def _compared(chosen: argparse.Namespace) -> tuple["ComparisonSet", int]:
    """The comparison, and its exit code."""
    from fidelity.gate import load_gate
    from fidelity.pipeline import ComparisonRequest, compare

    sources = map(Path, (chosen.baseline, *chosen.candidates))
    check_reports(chosen, inputs=[*sources, *([chosen.gate] if chosen.gate else [])])
    gate = load_gate(chosen.gate) if chosen.gate else None
    baseline = _baseline(chosen)
    progress = ProgressBar(chosen)
    candidates, not_read = _readable(chosen.candidates, chosen.settings, progress)
    store = open_store(chosen.store)
    request = ComparisonRequest(
        baseline=baseline,
        candidates=candidates,
        metrics=metrics_of(baseline, chosen.metric),
        limit=chosen.limit,
        gate=gate,
        until_decided=chosen.until_decided,
        must_be_in_reach=True,
        keep_failures=chosen.keep_failures,
        workers=workers_of(chosen),
    )
    result = compare(request, store=store, listener=progress)
    result = replace(result, not_compared=not_read | result.not_compared)
    if chosen.interleave:
        _measure_in_turn(result, baseline, candidates, store, chosen.interleave, progress)
    return result, report_all(result, gate, store, chosen)


def _compare_both(chosen: argparse.Namespace) -> int:
    """Compare with each way of batching; the worse exit code of the two."""
    from fidelity.report import print_modes
    from fidelity.runs.sources import config_of

    if (kind := config_of(chosen.baseline).engine.kind) != "vllm":
        raise ConfigError(
            f"--both: needs the engine 'vllm', which has both ways of batching; the baseline's is {kind!r}"
        )
    if any(setting.startswith("batching=") for setting in chosen.settings):
        raise ConfigError("--both: sets 'batching' itself; remove --set batching=...")
    if chosen.format != "text" or STANDARD_OUTPUT in (getattr(chosen, option) for option in REPORTS):
        raise ConfigError("--both: prints two comparisons as text; write the reports to files, or use --output DIR")
    results, codes = {}, []
    for batching in BOTH:
        echo(f"\nbatching: {batching}", to=sys.stderr)
        settings = [*chosen.settings, f"batching={batching}"]
        own = argparse.Namespace(**{**vars(chosen), **_reports_of(chosen, batching), "settings": settings})
        results[batching], code = _compared(own)
        codes.append(code)
    if chosen.format == "text":
        print_modes(results, open_console())
    return max(codes, key=BY_SEVERITY.index)


def _reports_of(chosen: argparse.Namespace, batching: str) -> dict[str, Path | None]:
    """The reports of one of two comparisons: the way of batching is added to the files' names."""
    named = {option: getattr(chosen, option) for option in REPORTS}
    files = {option: path.with_stem(f"{path.stem}-{batching}") for option, path in named.items() if path}
    folder = {"output": chosen.output / batching} if chosen.output else {}
    return {**files, **folder}


def _baseline(chosen: argparse.Namespace) -> "RunConfig":
    """Return the baseline as its file and the options have it; a model without prompts gets the starter set."""
    from fidelity.runs.sources import config_of, with_control, with_options

    config = config_of(chosen.baseline)
    needs_prompts = config.model is not None and config.prompts is None
    prompts = chosen.prompts or (DEFAULT_PROMPTS if needs_prompts else None)
    if prompts == STDIN:
        prompts = str(read_stdin(chosen.store / "prompts").resolve())
    config = with_options(config, prompts=prompts, max_tokens=chosen.max_tokens, settings=chosen.settings)
    match chosen.control:
        case None:
            return config
        case [number] if number.isdecimal() or number == "none":
            return with_control(config, 0 if number == "none" else int(number))
        case files:
            return with_control(config, files)


def _readable(
    sources: Sequence[str], settings: Sequence[str], progress: ProgressBar
) -> tuple[list["RunConfig"], dict[str, str]]:
    """Read the candidates. Returns the configs, and the error of each one that can't be read.

    Raises:
        ConfigError: None of them can be read.
    """
    from fidelity.config.run import SHARED
    from fidelity.runs.sources import config_of, with_options

    own = [one for one in settings if one.partition("=")[0].partition(".")[0] not in {*SHARED, *BASELINE_ONLY}]
    candidates, errors = [], {}
    for source in sources:
        try:
            candidates.append(with_options(config_of(source), settings=own))
        except ConfigError as error:
            errors[Path(source).name] = str(error)
    if not candidates:
        raise ConfigError("\n".join(errors.values()))
    for name, why in errors.items():
        progress.say(f"{name}: not compared: {why}")
    return candidates, errors


def _measure_in_turn(
    result: "ComparisonSet",
    baseline: "RunConfig",
    candidates: Sequence["RunConfig"],
    store: "Store",
    rounds: int,
    progress: ProgressBar,
) -> None:
    """Measure the baseline and the candidates that were compared with it, in turn."""
    from fidelity.config import candidate_of
    from fidelity.price.interleaved import measure_in_turn

    compared = [candidate_of(baseline, config) for config in candidates if config.name not in result.not_compared]
    runs = [(baseline, result.baseline), *zip(compared, (scores.run for scores in result.candidates), strict=True)]
    measure_in_turn(runs, store=store, listener=progress, rounds=rounds)


def _generate(chosen: argparse.Namespace) -> int:
    from fidelity.config import load_run
    from fidelity.pipeline import generate
    from fidelity.report import profile_lines

    config = load_run(chosen.run)
    if config.model and config.prompts is None and not chosen.baseline:
        raise ConfigError(
            f"{chosen.run}: 'prompts' is missing; add prompts: starter, or generate it as a candidate with --baseline "
            f"base.yaml"
        )
    runs = generate(
        config,
        store=open_store(chosen.store),
        listener=ProgressBar(chosen),
        limit=chosen.limit,
        baseline=load_run(chosen.baseline) if chosen.baseline else None,
        keep_failures=chosen.keep_failures,
    )
    for run in runs:
        counts = run.manifest.counts
        place = f"{masked(chosen.store_url)}/runs/{run.id}" if "store_url" in chosen else run.path
        echo(f"{place}: {counts.generations} generations, {counts.failures} failures, {counts.tokens} tokens")
        if chosen.profile:
            for line in profile_lines(run):
                echo(f"  {line}")
    failed = sum(run.manifest.counts.world_failures for run in runs)
    if failed and not chosen.keep_failures:
        why = "failed because of the server or the network; run again to ask them again"
        echo(f"fidelity: {failed} prompts {why}, or with --keep-failures to leave them", to=sys.stderr)
        return COULD_NOT_JUDGE
    return OK


def metrics_of(baseline: "RunConfig", kinds: Sequence[str] | None = None) -> list["Metric"]:
    """The chosen metrics: those of --metric, else of the baseline's YAML, else the default set.

    Raises:
        ConfigError: There is no metric of a kind, or one option names several.
    """
    for kind in kinds or ():
        if "," in kind:
            options = " ".join(f"--metric {one.strip()}" for one in kind.split(","))
            raise ConfigError(f"--metric {kind}: an option names one metric; write {options}")
    from fidelity.comparison.metric_choice import choose_metrics

    return choose_metrics(baseline, kinds, on_left_out=lambda text: echo(f"fidelity: {text}", to=sys.stderr))
