"""What isn't covered: prompts with images, audio, video or files."""

import re
from collections.abc import Iterator
from typing import Any

from fidelity.errors import ConfigError
from fidelity.prompts.rows import JsonRow

SHOWN = 80
"""Characters of a value in a message."""
MEDIA = re.compile(r"image|audio|video|file|document|media", re.IGNORECASE)
"""In the type of a piece of a message that isn't text: OpenAI's `image_url`, `input_image`, `file`, `input_audio`."""
COLUMNS = re.compile(r"(input_)?(image|audio|video|file)(s|_urls?|_paths?|_files?|_data)?", re.IGNORECASE)
"""Keys of a row with what is not text, as in data sets for vision (LLaVA's `image`)."""
REFUSAL = "fidelity compares texts, and a model's answer depends on the rest too: prompts with images, audio or files "
REFUSAL += "are refused; remove the row, or what isn't text (docs/tools.md)"


def refuse_embeddings(row: JsonRow, *, where: str) -> None:
    """Refuse a request to an embedding model, or its result.

    Raises:
        ConfigError: It is one.
    """
    response = row["response"] if isinstance(row.get("response"), dict) else {}
    for holder in (row, response.get("body")):
        match holder:
            case {"url": str() as url} if url.endswith("/embeddings"):
                break
            case {"data": [{"embedding": _}, *_]} | {"object": "embedding"} | {"embedding": [_, *_]}:
                break
    else:
        return
    raise ConfigError(f"{where}: an embedding; fidelity compares generated texts, not embeddings (docs/tools.md)")


def refuse_media(row: JsonRow, *, where: str) -> None:
    """Refuse a prompt with images, audio, video or files.

    Raises:
        ConfigError: It has some; names its key.
    """
    for holder in (row, row["body"] if isinstance(row.get("body"), dict) else {}):
        for key, value in holder.items():
            if isinstance(key, str) and COLUMNS.fullmatch(key) and value not in (None, "", [], {}):
                raise ConfigError(f"{where}: the key {key!r} ({str(value)[:SHOWN]}); {REFUSAL}")
        for key in ("messages", "prompt", "conversations", "input"):
            if kind := next(media_in(holder.get(key)), None):
                raise ConfigError(f"{where}: {key!r} has a part of the type {kind[:SHOWN]!r}; {REFUSAL}")


def media_in(turns: Any) -> Iterator[str]:
    """The types of all parts of a chat's messages that are not text."""
    for turn in turns if isinstance(turns, list) else ():
        for key in ("content", "value") if isinstance(turn, dict) else ():
            for piece in turn[key] if isinstance(turn.get(key), list) else ():
                yield from _media_of(piece)


def _media_of(piece: Any) -> Iterator[str]:
    if isinstance(piece, dict):
        kind = piece.get("type")
        if isinstance(kind, str) and MEDIA.search(kind):
            yield kind
        elif kind is None:
            yield from (key for key, value in piece.items() if isinstance(key, str) and MEDIA.search(key) and value)
