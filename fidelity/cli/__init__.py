"""The command line: arguments and exit codes, one module per group of commands.

0: pass, or no gate was given. 1: fail. 2: could not judge, or any error. 130: Ctrl-C.
"""

import argparse
import sys
import traceback
from collections.abc import Sequence

from fidelity import __version__
from fidelity.cli import (
    checking,
    comparing,
    demonstrating,
    exporting,
    gating,
    inspecting,
    listing,
    recommending,
    showing,
    studying,
    tokens,
)
from fidelity.cli.options import COULD_NOT_JUDGE
from fidelity.cli.terminal import echo
from fidelity.errors import FidelityError

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        chosen = _parser().parse_args(arguments)
        code: int = chosen.command(chosen)
        return code
    except FidelityError as error:
        echo(f"fidelity: {error}", to=sys.stderr)
    except KeyboardInterrupt:
        echo("fidelity: interrupted; finished answers are saved, run the command again to continue", to=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        pass
    except Exception:
        echo(traceback.format_exc(), to=sys.stderr)
        echo("fidelity: internal error; please report it with the lines above", to=sys.stderr)
    return COULD_NOT_JUDGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fidelity", description="Measure how a quantized model's outputs diverge from the original model's."
    )
    parser.add_argument("--version", action="version", version=f"fidelity {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in (
        demonstrating,
        comparing,
        studying,
        gating,
        recommending,
        exporting,
        listing,
        checking,
        showing,
        inspecting,
        tokens,
    ):
        group.add_to(commands)
    return parser
