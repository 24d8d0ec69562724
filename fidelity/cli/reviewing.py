"""`fidelity reviews`: the votes that reviewers gave in the dashboard, as a table and as a result."""

import argparse
import json
from pathlib import Path

from fidelity.cli.options import OK, STANDARD_OUTPUT, Commands, add_comparison, add_json, comparison_of, write
from fidelity.cli.terminal import echo
from fidelity.errors import ConfigError


def add_to(commands: Commands) -> None:
    """Add this command to the parser's."""
    reviews = commands.add_parser("reviews", help="export reviewers' votes on pairs, or say what they add up to")
    actions = reviews.add_subparsers(required=True, metavar="COMMAND")
    export = actions.add_parser("export", help="write the newest vote of each reviewer on each pair")
    add_comparison(export)
    export.add_argument(
        "--output",
        type=Path,
        default=STANDARD_OUTPUT,
        metavar="FILE",
        help="the file to write, .jsonl or .csv (default: JSONL to standard output)",
    )
    export.add_argument("--texts", action="store_true", help="add the prompts and both answers")
    export.set_defaults(command=_export)
    summary = actions.add_parser("summary", help="whether the candidate's answers are worse, with an exact interval")
    add_comparison(summary)
    add_json(summary, "the counts, the interval and the outcome")
    summary.set_defaults(command=_summarize)


def _export(chosen: argparse.Namespace) -> int:
    from fidelity.comparison.reviews import review_rows
    from fidelity.report.rows import as_csv, as_jsonl

    path = chosen.output
    if path != STANDARD_OUTPUT and path.suffix not in (".jsonl", ".csv"):
        raise ConfigError(f"--output {path}: give the file the extension .jsonl or .csv")
    rows = list(review_rows(comparison_of(chosen), texts=chosen.texts))
    write(path, as_csv(rows) if path.suffix == ".csv" else as_jsonl(rows))
    if path != STANDARD_OUTPUT:
        echo(f"{path}: {len(rows)} vote{'' if len(rows) == 1 else 's'}")
    return OK


def _summarize(chosen: argparse.Namespace) -> int:
    from fidelity.comparison.reviews import review_summary, vote_summaries

    comparison = comparison_of(chosen)
    summary = review_summary(comparison)
    judges = [one for one in vote_summaries(comparison) if one.judge]
    if chosen.json:
        data = {**summary.as_data(), "judges": [judge.as_data() for judge in judges]}
        write(chosen.json, json.dumps(data, indent=2, ensure_ascii=False) + "\n")
        if chosen.json == STANDARD_OUTPUT:
            return OK
    for one in [summary, *judges] if summary.votes or not judges else judges:
        for line in (one.in_words(), *one.details()):
            echo(line)
    return OK
