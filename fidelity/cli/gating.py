"""`fidelity gate` and `fidelity history`."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from fidelity.cli.options import (
    OK,
    STANDARD_OUTPUT,
    Commands,
    add_comparison,
    add_json,
    add_store,
    comparison_of,
    open_store,
    write,
)
from fidelity.cli.reports import add_reports, check_reports, report_all
from fidelity.cli.terminal import echo, open_console
from fidelity.errors import ConfigError


def add_to(commands: Commands) -> None:
    """Add these commands to the parser's."""
    gate = commands.add_parser("gate", help="judge a stored comparison, or write a first gate.yaml for it")
    gates = gate.add_subparsers(required=True, metavar="COMMAND")
    check = gates.add_parser("check", help="judge a stored comparison again; no model is needed")
    add_comparison(check)
    check.add_argument("--gate", type=Path, required=True, metavar="FILE", help="the gate file (gate.yaml)")
    add_reports(check)
    check.set_defaults(command=_check, yaml=("gate",))

    init = gates.add_parser("init", help="propose a gate.yaml from a comparison's floor and number of prompts")
    add_comparison(init)
    init.add_argument(
        "--purpose",
        choices=("strict", "balanced", "lenient"),
        default="balanced",
        help="how much drift is acceptable (default: balanced)",
    )
    init.add_argument(
        "--margin", type=_limit, action="append", metavar="COLUMN=X", help="set this margin yourself (repeatable)"
    )
    init.add_argument(
        "--breaks",
        type=_limit,
        action="append",
        metavar="CHECK=X",
        help="set this limit on breaks yourself (repeatable)",
    )
    init.add_argument(
        "--output", type=Path, default=Path("gate.yaml"), metavar="FILE", help="the file to write (default: gate.yaml)"
    )
    init.set_defaults(command=_init)

    history = commands.add_parser("history", help="show a gate's numbers over the past comparisons of a baseline")
    history.add_argument(
        "baseline", nargs="?", help="the baseline's name or id (default: that of the newest comparison)"
    )
    history.add_argument("--gate", type=Path, required=True, metavar="FILE", help="the gate file (gate.yaml)")
    add_json(history, "the entries, unrounded,")
    add_store(history)
    history.set_defaults(command=_history, yaml=("gate",))


def _check(chosen: argparse.Namespace) -> int:
    from fidelity.comparison.stored import load_comparison
    from fidelity.gate import load_gate

    check_reports(chosen, inputs=[chosen.gate])
    gate = load_gate(chosen.gate)
    path = comparison_of(chosen)
    return report_all(load_comparison(path), gate, open_store(path.resolve().parent.parent), chosen)


def _init(chosen: argparse.Namespace) -> int:
    from fidelity.comparison.evidence import evidence_of
    from fidelity.comparison.stored import load_comparison
    from fidelity.gate import draft

    result = load_comparison(comparison_of(chosen))
    text = draft(
        evidence_of(result, result.candidates[0]),
        purpose=chosen.purpose,
        margins=dict(chosen.margin or ()),
        breaks=dict(chosen.breaks or ()),
    )
    if chosen.output.exists():
        raise ConfigError(f"{chosen.output}: already exists and is not overwritten; choose another file with --output")
    write(chosen.output, text)
    echo(f"{chosen.output}: written (purpose: {chosen.purpose}); read its reasons, then delete the line 'provisional'")
    return OK


def _history(chosen: argparse.Namespace) -> int:

    from fidelity.comparison.history import history
    from fidelity.gate import load_gate
    from fidelity.report import print_history

    entries = history(open_store(chosen.store), load_gate(chosen.gate), baseline=chosen.baseline)
    if chosen.json != STANDARD_OUTPUT:
        print_history(entries, open_console())
    if chosen.json:
        write(chosen.json, json.dumps([asdict(entry) for entry in entries], indent=2, ensure_ascii=False) + "\n")
    return OK


def _limit(text: str) -> tuple[str, float]:
    name, _, number = text.rpartition("=")
    try:
        value = float(number)
    except ValueError:
        value = 0.0
    if not (name and 0 < value < float("inf")):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=X with a number X above 0")
    return name, value
