"""What is to be timed with one request at a time, as a user writes it."""

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
"""Tokens of the prompt and of the answer, as Kurtic et al. 2025 (arXiv 2411.02355) time them."""


class Latency(Settings):
    """Requests that are answered one at a time, when the run is complete and its engine is still open."""

    prompts: int = Field(default=8, ge=1)
    """How many of the run's prompts are asked, the same ones of every candidate."""
    repeats: int = Field(default=3, ge=1)
    """How often each is asked; the median over them is the prompt's value."""
    max_tokens: int = Field(default=32, ge=2)
    """Generated for each request, whether or not the model would end before."""
    prefill: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Also time the first token of prompts that are padded or cut to these lengths, in tokens."""
    use_cases: tuple[UseCase, ...] = ()
    """Also time these: prompts padded to one length, answers of another."""
