"""Lists of texts, written as what they are compared as: recorded files."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, TypeGuard

from fidelity.errors import ConfigError

Outputs: TypeAlias = Sequence[str | None] | Mapping[str, str | None]
"""Outputs, one per prompt, in the prompts' order or by prompt id. None means no output."""


def is_texts(value: object) -> TypeGuard[Outputs]:
    """Whether these are the outputs of one run, rather than of several."""
    items = value.values() if isinstance(value, Mapping) else value
    return isinstance(items, Iterable) and all(item is None or isinstance(item, str) for item in items)


def write_texts(name: str, texts: Outputs, folder: Path, *, prompts: Sequence[str] | None = None) -> Path:
    """Write outputs as a recorded file with the run's name.

    Raises:
        ConfigError: There are no outputs, or their number differs from that of the prompts.
    """
    by_id = dict(texts) if isinstance(texts, Mapping) else {f"p{n}": text for n, text in enumerate(texts)}
    if not by_id:
        raise ConfigError(f"{name}: no texts; give one output for each prompt")
    if prompts is not None and len(prompts) != len(by_id):
        raise ConfigError(f"{name}: the number of texts ({len(by_id)}) differs from that of prompts ({len(prompts)})")
    rows = []
    for number, (prompt_id, text) in enumerate(by_id.items()):
        row = {"id": prompt_id, "failure": "no output"} if text is None else {"id": prompt_id, "text": text}
        rows.append({**row, "prompt": prompts[number]} if prompts else row)
    file = folder / f"{name}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file
