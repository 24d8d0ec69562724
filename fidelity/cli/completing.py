"""`fidelity help` and `fidelity completion`."""

import argparse
from collections.abc import Callable

from fidelity.cli.options import OK, Commands
from fidelity.cli.parser import commands_of, every_command
from fidelity.cli.terminal import echo
from fidelity.errors import ConfigError
from fidelity.schema import nearest

SHELLS = ("bash", "zsh", "tcsh")
FILES = ("FILE", "YAML", "DIR")
"""Placeholders of arguments that a shell completes with files."""


def add_to(commands: Commands, *, parser_of_all: Callable[[], argparse.ArgumentParser]) -> None:
    """Add these commands to the parser's."""
    help_command = commands.add_parser("help", help="show the help of fidelity or of a command")
    help_command.add_argument("words", nargs="*", metavar="COMMAND", help="the command, such as: gate check")
    help_command.set_defaults(command=lambda chosen: _help(parser_of_all(), chosen.words))
    completion = commands.add_parser("completion", help="print a script that completes fidelity's commands in a shell")
    completion.add_argument("shell", choices=SHELLS, help="the shell")
    completion.set_defaults(command=lambda chosen: _completion(parser_of_all(), chosen.shell))


def _help(parser: argparse.ArgumentParser, words: list[str]) -> int:
    for word in words:
        inner = commands_of(parser)
        if word not in inner:
            raise ConfigError(f"no command {word!r} in {parser.prog!r}{nearest(word, inner)}")
        parser = inner[word]
    echo(parser.format_help(), end="")
    return OK


def _completion(parser: argparse.ArgumentParser, shell: str) -> int:
    import shtab

    for command in every_command(parser):
        for action in command._actions:
            if action.type is not None and action.metavar in FILES:
                action.complete = shtab.DIR if action.metavar == "DIR" else shtab.FILE  # type: ignore[attr-defined]
    echo(shtab.complete(parser, shell))
    return OK
