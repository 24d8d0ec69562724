"""`fidelity baseline` and `fidelity export-prompts`."""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from fidelity.cli.options import (
    COULD_NOT_JUDGE,
    OK,
    STDIN,
    Commands,
    add_limit,
    add_store,
    open_store,
    read_stdin,
)
from fidelity.cli.progress import ProgressBar
from fidelity.cli.terminal import echo
from fidelity.errors import ConfigError


def add_to(commands: Commands) -> None:
    """Add these commands to the parser's."""
    baseline = commands.add_parser("baseline", help="export a baseline and its controls as files to commit")
    baselines = baseline.add_subparsers(required=True, metavar="COMMAND")
    export = baselines.add_parser(
        "export", help="write a baseline and its controls to a directory, to use as {kind: stored, path: DIR}"
    )
    export.add_argument("run", type=Path, help="the baseline's YAML file; missing runs are generated")
    export.add_argument("directory", type=Path, metavar="DIR", help="the directory to write")
    export.add_argument("--replace", action="store_true", help="replace the baseline that is already there")
    export.set_defaults(command=_export, yaml=("run",))
    fit = baselines.add_parser("check", help="check whether an exported baseline still matches")
    fit.add_argument("directory", type=Path, metavar="DIR", help="the exported baseline")
    fit.add_argument(
        "run", type=Path, nargs="?", help="the baseline's current YAML file (default: the one it was exported with)"
    )
    fit.set_defaults(command=_check, yaml=("run",))
    for command in (export, fit):
        add_limit(command)
        add_store(command)
    prompts = commands.add_parser("export-prompts", help="write a run's prompts as the model receives them")
    prompts.add_argument(
        "run", help="the run's YAML file, or a prompt set alone: starter, a file, hf:DATASET, or - for stdin"
    )
    prompts.add_argument("file", type=Path, metavar="FILE", help="the file to write (.jsonl or .parquet)")
    prompts.add_argument("--openai-batch", action="store_true", help="write the input file of an OpenAI batch (.jsonl)")
    add_limit(prompts)
    prompts.set_defaults(command=_export_prompts)


def _export(chosen: argparse.Namespace) -> int:
    from fidelity.baselines import export
    from fidelity.config import load_run
    from fidelity.pipeline import generate

    if chosen.directory.exists() and not chosen.directory.is_dir():
        raise ConfigError(f"{chosen.directory}: is a file; name a directory to write the baseline to")
    config = load_run(chosen.run)
    runs = generate(config, store=open_store(chosen.store), listener=ProgressBar(chosen), limit=chosen.limit)
    export(runs, chosen.directory, replace=chosen.replace)
    controls = f"{len(runs) - 1} control" + ("" if len(runs) == 2 else "s")
    echo(f"{chosen.directory}: {runs[0].name} and {controls}; commit it, and use it as {{kind: stored, path: ...}}")
    return OK


def _export_prompts(chosen: argparse.Namespace) -> int:
    from fidelity.runs.export_prompts import batch_rows, rendered_rows, write_rows
    from fidelity.runs.sources import prompts_source

    if chosen.openai_batch and chosen.file.suffix != ".jsonl":
        raise ConfigError(f"{chosen.file}: --openai-batch writes JSONL; give the file the extension .jsonl")
    with TemporaryDirectory(prefix="fidelity-") as temporary:
        config = prompts_source(read_stdin(Path(temporary)) if chosen.run == STDIN else chosen.run)
        rows = (batch_rows if chosen.openai_batch else rendered_rows)(config, limit=chosen.limit)
    write_rows(rows, chosen.file)
    echo(f"{chosen.file}: {len(rows)} prompts; compare the answers with {{kind: recorded, path: ...}}")
    return OK


def _check(chosen: argparse.Namespace) -> int:
    from fidelity.baselines import check
    from fidelity.config import load_run

    config = load_run(chosen.run) if chosen.run else None
    remembered = open_store(chosen.store).remembered_hashes
    findings = check(chosen.directory, config=config, limit=chosen.limit, remembered=remembered)
    words = {True: "same", False: "DIFFERS", None: "can't tell"}
    for finding in findings:
        echo(f"{words[finding.fits]:10}  {finding.what}{': ' if finding.detail else ''}{finding.detail}")
    differs = [finding.what for finding in findings if finding.fits is False]
    if differs:
        echo(f"{chosen.directory}: no longer matches ({', '.join(differs)}); export it again with --replace")
        return COULD_NOT_JUDGE
    unknown = (
        " as far as it can be checked on this machine" if any(finding.fits is None for finding in findings) else ""
    )
    echo(f"{chosen.directory}: matches{unknown}")
    return OK
