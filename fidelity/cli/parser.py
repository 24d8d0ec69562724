"""Parsing arguments: every error shows the usage of the command that it is about, and names the nearest option."""

import argparse
import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

COMMANDS = "COMMAND"
"""What help and errors call a command."""


class CommandParser(argparse.ArgumentParser):
    """A parser that refuses unknown options itself: argparse leaves those of a command to the parser above it."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse all arguments; there are never unknown ones to return."""
        chosen, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}{self._suggestion(unknown[0])}")
        return chosen, unknown

    def error(self, message: str) -> NoReturn:
        """Print the usage and the problem, and exit with 2."""
        if wrong := re.search(r"argument COMMAND: invalid choice: '([^']*)'", message):
            message = f"no command {wrong[1]!r}{_nearest(wrong[1], commands_of(self))}"
        super().error(f"{message}\nfor all options: {self.prog} --help")

    def _suggestion(self, word: str) -> str:
        options = [option for action in self._actions for option in action.option_strings if option.startswith("--")]
        return _nearest(word.partition("=")[0], options) if word.startswith("-") else ""


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands of a parser, by name; none for a command that has no commands of its own."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def help_of(parser: argparse.ArgumentParser, name: str) -> str:
    """The line that the parser's help has for one of its commands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return next((str(one.help) for one in action._choices_actions if one.dest == name), "")
    return ""


def every_command(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parsers of all commands that can be run, in the order of the help."""
    inner = commands_of(parser)
    if not inner:
        yield parser
    for command in inner.values():
        yield from every_command(command)


def _nearest(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
