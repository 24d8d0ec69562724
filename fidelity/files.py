"""Atomic writes, hashes, and Parquet files."""

import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any

from fidelity.errors import StoreError
from fidelity.outside.paths import inside, open_own, open_regular
from fidelity.outside.tables import read_batches, read_table

if TYPE_CHECKING:
    import pyarrow as pa

SETTLED_NS = 1_000_000_000
"""A file that was changed more recently could change again without another time of change, so its hash isn't stored."""
ParquetRow = dict[str, Any]
"""A row of a table, by column."""


def read_parquet(file: Path, *, columns: Sequence[str] | None = None) -> "pa.Table":
    """Read a table, or some of its columns.

    Raises:
        StoreError: The file can't be read.
    """
    with damage_explained(file):
        return read_table(file, columns=columns, checksums=True)


def read_parquet_batches(file: Path, *, rows: int, columns: Sequence[str] | None = None) -> "Iterator[pa.RecordBatch]":
    """Read a table, or some of its columns, in batches of at most so many rows, one of which is in memory.

    Raises:
        StoreError: The file can't be read.
    """
    with damage_explained(file):
        yield from read_batches(file, rows=rows, columns=columns)


def sha256_of(file: Path) -> str:
    """Return the hash of a file's bytes, in hexadecimal. A file that doesn't change is read once per process.

    Raises:
        StoreError: The file can't be read.
    """
    with damage_explained(file):
        status = file.stat()
        if time.time_ns() - status.st_ctime_ns < SETTLED_NS:
            return _sha256_of(file)
        return _sha256_in_state(
            file.resolve(), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_dev, status.st_ino
        )


@lru_cache(maxsize=4096)
def _sha256_in_state(file: Path, *_: int) -> str:
    return _sha256_of(file)


def _sha256_of(file: Path) -> str:
    with open_regular(file) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_unchanged(file: Path, sha256: str | None) -> None:
    """Check that a file has the hash that was recorded when it was written; None in records of older versions.

    Raises:
        StoreError: It was changed, or can't be read.
    """
    if sha256 is not None and sha256_of(file) != sha256:
        raise StoreError(
            f"{file}: was changed after it was written; delete the folder {file.parent.name} and run again"
        )


def read_parquet_schema(file: Path) -> "pa.Schema":
    """Read a table's column names, types and metadata, without its data.

    Raises:
        StoreError: The file can't be read.
    """
    import pyarrow.parquet as pq

    with damage_explained(file), open_regular(file) as stream:
        return pq.read_schema(stream)


def wrong_column(schema: "pa.Schema", known: "pa.Schema", *, later: Container[str] = ()) -> str:
    """The first column of a table that has another type than is known, or isn't there; empty where all are right.

    Unknown columns may be a newer version's, and those of `later` may be missing in tables of older ones.
    """
    for column in known:
        place = schema.get_field_index(column.name)
        if place < 0:
            if column.name not in later:
                return f"column {column.name!r} is missing"
        elif schema.field(place).type != column.type:
            return f"column {column.name!r} holds {schema.field(place).type}, not {column.type}"
    return ""


@contextmanager
def damage_explained(file: Path) -> Iterator[None]:
    """Turn the exceptions of pyarrow and json for a damaged file into a StoreError that names the repair."""
    import pyarrow as pa

    try:
        yield
    except (OSError, ValueError, RecursionError, pa.ArrowException) as error:
        raise StoreError(
            f"{file}: can't be read ({error}); delete the folder {file.parent.name} and run again"
        ) from error


def read_parquet_row(file: Path, row: int) -> ParquetRow:
    """Read one row, by its number from 0. Only its row group is read.

    Raises:
        StoreError: The file can't be read, or has no such row.
    """
    import pyarrow.parquet as pq

    with damage_explained(file), open_regular(file) as stream, pq.ParquetFile(stream) as parquet:
        before = row
        for group in range(parquet.num_row_groups):
            size = parquet.metadata.row_group(group).num_rows
            if before < size:
                record: ParquetRow = parquet.read_row_group(group).slice(before, 1).to_pylist()[0]
                return record
            before -= size
    raise StoreError(f"{file}: has {row - before} rows, but row {row} was requested; reload the page")


