"""Counts of the source that show how it is laid out and how hard it is to read, as a table.

Run it on this checkout, or on others to compare them: python -m tests.counts [CHECKOUT ...]
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tests.language import banned_identifiers, banned_modules
from tests.layers import count_lines, function_lines, violations


def main(checkouts: list[str]) -> None:
    """Print a row for each count and a column for each checkout."""
    packages = [Path(checkout) / "fidelity" for checkout in checkouts or ["."]]
    rows = [(name, *(count(package) for package in packages)) for name, count in COUNTS.items()]
    widths = [max(len(str(row[column])) for row in rows) for column in range(len(packages) + 1)]
    for name, *values in rows:
        cells = (str(value).rjust(width) for value, width in zip(values, widths[1:], strict=True))
        print(name.ljust(widths[0]), *cells, sep="  ")  # noqa: T201


def _files(package: Path) -> list[Path]:
    return sorted(package.rglob("*.py"))


def _lines(package: Path) -> int:
    return sum(map(count_lines, _files(package)))


def _loose(package: Path) -> int:
    return sum(not file.stem.startswith("__") for file in package.glob("*.py"))


def _per_1000_lines(text: str) -> Callable[[Path], str]:
    def rate(package: Path) -> str:
        times = sum(file.read_text(encoding="utf-8").count(text) for file in _files(package))
        return f"{1000 * times / _lines(package):.1f}"

    return rate


def _broken(rule: str) -> Callable[[Path], int]:
    """How many violations of the layout are of one kind; of cycles the first one is named, so 1 is one or more."""
    return lambda package: sum(rule in message for message in violations(package))


def _banned(package: Path) -> int:
    sources = (file.read_text(encoding="utf-8") for file in _files(package))
    return sum(len(banned_identifiers(source)) for source in sources) + len(banned_modules(package))


def _longest(named: Iterable[tuple[str, int]]) -> str:
    name, lines = max(named, key=lambda one: one[1])
    return f"{name} {lines}"


def _longest_file(package: Path) -> str:
    return _longest((str(file.relative_to(package)), count_lines(file)) for file in _files(package))


def _functions(package: Path) -> Iterator[tuple[str, int]]:
    for file in _files(package):
        yield from ((f"{file.relative_to(package)} {name}", lines) for name, lines in function_lines(file))


def _complexities(package: Path) -> list[int]:
    """McCabe's number of each function with a branch, as ruff counts it."""
    limit = ["--config", "lint.mccabe.max-complexity=1", "--config", "lint.per-file-ignores={}"]
    command = ["ruff", "check", "--isolated", "--select", "C901", *limit, "--ignore-noqa", "--exit-zero"]
    printed = subprocess.run(
        [sys.executable, "-m", *command, "--output-format", "json", package], capture_output=True, check=True
    ).stdout
    return [int(one["message"].partition("(")[2].partition(" >")[0]) for one in json.loads(printed)]


COUNTS: dict[str, Callable[[Path], int | str]] = {
    "lines of Python": _lines,
    "modules loose at the top": _loose,
    "dict[str, Any] per 1,000 lines": _per_1000_lines("dict[str, Any]"),
    "Mapping[str, Any] per 1,000 lines": _per_1000_lines("Mapping[str, Any]"),
    "dict[str, object] per 1,000 lines": _per_1000_lines("dict[str, object]"),
    "cycles of files (1: at least one)": _broken("files import each other in a circle"),
    "imports against the order": _broken(" imports "),
    "type names defined twice": _broken(" is defined in "),
    "banned identifiers": _banned,
    "longest function": lambda package: _longest(_functions(package)),
    "functions of over 60 lines": lambda package: sum(lines > 60 for _, lines in _functions(package)),
    "longest file": _longest_file,
    "highest complexity (McCabe)": lambda package: max(_complexities(package)),
    "functions of a complexity over 10": lambda package: sum(number > 10 for number in _complexities(package)),
}

if __name__ == "__main__":
    main(sys.argv[1:])
