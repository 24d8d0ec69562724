"""A checkpoint's tokenizer, read from its files: the vocabulary, and how text becomes tokens."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fidelity.checkpoints.config import ModelJson

SECTIONS = {"normalizer": "normalization", "pre_tokenizer": "splitting", "post_processor": "tokens added at the ends"}
"""Keys of tokenizer.json that decide which tokens a text becomes, and what they are."""
ENDS = ("bos_token", "add_bos_token", "add_eos_token")
"""Keys of tokenizer_config.json that do."""


@dataclass(frozen=True, slots=True)
class StoredTokenizer:
    """What of a tokenizer decides which ids a text becomes."""

    vocabulary: Mapping[str, int]
    """With the added tokens."""
    sections: ModelJson
    """Of tokenizer.json and tokenizer_config.json, by what they are; merges included."""


def read_tokenizer(directory: Path) -> StoredTokenizer | None:
    """The tokenizer in a directory; None where it has no tokenizer.json that can be read."""
    try:
        written = json.loads((directory / "tokenizer.json").read_text(encoding="utf-8"))
        vocabulary = written["model"]["vocab"]
        if isinstance(vocabulary, list):  # a unigram model has scores, and counts
            vocabulary = {token: number for number, (token, _) in enumerate(vocabulary)}
        added = {one["content"]: one["id"] for one in written["added_tokens"]}
        merges = written["model"].get("merges")
        sections = {words: written.get(key) for key, words in SECTIONS.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    config = read_json(directory / "tokenizer_config.json")
    stated = {key: _text_of(config.get(key)) for key in ENDS}
    return StoredTokenizer({**vocabulary, **added}, {**sections, "merges": merges, **stated})


def _text_of(token: Any) -> Any:
    """A token is written as its text, or as a record with it."""
    return token.get("content") if isinstance(token, dict) else token


def read_json(file: Path) -> ModelJson:
    """A JSON object; empty where there is none that can be read."""
    try:
        written = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return written if isinstance(written, dict) else {}
