"""Prompt sets: JSONL files of prompts with stable ids, and the hash that says whether two sets are the same."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fidelity.errors import ConfigError
from fidelity.records import Message, Prompt

GZIP = b"\x1f\x8b"
"""What a file compressed by gzip begins with."""


def load_prompts(path: Path, *, limit: int | None = None) -> tuple[Prompt, ...]:
    """Read a prompt set: one JSON object a line, with `id`, `prompt` (a text or a list of messages), `category`.

    The input file of an OpenAI batch is one too.

    Args:
        path: The JSONL file, UTF-8.
        limit: Keep only the first prompts.

    Raises:
        ConfigError: The file is missing, not JSONL, empty, or an id stands twice; with the line number.
    """
    prompts = [parse_prompt(row, where=where) for where, row in read_jsonl(path)]
    seen: dict[str, int] = {}
    for number, prompt in enumerate(prompts, start=1):
        if prompt.id in seen:
            raise ConfigError(
                f"{path}: the id {prompt.id!r} stands twice (prompts {seen[prompt.id]} and {number}); make ids unique"
            )
        seen[prompt.id] = number
    if not prompts:
        raise ConfigError(f"{path}: no prompts in it; each line is a JSON object with 'id' and 'prompt'")
    return tuple(prompts[:limit])


JsonRow = dict[str, Any]
"""A line of a JSONL file that somebody else wrote."""


def read_jsonl(path: Path) -> list[tuple[str, JsonRow]]:
    """The objects of a JSONL file, each with "FILE, line N" for error messages; blank lines are skipped.

    Raises:
        ConfigError: The file can't be read, or a line is not a JSON object.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise ConfigError(f"{path}: can't be read ({error.strerror}); name an existing JSONL file") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            why = "it is compressed: unpack it first" if line.startswith(GZIP) else str(error)
            raise ConfigError(f"{where}: not JSON ({why}); each line is one JSON object") from error
        if not isinstance(row, dict):
            raise ConfigError(f"{where}: a JSON object is expected, found {type(row).__name__}")
        rows.append((where, row))
    return rows


def parse_prompt(row: JsonRow, *, where: str) -> Prompt:
    """One line of a prompt set as a record."""
    match row:
        case {"id": str() as id_, "prompt": str() as content} if id_ and content.strip():
            return Prompt(replace_lone_surrogates(id_), replace_lone_surrogates(content), _category(row, where))
        case {"id": str() as id_, "prompt": [_, *_] as turns} if id_:
            return Prompt(
                replace_lone_surrogates(id_), tuple(_message(turn, where) for turn in turns), _category(row, where)
            )
        case {"custom_id": id_, "body": {"messages": asked} | {"prompt": asked}}:
            return parse_prompt({"id": id_, "prompt": asked}, where=where)
    raise ConfigError(
        f"{where}: a prompt needs 'id' (a text) and 'prompt' (a text that is not empty, or a list of chat messages); "
        f"found {json.dumps({key: row.get(key) for key in ('id', 'prompt')}, ensure_ascii=False)[:200]}"
    )


def prompts_digest(prompts: Sequence[Prompt]) -> str:
    """SHA-256 over ids and contents, in order: equal for two sets that ask the same."""
    content = [[p.id, [[m.role, m.content] for m in p.messages], isinstance(p.content, str)] for p in prompts]
    return hashlib.sha256(json.dumps(content, ensure_ascii=True).encode()).hexdigest()


def replace_lone_surrogates(text: str) -> str:
    """The text with surrogate pairs joined and lone surrogates, which no UTF-8 file can hold, as U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _message(turn: Any, where: str) -> Message:
    match turn:
        case {"role": str() as role, "content": str() as content}:
            return Message(role, replace_lone_surrogates(content))
        case {"role": str() as role, "content": [{"type": "text", "text": str() as content}]}:
            return Message(role, replace_lone_surrogates(content))
    raise ConfigError(f"{where}: a chat message needs 'role' and 'content', both texts; found {str(turn)[:200]}")


def _category(row: JsonRow, where: str) -> str | None:
    category = row.get("category")
    if category is not None and not isinstance(category, str):
        raise ConfigError(f"{where}: 'category' must be a text, found {category!r}")
    return category
