"""How a checkpoint ends its answers, and the sampling that it proposes, from its generation config and tokenizer."""

from pathlib import Path

from fidelity.checkpoints.config import ModelJson
from fidelity.checkpoints.tokenizer import read_json

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
    written = read_json(directory / "generation_config.json")
    return {key: written[key] for key in SAMPLING if written.get(key) is not None}


def end_token_ids(directory: Path) -> tuple[int, ...] | None:
    """The tokens that end an answer, of generation_config.json and of the tokenizer; None where none is named."""
    named = read_json(directory / "generation_config.json").get("eos_token_id")
    ids = {token for token in (named if isinstance(named, list) else [named]) if isinstance(token, int)}
    token = read_json(directory / "tokenizer_config.json").get("eos_token")
    text = token.get("content") if isinstance(token, dict) else token
    added = read_json(directory / "tokenizer.json").get("added_tokens")
    ids |= {one["id"] for one in added or () if one.get("content") == text}
    return tuple(sorted(ids)) or None
