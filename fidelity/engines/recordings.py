"""Files of outputs that were generated elsewhere, in the formats that tools write.

All are read as the same rows: `id`, `text` or `failure`, and optional fields of a generation, its prompt (`prompt`, a
text or messages), and its times (`seconds`, `first_token_seconds`). The content decides what a file is:

- `custom_id`: the results of an OpenAI batch or of vLLM's `run-batch`;
- `doc_id` and `resps`: lm-eval's samples; `generated_texts`: the result of `vllm bench serve`;
- `eval` and `samples`, or a `.eval` file: a log of Inspect;
- `choices`: chat completions as a server returned them;
- anything else: rows with an answer under one of a few names.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from fidelity.engines.benchmark_outputs import bench_rows, is_bench, is_sample, sample_rows, with_scores
from fidelity.engines.inspect_logs import inspect_rows, is_inspect_log, read_inspect_archive
from fidelity.engines.messages import read_answer, read_message
from fidelity.engines.replies import finish_reason_of, generation_of, ids_and_logprobs, is_finite
from fidelity.engines.trouble import TroubleError
from fidelity.errors import ConfigError
from fidelity.prompts import JsonRow, MadeIds, Rows, last_answer, own_id, parse_prompt, prompt_content, read_rows
from fidelity.prompts.media import refuse_embeddings
from fidelity.records import Prompt
from fidelity.spool import Spool

LONGEST_REASON = 200
"""The maximum length of an error without a message."""
BESIDE_THE_TEXT = ("refusal", "reasoning", "reasoning_content", "tool_calls")
"""Keys of a row that can contain an answer, or a part of it, without a text."""
ANSWERS = ("text", "response", "completion", "output", "generated_text", "prediction")
"""Keys of a row that can hold the answer, in the order of preference."""
PLAIN = "recorded outputs"
"""The format of rows that no tool named here writes."""
OF_A_SERVER = ("chatcmpl-", "cmpl-")
"""The beginnings of ids that name a response, not a prompt."""
PairedBy: TypeAlias = Literal["id", "prompt", "position"]


@dataclass(frozen=True, slots=True)
class Recording:
    """The rows of a file, and what it is."""

    rows: Rows
    format: str
    """What wrote the file, in words."""
    paired_by: PairedBy
    """What names a row's prompt: its id, the prompt's text, or only its place in the file."""


def read_recorded(path: Path) -> Recording:
    """Read the rows of a recorded file.

    Raises:
        ConfigError: The file can't be read, or a row is invalid; with its place.
    """
    rows = with_scores(read_inspect_archive(path) if path.suffix == ".eval" else read_rows(path))
    plain = ((where, one) for where, row in rows for one in _plain(row, where))
    named, paired_by = _with_ids(plain)
    return Recording(named, _format(rows[0][1]) if rows else PLAIN, paired_by)


def _format(row: JsonRow) -> str:
    if "custom_id" in row and isinstance(row.get("id"), str) and row["id"].startswith("vllm-"):
        return "results of vLLM's run-batch"
    if "custom_id" in row:
        return "results of a batch"
    if is_sample(row):
        return "samples of lm-eval"
    if is_bench(row):
        return "a result of vllm bench serve"
    if is_inspect_log(row):
        return "a log of Inspect"
    return "chat completions" if _is_response(row) else PLAIN


def _plain(row: JsonRow, where: str) -> list[JsonRow]:
    refuse_embeddings(row, where=where)
    if "custom_id" in row:
        return _answers(row, where)
    if is_sample(row):
        return sample_rows(row, where)
    if is_bench(row):
        return bench_rows(row, where)
    if is_inspect_log(row):
        return inspect_rows(row, where)
    if _is_response(row):
        return _responses(row, where)
    plain = _with_prompt({**row, **_named_answer(row)}, where)
    if why := _why_failed(row):
        return [{**plain, "failure": why}]
    if not isinstance(plain.get("text"), str) or row.get("tool_calls") or row.get("reasoning_content"):
        message = {"content": plain.get("text"), **{key: row.get(key) for key in BESIDE_THE_TEXT}}
        try:
            answer = read_message(message) or read_message(last_answer(row) or {})
        except TroubleError as trouble:
            return [{**plain, "failure": trouble.reason}]
        plain |= {"text": answer.text, "reasoning": answer.reasoning, "calls": answer.tool_calls} if answer else {}
    elif isinstance(row.get("tool_calls"), list):
        plain |= {"calls": ()}
    return [plain]


def _named_answer(row: JsonRow) -> JsonRow:
    """The answer as `text`, whatever its key."""
    key = next((key for key in ANSWERS if isinstance(row.get(key), str | list)), None)
    return {} if key is None else {"text": row[key]}


def _with_prompt(row: JsonRow, where: str) -> JsonRow:
    """The row with its prompt as `prompt`, whatever its key; a row's `text` is its answer."""
    asked = {key: value for key, value in row.items() if key != "text" and (key != "prompt" or value)}
    content = prompt_content(asked, where=where)
    if content is None or isinstance(content, str):
        return {**row, "prompt": content}
    return {**row, "prompt": Prompt("", content).chat}


def _with_ids(rows: Iterable[tuple[str, JsonRow]]) -> tuple[Rows, PairedBy]:
    """Rows with an `id` each: their own, one that follows from the prompt, or their number in the file, from 0."""
    made, named = MadeIds(), Spool[tuple[str, JsonRow]]()
    ways = set[PairedBy]()
    for number, (where, row) in enumerate(rows):
        id_, way = own_id(row, where=where), row.get("paired_by", "id")
        if id_ is None:
            repeat = row["repeat"] if type(row.get("repeat")) is int else 0
            asked = parse_prompt(row, where=where) if row.get("prompt") else None
            id_, way = (str(number), "position") if asked is None else (made.next(asked, repeat), "prompt")
        ways.add(way)
        named.append((where, {**row, "id": id_}))
    if "position" in ways and len(ways) > 1:
        raise ConfigError(
            f"{named[0][0]}: some rows of the file have neither an id nor a prompt; give each row an 'id', or none"
        )
    return named, "position" if "position" in ways else "prompt" if "prompt" in ways else "id"


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


def _is_response(row: JsonRow) -> bool:
    return isinstance(row.get("choices"), list) and bool(row["choices"]) and "text" not in row


def _responses(row: JsonRow, where: str) -> list[JsonRow]:
    """The answers of a server's response with its prompt, if that is in the row. The response's own id names none."""
    given = {key: value for key, value in row.items() if key != "id" or not str(value).startswith(OF_A_SERVER)}
    id_ = own_id(given, where=where)
    asked = _with_prompt({key: row[key] for key in ("prompt", "messages") if key in row}, where)
    answers = [_answer(id_ or "", choice, row, where) for choice in row["choices"]]
    return [{**asked, **answer, "id": id_} for answer in answers]


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
    try:
        if read_answer(choice) is None:
            return {"id": id_, "failure": f"no text in the answer ({choice.get('finish_reason')})", "repeat": repeat}
        generation = generation_of(choice, body, prompt_id=id_)
    except TroubleError as trouble:
        return {"id": id_, "failure": trouble.reason, "repeat": repeat}
    known = {
        "reasoning": generation.reasoning,
        "calls": generation.tool_calls,
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
