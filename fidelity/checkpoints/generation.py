"""How a checkpoint ends its answers, and the sampling that it proposes, from its generation config and tokenizer."""

import json
from pathlib import Path

from fidelity.checkpoints.config import ModelJson

SAMPLING = (
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "max_new_tokens",
)
"""What a server takes from generation_config.json where a request leaves it open."""


def proposed_sampling(directory: Path) -> ModelJson:
    """The sampling parameters in a checkpoint's generation_config.json; empty without any."""
    written = _json(directory / "generation_config.json")
    return {key: written[key] for key in SAMPLING if written.get(key) is not None}


def end_token_ids(directory: Path) -> tuple[int, ...] | None:
    """The tokens that end an answer, of generation_config.json and of the tokenizer; None where none is named."""
    named = _json(directory / "generation_config.json").get("eos_token_id")
    ids = {token for token in (named if isinstance(named, list) else [named]) if isinstance(token, int)}
    token = _json(directory / "tokenizer_config.json").get("eos_token")
    text = token.get("content") if isinstance(token, dict) else token
    added = _json(directory / "tokenizer.json").get("added_tokens")
    ids |= {one["id"] for one in added or () if one.get("content") == text}
    return tuple(sorted(ids)) or None


def _json(file: Path) -> ModelJson:
    try:
        written = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return written if isinstance(written, dict) else {}
