"""Prompt sets: JSONL files of prompts with stable ids, and a hash that identifies the set."""

import hashlib
import json
from codecs import BOM_UTF8
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fidelity.errors import ConfigError
from fidelity.outside.documents import DuplicateKeyError, read_json
from fidelity.outside.strings import replace_lone_surrogates
from fidelity.records import Message, Prompt

LONGEST_NAME = 10_000
"""Characters of a prompt's id and of its category."""
GZIP = b"\x1f\x8b"
"""The first bytes of a file compressed by gzip."""
PROMPT_SETS = {"starter": "starter.jsonl", "arena-hard": "arena-hard-v0.1.jsonl"}
"""The sets that come with the package, by the name that the command line takes."""


def prompt_set(name: str) -> Path:
    """Return the file of a packaged prompt set, or any other text as a path."""
    file = PROMPT_SETS.get(name)
    return Path(__file__).with_name("prompt_sets") / file if file else Path(name).resolve()


def load_prompts(path: Path, *, limit: int | None = None) -> tuple[Prompt, ...]:
    """Read a prompt set: one JSON object per line, with `id`, `prompt` (a text or a list of messages), `category`.

    The input file of an OpenAI batch is accepted too.

    Args:
        path: The JSONL file, UTF-8.
        limit: Read only this many prompts.

    Raises:
        ConfigError: The file is missing, not JSONL or empty, or an id is used twice; names the line.
    """
    prompts = [parse_prompt(row, where=where) for where, row in read_jsonl(path)]
    seen: dict[str, int] = {}
    for number, prompt in enumerate(prompts, start=1):
        if prompt.id in seen:
            raise ConfigError(
                f"{path}: the id {prompt.id!r} is used twice (prompts {seen[prompt.id]} and {number}); make ids unique"
            )
        seen[prompt.id] = number
    if not prompts:
        raise ConfigError(f"{path}: contains no prompts; write one JSON object with 'id' and 'prompt' per line")
    return tuple(prompts[:limit])


JsonRow = dict[str, Any]
"""A line of a JSONL file from outside, before validation."""


def read_jsonl(path: Path, *, strict: bool = False) -> list[tuple[str, JsonRow]]:
    """Read the objects of a JSONL file, each with "FILE, line N" for error messages. Blank lines are skipped.

    Args:
        path: The file.
        strict: Whether only fidelity writes such files, so that lone surrogates are damage.

    Raises:
        ConfigError: The file can't be read, or a line is not a JSON object or has a key twice.
    """
    try:
        lines = path.read_bytes().removeprefix(BOM_UTF8).split(b"\n")
    except OSError as error:
        raise ConfigError(f"{path}: can't be read ({error.strerror}); name an existing JSONL file") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = read_json(line, strict=strict)
        except DuplicateKeyError as error:
            raise ConfigError(f"{where}: {error}; remove one of the two, since only one of them can be meant") from None
        except (ValueError, RecursionError) as error:
            why = "it is compressed: unpack it first" if line.startswith(GZIP) else str(error)
            raise ConfigError(f"{where}: not JSON ({why}); write one JSON object per line") from error
        if not isinstance(row, dict):
            raise ConfigError(f"{where}: expected a JSON object, got {type(row).__name__}")
        for key in ("id", "custom_id", "category"):
            if isinstance(row.get(key), str) and len(row[key]) > LONGEST_NAME:
                raise ConfigError(f"{where}: {key!r} has more than {LONGEST_NAME:,} characters; shorten it")
        rows.append((where, row))
    return rows


def parse_prompt(row: JsonRow, *, where: str) -> Prompt:
    """Turn one line of a prompt set into a record."""
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
        f"got {json.dumps({key: row.get(key) for key in ('id', 'prompt')}, ensure_ascii=False)[:200]}"
    )


def prompts_digest(prompts: Sequence[Prompt]) -> str:
    """SHA-256 over ids and contents, in order: equal for two sets with the same prompts."""
    content = [[p.id, [[m.role, m.content] for m in p.messages], isinstance(p.content, str)] for p in prompts]
    return hashlib.sha256(json.dumps(content, ensure_ascii=True).encode()).hexdigest()


def _message(turn: Any, where: str) -> Message:
    match turn:
        case {"role": str() as role, "content": str() as content}:
            return Message(role, replace_lone_surrogates(content))
        case {"role": str() as role, "content": [{"type": "text", "text": str() as content}]}:
            return Message(role, replace_lone_surrogates(content))
    raise ConfigError(f"{where}: a chat message needs 'role' and 'content', both texts; got {str(turn)[:200]}")


def _category(row: JsonRow, where: str) -> str | None:
    category = row.get("category")
    if category is not None and not isinstance(category, str):
        raise ConfigError(f"{where}: 'category' must be a text, got {category!r}")
    return category
