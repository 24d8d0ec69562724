"""`-` in place of a file of recorded outputs: JSONL from standard input."""

import argparse
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from fidelity.cli.options import STDIN
from fidelity.errors import ConfigError


@contextmanager
def with_standard_input(chosen: argparse.Namespace) -> Iterator[argparse.Namespace]:
    """Give the arguments with a temporary file in place of the `-` among those that the command lists as `jsonl`.

    Where `-` is YAML, `read_yaml` reads it, with paths relative to the current directory.

    Raises:
        ConfigError: Two arguments are `-`.
    """
    arguments = vars(chosen)
    names = [name for name in arguments.get("jsonl", ()) if STDIN in _values(arguments[name])]
    yaml = [name for name in arguments.get("yaml", ()) if arguments[name] == Path(STDIN)]
    if len(yaml) + sum(_values(arguments[name]).count(STDIN) for name in names) > 1:
        raise ConfigError("'-' is given more than once; standard input can be read once: write the rest to files")
    if not names:
        yield chosen
        return
    with TemporaryDirectory(prefix="fidelity-stdin-") as folder:
        file = Path(folder, "stdin.jsonl")
        with file.open("wb") as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
        (name,) = names
        value = arguments[name]
        replaced = [str(file) if one == STDIN else one for one in value] if isinstance(value, list) else str(file)
        yield argparse.Namespace(**{**arguments, name: replaced})


def _values(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]
