"""A checkpoint's tokenizer, from its files: the vocabulary and the tokenization settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fidelity.checkpoints.config import ModelJson
from fidelity.outside.documents import read_document

SECTIONS = {"normalizer": "normalization", "pre_tokenizer": "splitting", "post_processor": "tokens added at the ends"}
"""Keys of tokenizer.json that affect tokenization, and their names."""
ENDS = ("bos_token", "add_bos_token", "add_eos_token")
"""Keys of tokenizer_config.json that affect tokenization."""


@dataclass(frozen=True, slots=True)
class StoredTokenizer:
    """The parts of a tokenizer that affect token ids."""

    vocabulary: Mapping[str, int]
    """The vocabulary with the added tokens."""
    sections: ModelJson
    """Settings of tokenizer.json and tokenizer_config.json, by name; merges included."""


def read_tokenizer(directory: Path) -> StoredTokenizer | None:
    """The tokenizer in a directory; None without a readable tokenizer.json."""
    try:
        written = read_document(directory / "tokenizer.json")
        vocabulary = written["model"]["vocab"]
        if isinstance(vocabulary, list):  # a unigram model has scores instead of ids
            vocabulary = {token: number for number, (token, _) in enumerate(vocabulary)}
        vocabulary = {**vocabulary, **{one["content"]: one["id"] for one in written["added_tokens"]}}
        merges = written["model"].get("merges")
        sections = {words: written.get(key) for key, words in SECTIONS.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    config = read_json(directory / "tokenizer_config.json")
    stated = {key: _text_of(config.get(key)) for key in ENDS}
    return StoredTokenizer(vocabulary, {**sections, "merges": merges, **stated})


def _text_of(token: Any) -> Any:
    """The text of a token, which is written as a string or as a mapping."""
    return token.get("content") if isinstance(token, dict) else token


def read_json(file: Path) -> ModelJson:
    """A JSON object; empty if it can't be read."""
    try:
        written = read_document(file)
    except (OSError, ValueError, RecursionError):
        return {}
    return written if isinstance(written, dict) else {}
