"""Files of outputs that were generated elsewhere: JSONL, Parquet, and the output files of OpenAI's batch API.

All are read as the same rows: `id`, `text` or `failure`, and optional fields of a generation, its prompt (`prompt`, a
text or messages), and its times (`seconds`, `first_token_seconds`).
"""

from pathlib import Path
from typing import Any

from fidelity.engines.messages import read_answer, read_message
from fidelity.engines.replies import finish_reason_of, generation_of, ids_and_logprobs, is_finite
from fidelity.engines.trouble import TroubleError
from fidelity.errors import ConfigError
from fidelity.prompts import JsonRow, read_jsonl

Rows = list[tuple[str, JsonRow]]
LONGEST_REASON = 200
"""The maximum length of an error without a message."""
BESIDE_THE_TEXT = ("refusal", "reasoning", "reasoning_content", "tool_calls")
"""Keys of a row that can contain an answer, or a part of it, without a text."""


def read_recorded(path: Path) -> Rows:
    """Read the rows of a recorded file, each with "FILE, line N" for error messages.

    Raises:
        ConfigError: The file can't be read, or a line of a batch's output is invalid.
    """
    rows = _read_parquet(path) if path.suffix == ".parquet" else read_jsonl(path)
    return [(where, plain) for where, row in rows for plain in _plain(row, where)]


def _plain(row: JsonRow, where: str) -> list[JsonRow]:
    if "custom_id" in row:
        return _answers(row, where)
    plain = {**row, "prompt": row["messages"]} if row.get("messages") and not row.get("prompt") else dict(row)
    if why := _why_failed(row):
        return [{**plain, "failure": why}]
    if not isinstance(row.get("text"), str) or row.get("tool_calls") or row.get("reasoning_content"):
        answer = read_message({"content": row.get("text"), **{key: row.get(key) for key in BESIDE_THE_TEXT}})
        plain |= {"text": answer.text, "reasoning": answer.reasoning} if answer else {}
    return [plain]


def _why_failed(row: JsonRow) -> str:
    """Why a plain row is a failure, by its `failure`, its `error`, or how its answer ended; empty where it is none."""
    error = row.get("error") if isinstance(row.get("error"), str | dict) else None
    if why := row.get("failure") or error:
        return _reason(why)
    try:
        finish_reason_of(row.get("finish_reason"))
    except TroubleError as trouble:
        return trouble.reason
    return ""


def _read_parquet(path: Path) -> Rows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        rows = table.to_pylist()
    except (OSError, ValueError, pa.ArrowException) as error:  # ValueError: strings that are not UTF-8
        raise ConfigError(f"{path}: can't be read as Parquet ({error})") from error
    return [(f"{path}, row {n}", {k: v for k, v in row.items() if v is not None}) for n, row in enumerate(rows, 1)]


def _answers(row: JsonRow, where: str) -> list[JsonRow]:
    """The answers in one line of a batch's output: one, several repeats, or why there is none."""
    match row:
        case {"custom_id": str() as id_} if why := _why_none(row):
            return [{"id": id_, "failure": why}]
        case {"custom_id": str() as id_, "response": {"body": {"choices": [_, *_] as choices} as body}}:
            return [_answer(id_, choice, body, where) for choice in choices]
    raise ConfigError(
        f"{where}: not a line of a batch's output: besides 'custom_id' it needs a 'response' with a 'body' with "
        f"'choices', or an 'error'"
    )


def _answer(id_: str, choice: Any, body: JsonRow, where: str) -> JsonRow:
    """One choice of a chat completion or a completion, read like a server's reply."""
    if not isinstance(choice, dict) or not (isinstance(choice.get("message"), dict) or "text" in choice):
        raise ConfigError(f"{where}: a choice needs a 'message' (chat) or a 'text' (completion)")
    repeat = choice.get("index") or 0
    if read_answer(choice) is None:
        return {"id": id_, "failure": f"no text in the answer ({choice.get('finish_reason')})", "repeat": repeat}
    try:
        generation = generation_of(choice, body, prompt_id=id_)
    except TroubleError as trouble:
        return {"id": id_, "failure": trouble.reason, "repeat": repeat}
    known = {
        "reasoning": generation.reasoning,
        "logprobs": generation.logprobs and list(generation.logprobs),
        **_impossible(choice),
        "token_ids": generation.token_ids and list(generation.token_ids),
        "finish_reason": generation.finish_reason,
        "model": body.get("model"),
        "prompt_token_ids": body.get("prompt_token_ids") or choice.get("prompt_token_ids"),
        "prompt_tokens": generation.prompt_tokens,
    }
    answer = {"id": id_, "text": generation.text, "repeat": repeat}
    return answer | {key: value for key, value in known.items() if value is not None}


def _impossible(choice: JsonRow) -> JsonRow:
    """Log-probabilities that are numbers and can't be any, for the reader of rows to refuse."""
    _, values = ids_and_logprobs(choice)
    numbers = [value for value in values or () if type(value) in (int, float)]
    return {} if all(map(is_finite, numbers)) else {"logprobs": numbers}


def _why_none(row: JsonRow) -> str:
    """Why a line has no answer, as OpenAI's batches and vLLM's `run-batch` state it; empty if it has one."""
    error = row.get("error")
    response = row["response"] if isinstance(row.get("response"), dict) else {}
    status, body = response.get("status_code"), response.get("body")
    if type(status) is int and not 200 <= status < 300:
        return f"HTTP {status}: {_reason(error or body)}"
    if isinstance(error, dict) and "message" in error:
        return f"{error.get('code') or 'error'}: {error['message']}"
    if error:
        return _reason(error)
    is_error = isinstance(body, dict) and (body.get("error") or body.get("object") == "error")
    return _reason(body) if is_error else ""


def _reason(error: Any) -> str:
    """The message of an error in any format."""
    match error:
        case {"error": dict() | str() as inside} if inside:
            return _reason(inside)
        case {"message": why} | {"detail": why}:
            return str(why)
    return str(error)[:LONGEST_REASON]
