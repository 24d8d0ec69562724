"""`fidelity gate` and `fidelity history`."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from fidelity.cli.options import OK, Commands, add_store, open_store, write
from fidelity.cli.reports import add_reports, check_reports, report_all
from fidelity.cli.terminal import echo, open_console
from fidelity.errors import ConfigError


def add_to(commands: Commands) -> None:
    """Add these commands to the parser's."""
    gate = commands.add_parser("gate", help="judge a comparison that lies in a store, or begin a gate.yaml with it")
    gates = gate.add_subparsers(required=True, metavar="COMMAND")
    check = gates.add_parser("check", help="judge again, without a model")
    check.add_argument("comparison", type=Path, metavar="COMPARISON", help="its directory, DIR/comparisons/NAME")
    check.add_argument("--gate", type=Path, required=True, metavar="FILE", help="the gate.yaml")
    add_reports(check)
    check.set_defaults(command=_check)

    init = gates.add_parser("init", help="propose a gate.yaml from a comparison's floor and prompts")
    init.add_argument("comparison", type=Path, metavar="COMPARISON", help="its directory, DIR/comparisons/NAME")
    init.add_argument(
        "--purpose", choices=("strict", "balanced", "lenient"), default="balanced", help="how much drift is acceptable"
    )
    init.add_argument("--margin", type=_limit, action="append", metavar="COLUMN=X", help="a margin that is wanted")
    init.add_argument("--breaks", type=_limit, action="append", metavar="CHECK=X", help="a share of breaks, the same")
    init.add_argument("--output", type=Path, default=Path("gate.yaml"), metavar="FILE", help="(gate.yaml)")
    init.set_defaults(command=_init)

    history = commands.add_parser("history", help="a gate's numbers over the past comparisons of a baseline")
    history.add_argument("baseline", nargs="?", help="a run's name or id (that of the newest comparison)")
    history.add_argument("--gate", type=Path, required=True, metavar="FILE", help="the gate.yaml")
    history.add_argument("--json", type=Path, metavar="FILE", help="write the entries, unrounded, as JSON")
    add_store(history)
    history.set_defaults(command=_history)


def _check(chosen: argparse.Namespace) -> int:
    from fidelity.comparison.results import load_comparison
    from fidelity.gate import load_gate

    check_reports(chosen, inputs=[chosen.gate])
    gate = load_gate(chosen.gate)
    result = load_comparison(chosen.comparison)
    return report_all(result, gate, open_store(chosen.comparison.resolve().parent.parent), chosen)


def _init(chosen: argparse.Namespace) -> int:
    from fidelity.comparison.results import evidence_of, load_comparison
    from fidelity.gate import draft

    result = load_comparison(chosen.comparison)
    text = draft(
        evidence_of(result, result.candidates[0]),
        purpose=chosen.purpose,
        margins=dict(chosen.margin or ()),
        breaks=dict(chosen.breaks or ()),
    )
    if chosen.output.exists():
        raise ConfigError(f"{chosen.output}: is there already, and is not overwritten; name another with --output")
    write(chosen.output, text)
    echo(f"{chosen.output}: written, for a {chosen.purpose} purpose; read the reasons in it, then delete 'provisional'")
    return OK


def _history(chosen: argparse.Namespace) -> int:

    from fidelity.comparison.history import history
    from fidelity.gate import load_gate
    from fidelity.report import print_history

    entries = history(open_store(chosen.store), load_gate(chosen.gate), baseline=chosen.baseline)
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
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=X with a number X above 0")
    return name, value
