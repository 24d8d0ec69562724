"""The table of a run's generations: a row for each prompt and repeat."""

import json
from typing import TYPE_CHECKING

from fidelity.files import ParquetRow
from fidelity.records import ExpectedAnswer, Failure, Message, Prompt, Response, messages_of, plain_turns

if TYPE_CHECKING:
    import pyarrow as pa

LATER_COLUMNS = ("prompt_tokens", "prompt_hash", "cause", "tools", "tool_choice", "tool_calls", "score")
"""Columns that runs of older versions don't have."""
OF_A_PROMPT = ("prompt_id", "prompt", "category", "tools", "tool_choice")
OF_AN_ANSWER = ("text", "reasoning", "token_ids", "logprobs", "finish_reason", "prompt_tokens", "prompt_hash", "score")


def run_schema() -> "pa.Schema":
    """Columns and types."""
    import pyarrow as pa

    strings = (
        "prompt_id",
        "prompt",
        "category",
        "text",
        "reasoning",
        "finish_reason",
        "failure",
        "prompt_hash",
    )
    lists = {"token_ids": pa.list_(pa.int32()), "logprobs": pa.list_(pa.float32())}
    return pa.schema(
        [
            pa.field("repeat", pa.int32()),
            pa.field("prompt_tokens", pa.int32()),
            *(pa.field(name, pa.string()) for name in strings),
            *(pa.field(name, kind) for name, kind in lists.items()),
            pa.field("cause", pa.string()),
            pa.field("tools", pa.string()),
            pa.field("tool_choice", pa.string()),
            pa.field("tool_calls", pa.list_(pa.struct([("name", pa.string()), ("arguments", pa.string())]))),
            pa.field("score", pa.string()),
        ]
    )


def row_of(prompt: Prompt, outcome: Response) -> ParquetRow:
    """The row of a prompt's outcome."""
    content = prompt.content if isinstance(prompt.content, str) else plain_turns(prompt)
    asked: ParquetRow = {"prompt_id": prompt.id, "repeat": outcome.repeat, "category": prompt.category}
    asked |= {"tools": prompt.tools, "tool_choice": prompt.tool_choice}
    asked["prompt"] = json.dumps(content, ensure_ascii=False)
    if isinstance(outcome, Failure):
        return {**asked, "failure": outcome.reason, "cause": None if outcome.cause == "model" else outcome.cause}
    calls = None if outcome.tool_calls is None else [call._asdict() for call in outcome.tool_calls]
    return {**asked, **{key: getattr(outcome, key) for key in OF_AN_ANSWER}, "tool_calls": calls}


def prompt_in(row: ParquetRow, expected: ExpectedAnswer | None = None) -> Prompt:
    """The prompt in a row."""
    content = content_in(row["prompt"])
    return Prompt(row["prompt_id"], content, row["category"], row.get("tools"), row.get("tool_choice"), expected)


def content_in(stored: str) -> str | tuple[Message, ...]:
    """A prompt's text or messages, from JSON."""
    content = json.loads(stored)
    return content if isinstance(content, str) else messages_of(content)
