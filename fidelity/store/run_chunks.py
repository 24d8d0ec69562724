"""A run's rows in files: chunks while it is generated, joined in the prompts' order when it is finished."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fidelity.errors import StoreError
from fidelity.files import (
    ParquetRow,
    damage_explained,
    read_parquet,
    read_parquet_batches,
    read_parquet_schema,
    write_parquet_tables,
    wrong_column,
)
from fidelity.records import Prompt, Response
from fidelity.spool import Spool
from fidelity.store.manifests import ResponseCounts
from fidelity.store.responses import response_of
from fidelity.store.run_tables import LATER_COLUMNS, run_schema

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_READ_AT_ONCE = 500
"""Rows per row group of Parquet: as many are read to show one generation."""


def read_chunk(chunk: Path) -> "pa.Table":
    """The rows of some of an unfinished run's answers.

    Raises:
        StoreError: The file is damaged.
    """
    _chunk_schema(chunk)
    return read_parquet(chunk)


def _chunk_schema(chunk: Path) -> "pa.Schema":
    schema = read_parquet_schema(chunk)
    if wrong := wrong_column(schema, run_schema(), later=LATER_COLUMNS):
        raise StoreError(f"{chunk}: damaged ({wrong}); delete the file and run again")
    return schema


def row_batches(file: Path, columns: Sequence[str] | None = None) -> "Iterator[pa.RecordBatch]":
    """Some columns of a file, or all, some rows at a time.

    Raises:
        StoreError: The file can't be read.
    """
    return read_parquet_batches(file, rows=ROWS_READ_AT_ONCE, columns=columns)


def responses_in(chunk: Path) -> list[Response]:
    """The outcomes in a chunk of an unfinished run.

    Raises:
        StoreError: The file is damaged.
    """
    table = read_chunk(chunk)
    with damage_explained(chunk):
        return [response_of(row) for row in table.to_pylist()]


def join_chunks(chunks: Sequence[Path], prompts: Sequence[Prompt], file: Path) -> ResponseCounts:
    """Write the rows of chunks in the order of the prompts. Until then they wait outside of memory.

    Raises:
        StoreError: A chunk is damaged, or a prompt has no answer, or one twice.
    """
    import pyarrow as pa

    schema = pa.unify_schemas([_chunk_schema(chunk) for chunk in chunks])
    order = _order_of(file.parent, chunks, prompts)
    stored = Spool(row for chunk in chunks for batch in row_batches(chunk) for row in batch.to_pylist())
    counts = _Counts(len(prompts))
    write_rows(file, schema, map(counts.counted, (stored[row] for row in order.tolist())))
    return counts.record


def write_rows(file: Path, schema: "pa.Schema", rows: Iterator[ParquetRow]) -> None:
    """Write rows atomically, in row groups of the size that is read at once."""
    import pyarrow as pa

    groups = iter(lambda: list(islice(rows, ROWS_READ_AT_ONCE)), [])
    write_parquet_tables(file, schema, (pa.Table.from_pylist(group, schema=schema) for group in groups))


def _order_of(path: Path, chunks: Sequence[Path], prompts: Sequence[Prompt]) -> NDArray[np.int64]:
    """The rows of the chunks in the order of repeats and prompts, without those of other prompts.

    Raises:
        StoreError: A prompt has no answer, or one twice.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    asked = pa.array((prompt.id for prompt in prompts), pa.string(), size=len(prompts))
    keys = [batch for chunk in chunks for batch in row_batches(chunk, ["prompt_id", "repeat"])]
    places = [pc.fill_null(pc.index_in(batch["prompt_id"], value_set=asked), -1).to_numpy() for batch in keys]
    place, repeat = np.concatenate(places), np.concatenate([batch["repeat"].to_numpy() for batch in keys])
    missing = np.flatnonzero(np.bincount(place[place >= 0], minlength=len(prompts)) == 0)
    answer = np.where(place >= 0, repeat.astype(np.int64) * len(prompts) + place, -1)
    order = np.argsort(answer, kind="stable")[np.count_nonzero(answer < 0) :]
    if len(missing) or (np.diff(answer[order]) == 0).any():
        problem = f"no answer to {min(asked.take(missing).to_pylist())!r}" if len(missing) else "an answer twice"
        raise StoreError(f"{path}: its chunks have {problem}; delete the folder {path.name} and run again")
    return order


@dataclass(slots=True)
class _Counts:
    """Counts the outcomes in a run's rows."""

    prompts: int
    rows: int = 0
    failures: int = 0
    world_failures: int = 0
    tokens: int = 0
    longest_prompt: int | None = None

    def counted(self, row: ParquetRow) -> ParquetRow:
        """The same row."""
        self.rows += 1
        self.failures += row["failure"] is not None
        self.world_failures += row.get("cause") is not None
        self.tokens += len(row["token_ids"] or ())
        if (length := row.get("prompt_tokens")) is not None:
            self.longest_prompt = max(length, self.longest_prompt or 0)
        return row

    @property
    def record(self) -> ResponseCounts:
        """What the manifest has of them."""
        return ResponseCounts(
            prompts=self.prompts,
            generations=self.rows - self.failures,
            failures=self.failures,
            tokens=self.tokens,
            longest_prompt=self.longest_prompt,
            world_failures=self.world_failures,
        )
