"""The command line: arguments and exit codes, one module per group of commands.

0: pass, or no gate was given. 1: fail. 2: could not judge, or any error. 130: Ctrl-C.
"""

import argparse
import io
import sys
import traceback
from collections.abc import Sequence

from fidelity import __version__
from fidelity.cli import (
    auditing,
    chatting,
    checking,
    comparing,
    completing,
    demonstrating,
    exporting,
    gating,
    initializing,
    inspecting,
    judging,
    listing,
    pricing,
    recommending,
    reviewing,
    showing,
    studying,
    tokens,
)
from fidelity.cli.options import COULD_NOT_JUDGE, with_working_folder
from fidelity.cli.parser import COMMANDS, CommandParser, every_command
from fidelity.cli.standard_input import with_standard_input
from fidelity.cli.terminal import echo
from fidelity.errors import FidelityError
from fidelity.outside.strings import LONGEST_REASON, cut

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    verbose = False
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal in ASCII shows what it lacks as escapes
            stream.reconfigure(errors="backslashreplace")
    try:
        chosen = parser_of_all().parse_args(arguments)
        verbose = chosen.verbose
        with with_standard_input(chosen) as given, with_working_folder(given) as located:
            code: int = located.command(located)
        return code
    except FidelityError as error:
        if verbose:
            echo(traceback.format_exc(), to=sys.stderr)
        echo(f"fidelity: {error}", to=sys.stderr)
    except KeyboardInterrupt:
        echo("fidelity: interrupted; finished answers are saved, run the command again to continue", to=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        pass
    except OSError as error:  # a path that no call expects, such as one that is too long
        if verbose:
            echo(traceback.format_exc(), to=sys.stderr)
        echo(f"fidelity: {cut(str(error), LONGEST_REASON)}", to=sys.stderr)
    except Exception:  # the last resort: a defect must end with the code of an error, never with that of a verdict
        echo(traceback.format_exc(), to=sys.stderr)
        echo("fidelity: internal error; please report it with the lines above", to=sys.stderr)
    return COULD_NOT_JUDGE


def parser_of_all() -> argparse.ArgumentParser:
    """The parser of `fidelity` with all its commands."""
    parser = CommandParser(
        prog="fidelity", description="Measure how a quantized model's outputs diverge from the original model's."
    )
    parser.add_argument("--version", action="version", version=f"fidelity {__version__}")
    commands = parser.add_subparsers(required=True, metavar=COMMANDS)
    for group in (
        demonstrating,
        comparing,
        studying,
        gating,
        auditing,
        initializing,
        pricing,
        recommending,
        exporting,
        chatting,
        listing,
        checking,
        showing,
        reviewing,
        judging,
        inspecting,
        tokens,
    ):
        group.add_to(commands)
    completing.add_to(commands, parser_of_all=parser_of_all)
    for command in every_command(parser):
        amount = command.add_mutually_exclusive_group()
        amount.add_argument("-q", "--quiet", action="store_true", help="print no progress")
        amount.add_argument(
            "-v",
            "--verbose",
            action="store_true",
            help="print the seconds so far before each line of progress, and a traceback after an error",
        )
    return parser
