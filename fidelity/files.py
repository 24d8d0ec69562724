"""Files that are written whole or not at all, and Parquet."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fidelity.errors import StoreError
from fidelity.outside.paths import inside

if TYPE_CHECKING:
    import pyarrow as pa

ParquetRow = dict[str, Any]
"""A row of a table, by column."""


def read_parquet(file: Path, *, columns: Sequence[str] | None = None) -> "pa.Table":
    """A table, or some of its columns.

    Raises:
        StoreError: The file can't be read.
    """
    import pyarrow.parquet as pq

    with damage_explained(file):
        return pq.read_table(file, columns=None if columns is None else list(columns))


def sha256_of(file: Path) -> str:
    """The hash of a file's bytes, in hexadecimal.

    Raises:
        StoreError: The file can't be read.
    """
    with damage_explained(file), file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_parquet_schema(file: Path) -> "pa.Schema":
    """The names, types and metadata of a table, without its data.

    Raises:
        StoreError: The file can't be read.
    """
    import pyarrow.parquet as pq

    with damage_explained(file):
        return pq.read_schema(file)


@contextmanager
def damage_explained(file: Path) -> Iterator[None]:
    """Turn what pyarrow raises over a damaged file into our error, which says what to do."""
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise StoreError(
            f"{file}: can't be read ({error}); delete the folder {file.parent.name} and run again"
        ) from error


def read_parquet_row(file: Path, row: int) -> ParquetRow:
    """One row, by its number from 0, with the row group that holds it and no other.

    Raises:
        StoreError: The file can't be read, or has no such row.
    """
    import pyarrow.parquet as pq

    with damage_explained(file), pq.ParquetFile(file) as parquet:
        before = row
        for group in range(parquet.num_row_groups):
            size = parquet.metadata.row_group(group).num_rows
            if before < size:
                record: ParquetRow = parquet.read_row_group(group).slice(before, 1).to_pylist()[0]
                return record
            before -= size
    raise StoreError(f"{file}: has {row - before} rows, and number {row} was asked for; reload")


def write_parquet(file: Path, table: "pa.Table", *, small: bool = False, rows_per_group: int | None = None) -> None:
    """Write a table, whole or not at all; `small` takes its time, for a file that is kept in version control."""
    import pyarrow.parquet as pq

    floats = [f"{c.name}.list.element" for c in table.schema if str(c.type) == "list<element: float>"]
    with whole_file(file) as draft:
        pq.write_table(
            table,
            draft,
            compression="zstd",
            compression_level=19 if small else None,
            use_dictionary=not small,
            use_byte_stream_split=floats if small else False,
            row_group_size=rows_per_group,
        )


@contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """A draft beside the file that takes its place once it is whole; on any error nothing is left of it."""
    draft = file.with_name(f".{file.name}.{os.getpid()}.draft")
    with full_disk_explained(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
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
def full_disk_explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        hint = "free some space and run again; whole chunks are kept" if error.errno == errno.ENOSPC else "see --store"
        raise StoreError(f"{path}: can't be written ({reason}); {hint}") from error
