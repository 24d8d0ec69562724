"""Rows of a file, whatever its format: JSONL, a JSON array, CSV, Parquet, or a text with one prompt per line."""

import csv
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, TypeAlias

from fidelity.errors import ConfigError
from fidelity.outside.documents import DuplicateKeyError, place_of_duplicate, read_json
from fidelity.outside.paths import open_regular, read_regular
from fidelity.outside.tables import read_table
from fidelity.spool import Spool

GZIP = b"\x1f\x8b"
"""The first bytes of a file compressed by gzip."""
PARQUET = b"PAR1"
"""The first bytes of a Parquet file."""
LINES = (".jsonl", ".ndjson")
COLUMNS = {".csv": ",", ".tsv": "\t"}
TEXTS = (".txt", ".text")
IN_CELLS = ("messages", "conversations", "token_ids", "logprobs", "prompt_token_ids", "tool_calls", "tools")
"""Columns of a CSV file whose cells are JSON."""
HEADER = frozenset({"prompt", "messages", "conversations", "question", "instruction"})
"""Column names that tell a CSV file from a text, where there is no extension."""
LONGEST_CELL = 10_000_000
"""Characters of a cell of a CSV file."""
NEWLINE = b"\n"
REPAIR = "; remove one of the two, since only one of them can be meant"

JsonRow = dict[str, Any]
"""A row of a file from outside, before validation."""
Rows: TypeAlias = Sequence[tuple[str, JsonRow]]
"""Rows, each with its place ("FILE, line N") for error messages. Those of a JSONL file may be outside of memory."""


def read_rows(path: Path) -> Rows:
    """Read the rows of a file. Blank lines are skipped.

    The extension names the format of CSV, TSV and plain text; the content that of everything else.

    Raises:
        ConfigError: The file can't be read, or is damaged.
    """
    first = _first_line(path)
    begins = first[:1]
    if path.suffix == ".parquet" or first.startswith(PARQUET):
        return _read_parquet(path)
    if path.suffix in COLUMNS:
        return _read_columns(path, _text(path), COLUMNS[path.suffix])
    if path.suffix in TEXTS:
        return _read_text(path, _text(path))
    if begins == b"[" or (begins == b"{" and not _is_json(first)):
        return _read_document(path, _content(path))
    if begins == b"{" or path.suffix in (*LINES, ".json") or first.startswith(GZIP):
        return read_jsonl(path)
    text = _text(path)
    return _read_columns(path, text, ",") if _has_header(text) else _read_text(path, text)


def _has_header(text: str) -> bool:
    """Whether a text without an extension begins with a line of column names."""
    names = [name.strip() for name in text.partition("\n")[0].split(",")]
    return len(names) > 1 and not HEADER.isdisjoint(names)


def _first_line(path: Path) -> bytes:
    """The first line that isn't blank, without the blanks before it; empty if there is none."""
    return next((line for _, line in _lines(path)), b"").lstrip().removesuffix(NEWLINE)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that aren't blank, with their numbers from 1; one is in memory."""
    try:
        with open_regular(path) as file:
            for number, line in enumerate(file, start=1):
                content = line.removeprefix(BOM_UTF8) if number == 1 else line
                if content.strip():
                    yield number, content
    except OSError as error:
        raise _not_readable(path, error) from error


def _content(path: Path) -> bytes:
    try:
        return read_regular(path).removeprefix(BOM_UTF8)
    except OSError as error:
        raise _not_readable(path, error) from error


def _not_readable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{path}: can't be read ({error.strerror}); name an existing file")


def _text(path: Path) -> str:
    data = _content(path)
    if data.startswith(GZIP):
        raise ConfigError(f"{path}: is compressed; unpack it first")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); convert it") from error


def _is_json(text: bytes) -> bool:
    try:
        read_json(text, unique_keys=False)
    except (ValueError, RecursionError):
        return False
    return True