def ready_to_write() -> None:
    """Import pyarrow, which imports pandas with the first table if it is installed: together about a second."""
    import pyarrow as pa
    import pyarrow.parquet

    pa.Table.from_pylist([{"one": 1}])


def write_parquet(file: Path, table: "pa.Table", *, small: bool = False) -> None:
    """Write a table atomically. `small` compresses harder, for a file under version control."""
    write_parquet_tables(file, table.schema, [table], small=small)


def write_parquet_tables(file: Path, schema: "pa.Schema", tables: "Iterable[pa.Table]", *, small: bool = False) -> None:
    """Write a table atomically, given in pieces, one of which is in memory: each is a row group."""
    import pyarrow.parquet as pq

    floats = [f"{c.name}.list.element" for c in schema if str(c.type) == "list<element: float>"]
    with (
        whole_file(file) as draft,
        draft.open("wb") as stream,  # Arrow opens no path that isn't UTF-8
        pq.ParquetWriter(
            stream,
            schema,
            compression="zstd",
            compression_level=19 if small else None,
            use_dictionary=not small,
            use_byte_stream_split=floats if small else False,
            write_page_checksum=not small,  # files under version control have a hash in their index
        ) as writer,
    ):
        for table in tables:
            writer.write_table(table)


@contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """Yield a temporary file that replaces `path` when it is complete, and is removed on any error."""
    draft = file.with_name(f".{file.name[:180]}.{secrets.token_hex(6)}.draft")
    with full_disk_explained(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with _owned(draft):
                yield draft
                with draft.open("rb") as written:
                    os.fsync(written.fileno())
                draft.replace(file)
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)


def copy_files(source: Path, target: Path, names: Iterable[str]) -> None:
    """Copy those of the files that a folder has into another, each whole or not at all, in this order.

    Raises:
        StoreError: One is a symbolic link that leads out of the folder, or can't be copied.
    """
    for name in names:
        file = inside(source, name)
        if file.is_file():
            with whole_file(target / name) as draft:
                shutil.copyfile(file, draft)


@contextmanager
def locked(folder: Path, *, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a folder, which is made if need be, against every other command; `on_wait` is called if one has it.

    The lock is the operating system's (`flock`): it is gone with its process, however that ends, and holds between
    containers on one machine.

    Raises:
        StoreError: The folder can't be written, or its file system has no locks.
    """
    with full_disk_explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = open_own(folder / ".lock")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            raise StoreError(f"{folder}: can't be locked ({error.strerror}); use a store on a local disk") from error
        sweep(folder)
        yield


@contextmanager
def _owned(draft: Path) -> Iterator[None]:
    """Create a draft, and lock it until it has replaced its file: an unlocked one was left by a killed command."""
    while True:
        with draft.open("xb") as file:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX)
            if draft.exists():  # else another command has swept it before it was locked
                yield
                return


@contextmanager
def scratch_file(name: str) -> Iterator[Path]:
    """An empty file for the time being, in `TMPDIR`. Those that killed processes left under this name are removed."""
    folder = Path(gettempdir())
    sweep(folder, name=name)
    file = folder / f".{name}.{secrets.token_hex(6)}.draft"
    with _owned(file):
        try:
            file.chmod(0o600)
            yield file
        finally:
            file.unlink(missing_ok=True)


def sweep(folder: Path, *, name: str = "") -> None:
    """Remove the drafts that killed commands left in a folder; with a name, only those of this file."""
    for draft in folder.glob(f".{name}*.draft"):
        with suppress(OSError), open_regular(draft) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            draft.unlink()


@contextmanager
def full_disk_explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        hint = (
            "free some space and run the command again; finished chunks are saved"
            if error.errno == errno.ENOSPC
            else "see --store"
        )
        raise StoreError(f"{path}: can't be written ({reason}); {hint}") from error
