"""Token scores as Parquet: an answer is a row and a row group, so only one is in memory at a time."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fidelity.files import whole_file
from fidelity.records import Failure, TokenScores, every_id

if TYPE_CHECKING:
    import pyarrow as pa


def write_scores(
    file: Path, outcomes: Iterable[TokenScores | Failure], *, compression_level: int | None = None
) -> None:
    """Write a file atomically, answer by answer."""
    import pyarrow.parquet as pq

    floats = ["logprobs.list.element", "top_logprobs.list.element"]
    with (
        whole_file(file) as draft,
        pq.ParquetWriter(
            draft,
            scores_schema(),
            compression="zstd",
            compression_level=compression_level,
            use_dictionary=False,
            use_byte_stream_split=floats,
            write_page_checksum=compression_level is None,
        ) as writer,
    ):
        for outcome in outcomes:
            writer.write_batch(_row(outcome, writer.schema))


def scores_in(row: "pa.RecordBatch") -> TokenScores | Failure:
    """The scores of one answer, a row with the columns of `scores_schema`; or why the engine gave none."""
    prompt_id, repeat, failure = (row[key][0].as_py() for key in ("prompt_id", "repeat", "failure"))
    if failure is not None:
        return Failure(prompt_id, failure, repeat)
    arrays = {key: row[key].flatten().to_numpy() for key in ("token_ids", "logprobs", "ranks", "top_logprobs")}
    n = len(arrays["token_ids"])
    table = (n, len(arrays["top_logprobs"]) // max(1, n))
    ids = row["top_ids"]
    top_ids = ids.flatten().to_numpy().reshape(table) if ids[0].is_valid else every_id(*table)
    arrays["top_logprobs"] = arrays["top_logprobs"].reshape(table)
    return TokenScores(prompt_id, top_ids=top_ids, repeat=repeat, **arrays)


def is_whole_vocabulary(scores: TokenScores) -> bool:
    """Whether the columns are the whole vocabulary by id, so the ids need not be stored."""
    return scores.top_ids.shape[0] > 0 and scores.top_ids.strides[0] == 0


def scores_schema() -> "pa.Schema":
    """Columns and types; every list has an answer's tokens, one after another."""
    import pyarrow as pa

    ints, floats = pa.list_(pa.int32()), pa.list_(pa.float32())
    return pa.schema(
        {
            "prompt_id": pa.string(),
            "repeat": pa.int32(),
            "failure": pa.string(),
            "token_ids": ints,
            "logprobs": floats,
            "ranks": ints,
            "top_ids": ints,
            "top_logprobs": floats,
        }
    )


def _row(outcome: TokenScores | Failure, schema: "pa.Schema") -> "pa.RecordBatch":
    """Flatten tables of n x k numbers by row. For the whole vocabulary the ids are not stored."""
    import pyarrow as pa

    fields: dict[str, object] = {"prompt_id": outcome.prompt_id, "repeat": outcome.repeat}
    if isinstance(outcome, Failure):
        fields["failure"] = outcome.reason
    else:
        fields |= {key: getattr(outcome, key) for key in ("token_ids", "logprobs", "ranks", "top_ids", "top_logprobs")}
        if is_whole_vocabulary(outcome):
            fields["top_ids"] = None
    return pa.record_batch([_cell(fields.get(field.name), field.type) for field in schema], schema=schema)


def _cell(value: Any, kind: "pa.DataType") -> "pa.Array[Any]":
    import pyarrow as pa

    if not isinstance(value, np.ndarray):
        return pa.array([value], kind)
    return pa.ListArray.from_arrays(pa.array([0, value.size], pa.int32()), pa.array(value.reshape(-1), kind.value_type))