def _read_document(path: Path, data: bytes) -> Rows:
    """The rows of a JSON array, or one row from an object over several lines; else the file is read line by line."""
    try:
        document = read_json(data)
    except DuplicateKeyError as error:
        where = f"{path}, line {data.count(NEWLINE, 0, place_of_duplicate(data)) + 1}"
        raise ConfigError(f"{where}: {error}{REPAIR}") from None
    except (ValueError, RecursionError):
        return read_jsonl(path)
    if isinstance(document, dict):
        return [(str(path), document)]
    for number, row in enumerate(document, start=1):
        if not isinstance(row, dict):
            raise ConfigError(f"{path}, row {number}: expected a JSON object, got {type(row).__name__}")
    return [(f"{path}, row {number}", row) for number, row in enumerate(document, start=1)]


def _read_columns(path: Path, text: str, separator: str) -> Rows:
    """The rows of a CSV file with a header. An empty cell is a missing value."""
    csv.field_size_limit(LONGEST_CELL)
    reader = csv.DictReader(StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[tuple[str, JsonRow]] = []
    try:
        if twice := [name for name, times in Counter(reader.fieldnames or ()).items() if times > 1]:
            raise ConfigError(f"{path}, line 1: duplicate column {twice[0]!r}{REPAIR}")
        for cells in reader:
            where = f"{path}, line {reader.reader.line_num}"
            if None in cells:
                raise ConfigError(f"{where}: more cells than the header has columns; quote texts that have a separator")
            rows.append((where, {key: _cell(key, cell, where) for key, cell in cells.items() if cell}))
    except csv.Error as error:
        raise ConfigError(f"{path}, line {reader.reader.line_num}: not CSV ({error})") from error
    return rows


def _cell(column: str, cell: str, where: str) -> Any:
    if column not in IN_CELLS:
        return cell
    try:
        return read_json(cell)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: the column {column!r} must hold JSON ({error})") from error


def _read_text(path: Path, text: str) -> Rows:
    lines = enumerate(text.split("\n"), start=1)
    return [(f"{path}, line {number}", {"prompt": line.strip()}) for number, line in lines if line.strip()]


def _read_parquet(path: Path) -> Rows:
    import pyarrow as pa

    try:
        rows = read_table(path).to_pylist()
    except (OSError, ValueError, pa.ArrowException) as error:  # ValueError: strings that are not UTF-8
        raise ConfigError(f"{path}: can't be read as Parquet ({error})") from error
    return [(f"{path}, row {n}", {k: v for k, v in row.items() if v is not None}) for n, row in enumerate(rows, 1)]


def read_jsonl(path: Path, *, strict: bool = False) -> Rows:
    """Read the objects of a JSONL file. Blank lines are skipped.

    Args:
        path: The file.
        strict: Whether only fidelity writes such files, so that lone surrogates are damage.

    Raises:
        ConfigError: The file can't be read, or a line is not a JSON object or has a key twice.
    """
    return Spool(
        (f"{path}, line {number}", _object(line, path, number, strict=strict)) for number, line in _lines(path)
    )


def _object(line: bytes, path: Path, number: int, *, strict: bool) -> JsonRow:
    where = f"{path}, line {number}"
    try:
        row = read_json(line.removesuffix(NEWLINE), strict=strict)
    except DuplicateKeyError as error:
        raise ConfigError(f"{where}: {error}{REPAIR}") from None
    except (ValueError, RecursionError) as error:
        why = "it is compressed: unpack it first" if line.startswith(GZIP) else str(error)
        if not line.startswith(GZIP) and (isinstance(error, UnicodeDecodeError) or b"\0" in line):
            raise ConfigError(f"{where}: not UTF-8 text ({why}); save the file as UTF-8") from error
        raise ConfigError(f"{where}: not JSON ({why}); write one JSON object per line") from error
    if not isinstance(row, dict):
        raise ConfigError(f"{where}: expected a JSON object, got {type(row).__name__}")
    return row
