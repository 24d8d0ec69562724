"""The `latency:` mapping of a run's YAML: timings with one request at a time."""

from typing import Annotated, Literal

from pydantic import Field

from fidelity.schema import Settings

UseCase = Literal[
    "code_completion",
    "instruction_following",
    "summarisation",
    "multi_turn_chat",
    "rag",
    "docstring",
    "code_fixing",
]
USE_CASES: dict[UseCase, tuple[int, int]] = {
    "code_completion": (256, 1024),
    "instruction_following": (256, 128),
    "summarisation": (4096, 512),
    "multi_turn_chat": (512, 256),
    "rag": (1024, 128),
    "docstring": (768, 128),
    "code_fixing": (1024, 1024),
}
"""Workloads as (prompt tokens, answer tokens), from Kurtic et al. 2025 (arXiv 2411.02355)."""


class Latency(Settings):
    """Requests sent one at a time, after the run is complete and before its engine closes."""

    prompts: int = Field(default=8, ge=1)
    """The number of prompts to time, the same ones for every candidate."""
    repeats: int = Field(default=3, ge=1)
    """How often each prompt is timed; the median is its value."""
    max_tokens: int = Field(default=32, ge=2)
    """The number of tokens to generate for each request; end-of-sequence tokens are ignored."""
    prefill: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Also time the first token of prompts padded or cut to these lengths, in tokens."""
    use_cases: tuple[UseCase, ...] = ()
    """Also time these workloads: prompts padded to one length, answers of another."""
