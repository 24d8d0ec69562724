"""Arguments that several commands share, opening the store, and writing files."""

import argparse
import hashlib
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from fidelity.cli.terminal import echo
from fidelity.errors import ConfigError, StoreError
from fidelity.outside.ray_cluster import connected
from fidelity.outside.secrets import masked
from fidelity.schema import nearest

if TYPE_CHECKING:
    from fidelity.cli.parser import CommandParser
    from fidelity.comparison.workers import Workers
    from fidelity.store.store import Store

OK, FAILED, COULD_NOT_JUDGE = 0, 1, 2
STDIN = "-"
"""The name of standard input in place of a file."""
STANDARD_OUTPUT = Path("-")
"""Standard output in place of a report's file."""
Commands: TypeAlias = "argparse._SubParsersAction[CommandParser]"


def add_store(command: argparse.ArgumentParser, *, urls: bool = False) -> None:
    """`--store DIR`; with `urls` also `--store URL`, for which the command gets a working folder."""
    command.add_argument(
        "--store",
        type=_folder_or_url if urls else _folder,
        default=Path("fidelity-store"),
        metavar="DIR",
        help="the directory for runs and scores (default: fidelity-store)"
        + (", or a URL such as s3://bucket/folder" if urls else ""),
    )


def _folder(text: str) -> Path:
    location = _folder_or_url(text)
    if isinstance(location, Path):
        return location
    url = masked(text)
    raise argparse.ArgumentTypeError(
        f"{url}: at a URL only compare, generate and study work; copy it: fidelity store copy {url} DIR"
    )


def _folder_or_url(text: str) -> Path | str:
    from fidelity.store.places import LOCAL, is_url

    return text if is_url(text) else Path(text.removeprefix(LOCAL))


@contextmanager
def with_working_folder(chosen: argparse.Namespace) -> Iterator[argparse.Namespace]:
    """Give the arguments with a local folder in place of a store at a URL, which has its content and gets its changes.

    Raises:
        FidelityError: The URL can't be reached.
    """
    url = getattr(chosen, "store", None)
    if not isinstance(url, str):
        yield chosen
        return
    from fidelity.store.mirror import working_folder
    from fidelity.store.places import UrlPlace

    with working_folder(UrlPlace(url), on_message=lambda text: echo(text, to=sys.stderr)) as folder:
        yield argparse.Namespace(**{**vars(chosen), "store": folder, "store_url": url})
    if not chosen.quiet:  # standard output can be JSON
        view = f"to view it: fidelity store copy {masked(url)} DIR, then fidelity dashboard --store DIR"
        echo(f"the store is at {masked(url)}; {view}", to=sys.stderr)


def add_limit(command: argparse.ArgumentParser) -> None:
    """`--limit N`."""
    command.add_argument("--limit", type=positive, metavar="N", help="use only the first N prompts")


def add_workers(command: argparse.ArgumentParser) -> None:
    """`--workers N`, or `ray` with an address."""
    command.add_argument(
        "--workers",
        type=_workers,
        metavar="N",
        help="how many processes may score (default: one per core; they start only where that saves time), "
        "or ray or ray:HOST:PORT for the cores of a Ray cluster",
    )


def _workers(text: str) -> "Workers":
    kind, _, address = text.partition(":")
    return (address or "auto") if kind == "ray" else positive(text)


def workers_of(chosen: argparse.Namespace) -> "Workers":
    """The processes that may score.

    Raises:
        FidelityError: There is no such cluster.
    """
    from fidelity.comparison.workers import available_cores

    if isinstance(chosen.workers, str):
        connected(chosen.workers, option=f"--workers ray:{chosen.workers}")
    return chosen.workers or available_cores()


def add_keep_failures(command: argparse.ArgumentParser) -> None:
    """`--keep-failures`."""
    command.add_argument(
        "--keep-failures",
        action="store_true",
        help="leave prompts that failed because of a server or the network as they are; else they are asked again",
    )


def add_json(command: argparse.ArgumentParser, what: str) -> None:
    """`--json [FILE]`: data in place of the text."""
    command.add_argument(
        "--json",
        type=Path,
        nargs="?",
        const=STANDARD_OUTPUT,
        metavar="FILE",
        help=f"write {what} as JSON to a file, or in place of the text to standard output",
    )


def add_comparison(command: argparse.ArgumentParser) -> None:
    """`COMPARISON` and `--store DIR`."""
    command.add_argument(
        "comparison",
        metavar="COMPARISON",
        help="the comparison: its directory, its id (see: fidelity list), or the beginning of its id",
    )
    add_store(command)


def comparison_of(chosen: argparse.Namespace) -> Path:
    """The directory of the comparison that a command was given.

    Raises:
        ConfigError: There is none of this name, or several begin with it.
    """
    given = Path(chosen.comparison)
    if given.exists() or given.is_absolute():
        return given
    root: Path = chosen.store
    names = sorted(path.parent.name for path in root.glob("comparisons/*/manifest.json"))
    matches = [name for name in names if name == chosen.comparison] or [
        name for name in names if name.startswith(chosen.comparison)
    ]
    if len(matches) == 1:
        return root / "comparisons" / matches[0]
    if matches:
        raise ConfigError(f"{chosen.comparison}: {len(matches)} comparisons begin with it ({', '.join(matches)})")
    if not names:
        raise ConfigError(
            f"{chosen.comparison}: no such directory, and {root} has no comparison; name the store with --store DIR"
        )
    raise ConfigError(f"{chosen.comparison}: no such comparison in {root}{nearest(chosen.comparison, names)}")


def open_store(root: Path) -> "Store":
    """Open the store in a directory, which need not exist yet."""
    from fidelity.store.store import Store

    if root.exists() and not root.is_dir():
        raise ConfigError(f"{root}: is a file; give --store a directory")
    return Store(root)


def number(text: str) -> float:
    """An option's value of at least 0, which may be infinite."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 0")
    return value


def positive_number(text: str) -> float:
    """An option's value above 0, which may be infinite."""
    if not (value := number(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def finite_number(text: str) -> float:
    """An option's value above 0."""
    if math.isinf(value := positive_number(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value


def read_stdin(folder: Path) -> Path:
    """Save standard input as a file, named by its content.

    Raises:
        ConfigError: It is empty.
        StoreError: The file can't be written.
    """
    data = sys.stdin.buffer.read()
    if not data.strip():
        raise ConfigError("-: standard input is empty; pipe prompts into the command, or name a file")
    path = folder / f"stdin-{hashlib.sha256(data).hexdigest()[:12]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise StoreError(f"{path}: can't be written ({error.strerror})") from error
    return path


def write(path: Path, text: str) -> None:
    """Write a report's file, or to standard output if the path is `-`."""
    if path == STANDARD_OUTPUT:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path}: can't be written ({error.strerror})") from error


def check_writable(path: Path, option: str) -> None:
    """Check that a file can be written, and create its folders.

    Raises:
        ConfigError: The file can't be written.
    """
    try:
        existed = path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab"):
            pass
        if not existed:
            path.unlink()
    except OSError as error:
        raise ConfigError(f"{option} {path}: can't be written ({error.strerror}); choose another path") from error


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)
