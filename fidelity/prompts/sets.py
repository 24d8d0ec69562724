"""Loading a prompt set by its name: a packaged set, a file, or a data set of the Hugging Face Hub."""

import hashlib
import json
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from fidelity.errors import ConfigError
from fidelity.prompts.hub import read_hub
from fidelity.prompts.ids import MadeIds
from fidelity.prompts.parsing import parse_prompt
from fidelity.prompts.rows import read_rows
from fidelity.records import Prompt, plain_turns

PROMPT_SETS = {"starter": "starter.jsonl", "arena-hard": "arena-hard-v0.1.jsonl", "tools": "tools.jsonl"}
"""The sets that come with the package, by name."""
HUB = "hf:"
"""The beginning of the name of a data set."""


def packaged(name: str) -> Path | None:
    """The file of a packaged prompt set; None for any other name."""
    file = PROMPT_SETS.get(name)
    return Path(__file__).parent.parent / "prompt_sets" / file if file else None


def load_prompts(path: Path, *, limit: int | None = None) -> tuple[Prompt, ...]:
    """Read a prompt set: JSONL, a JSON array, CSV, Parquet, a text with one prompt per line, or `hf:DATASET[:SPLIT]`.

    `parse_prompt` lists the keys of a row. A row without an id gets one that follows from its prompt.

    Args:
        path: The file, or the name of a data set.
        limit: Read only this many prompts.

    Raises:
        ConfigError: The file is missing, unreadable or empty, or an id is used twice; names the line.
        MissingPackageError: The package `datasets` is needed and not installed.
    """
    name = str(path)
    if close := get_close_matches(Path(path).name, PROMPT_SETS, n=1) if not Path(path).exists() else []:
        raise ConfigError(f"{path}: no such file; did you mean the prompt set {close[0]!r}?")
    rows = read_hub(name.removeprefix(HUB), limit=limit) if name.startswith(HUB) else read_rows(path)
    made = MadeIds()
    prompts = [parse_prompt(row, where=where, made=made) for where, row in rows]
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


def prompts_digest(prompts: Sequence[Prompt]) -> str:
    """SHA-256 over ids, contents and tools, in order: equal for two sets with the same prompts."""
    digest, separator = hashlib.sha256(b"["), b""
    for prompt in prompts:
        offer = [prompt.offer] if prompt.tools else []
        content = [prompt.id, plain_turns(prompt), isinstance(prompt.content, str), *offer]
        digest.update(separator + json.dumps(content, ensure_ascii=True).encode())
        separator = b", "
    digest.update(b"]")
    return digest.hexdigest()
