"""Files of outputs that were generated elsewhere: JSONL, Parquet, and the output files of OpenAI's batch API.

Each of them is read as the same rows: `id`, `text` or `failure`, and what else is known of a generation, of its prompt
(`prompt`, a text or messages), and of its time (`seconds`, `first_token_seconds`).
"""

from pathlib import Path
from typing import Any

from fidelity.engines.replies import prompt_tokens_of
from fidelity.errors import ConfigError
from fidelity.prompts import JsonRow, read_jsonl

Rows = list[tuple[str, JsonRow]]


def read_recorded(path: Path) -> Rows:
    """The rows of a recorded file, each with "FILE, line N" for error messages.

    Raises:
        ConfigError: The file can't be read, or a line of a batch's output is none.
    """
    rows = _read_parquet(path) if path.suffix == ".parquet" else read_jsonl(path)
    return [(where, plain) for where, row in rows for plain in _plain(row, where)]


def _plain(row: JsonRow, where: str) -> list[JsonRow]:
    if "custom_id" in row:
        return _answers(row, where)
    return [{**row, "prompt": row["messages"]}] if row.get("messages") and not row.get("prompt") else [row]


def _read_parquet(path: Path) -> Rows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(f"{path}: can't be read as Parquet ({error})") from error
    rows = table.to_pylist()
    return [(f"{path}, row {n}", {k: v for k, v in row.items() if v is not None}) for n, row in enumerate(rows, 1)]


def _answers(row: JsonRow, where: str) -> list[JsonRow]:
    """The answers in one line of a batch's output: one, or several repeats, or why there is none."""
    match row:
        case {"custom_id": str() as id_, "error": {"message": why} as error}:
            return [{"id": id_, "failure": f"{error.get('code') or 'error'}: {why}"}]
        case {"custom_id": str() as id_, "response": {"status_code": int() as status, "body": body}} if status != 200:
            return [{"id": id_, "failure": f"HTTP {status}: {_reason(body)}"}]
        case {"custom_id": str() as id_, "response": {"body": {"error": dict() as error}}}:
            return [{"id": id_, "failure": _reason({"error": error})}]
        case {"custom_id": str() as id_, "response": {"body": {"choices": [_, *_] as choices} as body}}:
            return [_answer(id_, choice, body, where) for choice in choices]
    raise ConfigError(
        f"{where}: neither a recorded output nor a line of a batch's output: with 'custom_id' there is a 'response' "
        f"with a 'body' that has 'choices', or an 'error'"
    )


def _answer(id_: str, choice: Any, body: JsonRow, where: str) -> JsonRow:
    """One choice of a chat completion or a completion; token ids are those that vLLM's servers add."""
    said = (choice.get("logprobs") or {}) if isinstance(choice, dict) else {}
    match choice:
        case {"message": dict() as message}:
            text = message.get("content") if message.get("content") is not None else message.get("refusal")
            reasoning = message.get("reasoning_content") or message.get("reasoning")
            logprobs = [token["logprob"] for token in said.get("content") or ()]
        case {"text": text}:
            reasoning, logprobs = None, said.get("token_logprobs") or []
        case _:
            raise ConfigError(f"{where}: a choice needs a 'message' (chat) or a 'text' (completion)")
    if not isinstance(text, str):
        return {"id": id_, "failure": f"no text in the answer ({choice.get('finish_reason')})"}
    known = {
        "reasoning": reasoning,
        "logprobs": logprobs or None,
        "token_ids": choice.get("token_ids"),
        "finish_reason": choice.get("finish_reason"),
        "model": body.get("model"),
        "prompt_token_ids": body.get("prompt_token_ids") or choice.get("prompt_token_ids"),
        "prompt_tokens": prompt_tokens_of(body),
    }
    answer = {"id": id_, "text": text, "repeat": choice.get("index") or 0}
    return answer | {key: value for key, value in known.items() if value is not None}


def _reason(body: Any) -> str:
    match body:
        case {"error": {"message": why}}:
            return str(why)
        case {"message": why}:
            return str(why)
    return str(body)[:200]
