"""Generations and failures."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from fidelity.records.expected import Judgment
from fidelity.records.tool_calls import ToolCall


@dataclass(frozen=True, slots=True)
class Generation:
    """An engine's answer to one prompt. Token ids and logprobs come from the engine; None if it gives none."""

    prompt_id: str
    text: str
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    """Natural log-probability of each chosen token, from decoding (never from teacher forcing)."""
    finish_reason: str | None = None
    """Why generation stopped: "stop" (end of sequence or a stop string), "length" (max_tokens), ..."""
    repeat: int = 0
    """The number of the repeat; always 0 at temperature 0."""
    reasoning: str | None = None
    """A reasoning model's thinking; None if there is none, or if `text` still contains it (see `answers`)."""
    prompt_tokens: int | None = None
    """The prompt's length in tokens, chat template included; None if the engine doesn't report it."""
    prompt_hash: str | None = None
    """Hash of the prompt's tokens (`prompting.prompt_hash`): equal if two models read the same prompt."""
    tool_calls: tuple[ToolCall, ...] | None = None
    """The calls of tools in their order, which `text` ends with as JSON; None if the engine doesn't read calls."""
    score: Judgment | None = None
    """A benchmark's own judgment of a recorded answer; None if there is none."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the engine gave no answer to one prompt. A failure is never text and never scored."""

    prompt_id: str
    reason: str
    repeat: int = 0
    cause: Literal["model", "world"] = "model"
    """The model's own failures stay; those of the network or a server are asked again at the next run."""


Response: TypeAlias = Generation | Failure
"""The outcome of one prompt."""
