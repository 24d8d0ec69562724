"""Reading outside Parquet files within a limit: a small file can unpack to any amount."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fidelity.outside.paths import open_regular

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

UNPACKED = 1 << 30
"""Bytes that any table may take in memory."""
RATIO = 200
"""Times the size of its file that a larger one may take."""
VALUE = 32
"""Bytes that are counted for each value: what a Python object takes."""


def read_table(file: Path, *, columns: Sequence[str] | None = None, checksums: bool = False) -> "pa.Table":
    """Read a table. Dictionaries that the reader decodes, long runs of one value, and nulls count as unpacked.

    Args:
        file: A Parquet file.
        columns: The columns to read; all by default.
        checksums: Whether the checksums of pages are verified.

    Raises:
        ValueError: It takes more than 1 GiB of memory, and more than 200 times its size on disk; or a column is there
            twice.
        OSError: It is not a regular file, or can't be read.
        pyarrow.ArrowException: It is damaged.
    """
    import pyarrow.parquet as pq

    wanted = None if columns is None else list(columns)
    limit = max(UNPACKED, RATIO * file.stat().st_size)
    with open_regular(file) as stream, pq.ParquetFile(stream, page_checksum_verification=checksums) as parquet:
        if rows := _rows_within(limit, parquet, wanted):
            return _within(limit, parquet, wanted, rows=rows)
        return parquet.read(columns=wanted)


def read_batches(file: Path, *, rows: int, columns: Sequence[str] | None = None) -> "Iterator[pa.RecordBatch]":
    """Read a table some rows at a time, with the checksums of pages.

    Raises:
        ValueError, OSError, pyarrow.ArrowException: See `read_table`.
    """
    import pyarrow.parquet as pq

    wanted = None if columns is None else list(columns)
    limit = max(UNPACKED, RATIO * file.stat().st_size)
    with open_regular(file) as stream, pq.ParquetFile(stream, page_checksum_verification=True) as parquet:
        rows = min(rows, _rows_within(limit, parquet, wanted) or rows)
        size = 0
        for batch in parquet.iter_batches(batch_size=rows, columns=wanted):
            size += batch.nbytes
            _refuse_beyond(limit, size)
            yield batch


def _rows_within(limit: int, parquet: "pq.ParquetFile", wanted: list[str] | None) -> int | None:
    """How many rows may be decoded at once; None if all of them.

    Raises:
        ValueError: The columns take more than the limit in any case, or one is there twice.
    """
    top = parquet.schema_arrow.names
    if twice := next((name for name in top if top.count(name) > 1), None):
        raise ValueError(f"column {twice!r} is there twice; rename one")
    names = [parquet.schema.column(place).path.partition(".")[0] for place in range(parquet.metadata.num_columns)]
    places = [place for place, name in enumerate(names) if wanted is None or name in wanted]
    for group in range(parquet.num_row_groups):  # raises where `column` below would abort the process
        next(parquet.iter_batches(batch_size=1, row_groups=[group], columns=wanted), None)
    chunks = [
        parquet.metadata.row_group(group).column(place)
        for group in range(parquet.metadata.num_row_groups)
        for place in places
    ]
    _refuse_beyond(limit, VALUE * sum(chunk.num_values for chunk in chunks))
    largest = max((chunk.total_uncompressed_size for chunk in chunks), default=0)
    if largest * sum(chunk.num_values for chunk in chunks) > limit:
        return max(1, min(65_536, UNPACKED // 4 // max(largest, 1)))
    return None


def _within(limit: int, parquet: "pq.ParquetFile", columns: list[str] | None, *, rows: int) -> "pa.Table":
    """The columns, decoded, as long as they stay within the limit."""
    import pyarrow as pa

    batches, size = [], 0
    schema = _decoded(parquet.schema_arrow)
    if columns is not None:
        schema = pa.schema([schema.field(name) for name in columns], metadata=schema.metadata)
    for batch in parquet.iter_batches(batch_size=rows, columns=columns):
        batches.append((batch if columns is None else batch.select(columns)).cast(schema))
        size += batches[-1].nbytes
        _refuse_beyond(limit, size)
    return pa.Table.from_batches(batches, schema=schema)


def _decoded(schema: "pa.Schema") -> "pa.Schema":
    """The schema with plain columns in place of dictionaries."""
    import pyarrow as pa

    plain = [
        column.with_type(column.type.value_type) if pa.types.is_dictionary(column.type) else column for column in schema
    ]
    return pa.schema(plain, metadata=schema.metadata)


def _refuse_beyond(limit: int, size: int) -> None:
    if size > limit:
        raise ValueError(f"it unpacks to more than {limit:,} bytes, {RATIO} times its size; split it")
