"""Token scores as Parquet: an answer is a row and a row group, so only one is in memory at a time."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fidelity.files import whole_file
from fidelity.records import STORED_AS, Failure, Head, HiddenStates, TokenScores, every_id

if TYPE_CHECKING:
    import pyarrow as pa


HIDDEN = ("hidden", "hidden_dtype", "head", "refused")
"""Columns of hidden states: their bytes, row after row; their dtype; the head's name; why there are none."""


def write_scores(
    file: Path,
    outcomes: Iterable[TokenScores | Failure],
    *,
    exact: bool = False,
    compression_level: int | None = None,
) -> None:
    """Write a file atomically, answer by answer. With `exact`, it has hidden states too."""
    import pyarrow.parquet as pq

    floats = ["logprobs.list.element", "top_logprobs.list.element"]
    with (
        whole_file(file) as draft,
        draft.open("wb") as stream,
        pq.ParquetWriter(
            stream,
            scores_schema(exact=exact),
            compression="zstd",
            compression_level=compression_level,
            use_dictionary=False,
            use_byte_stream_split=floats,
            write_page_checksum=compression_level is None,
        ) as writer,
    ):
        for outcome in outcomes:
            writer.write_batch(_row(outcome, writer.schema))


def scores_in(row: "pa.RecordBatch", head_of: Callable[[str], Head] | None = None) -> TokenScores | Failure:
    """The scores of one answer, a row with the columns of `scores_schema`; or why the engine gave none.

    `head_of` returns a head by its name. Without it, hidden states are not read.
    """
    prompt_id, repeat, failure = (row[key][0].as_py() for key in ("prompt_id", "repeat", "failure"))
    if failure is not None:
        return Failure(prompt_id, failure, repeat)
    arrays = {key: row[key].flatten().to_numpy() for key in ("token_ids", "logprobs", "ranks", "top_logprobs")}
    n = len(arrays["token_ids"])
    table = (n, len(arrays["top_logprobs"]) // max(1, n))
    ids = row["top_ids"]
    top_ids = ids.flatten().to_numpy().reshape(table) if ids[0].is_valid else every_id(*table)
    arrays["top_logprobs"] = arrays["top_logprobs"].reshape(table)
    hidden = _hidden_in(row, n, head_of) if head_of and "hidden" in row.schema.names else None
    return TokenScores(prompt_id, top_ids=top_ids, repeat=repeat, hidden=hidden, **arrays)


def _hidden_in(row: "pa.RecordBatch", n: int, head_of: Callable[[str], Head]) -> HiddenStates | str | None:
    content, dtype, head, refused = (row[key][0] for key in HIDDEN)
    if not content.is_valid:
        return refused.as_py()  # type: ignore[no-any-return]
    name = head.as_py()
    values = np.frombuffer(content.as_buffer(), STORED_AS[dtype.as_py()]).reshape(n, -1)
    return HiddenStates(values, dtype.as_py(), head_of(name) if name else None)


def is_whole_vocabulary(scores: TokenScores) -> bool:
    """Whether the columns are the whole vocabulary by id, so the ids need not be stored."""
    return scores.top_ids.shape[0] > 0 and scores.top_ids.strides[0] == 0


def scores_schema(*, exact: bool = False) -> "pa.Schema":
    """Columns and types; every list has an answer's tokens, one after another. With `exact`, for hidden states too."""
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
            **(dict(zip(HIDDEN, (pa.large_binary(), *[pa.string()] * 3), strict=True)) if exact else {}),
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
        if isinstance(outcome.hidden, str):
            fields["refused"] = outcome.hidden
        elif outcome.hidden:
            fields["hidden"], fields["hidden_dtype"] = outcome.hidden.values.tobytes(), outcome.hidden.dtype
            fields["head"] = outcome.hidden.head and outcome.hidden.head.name
    return pa.record_batch([_cell(fields.get(field.name), field.type) for field in schema], schema=schema)


def _cell(value: Any, kind: "pa.DataType") -> "pa.Array[Any]":
    import pyarrow as pa

    if not isinstance(value, np.ndarray):
        return pa.array([value], kind)
    return pa.ListArray.from_arrays(pa.array([0, value.size], pa.int32()), pa.array(value.reshape(-1), kind.value_type))
