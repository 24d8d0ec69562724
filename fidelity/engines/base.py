"""What an engine is: something that answers prompts, and says what it really was."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from fidelity.config import Sampling
from fidelity.records import EngineInfo, Failure, Generation, Prompt, TokenScores


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the engine is in the prompts that it was handed: a sign of life, for people."""

    prompts: int
    """Answered so far, in this chunk."""
    tokens: int
    """Generated so far, in this chunk; estimated while prompts are still running."""
    note: str | None = None
    """What the user should know right now: that a server answers nothing, and since when."""


OnProgress = Callable[[Progress], None]


class Engine(Protocol):
    """An open engine; a context manager of `open_engine` closes it."""

    info: EngineInfo
    step_seconds: float
    """Time spent in the engine's own steps since it was opened and warm."""

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, repeats: Sequence[int] | None = None
    ) -> Iterator[Generation | Failure]:
        """One record per prompt, in the prompts' order, whatever happens; all of them are held at once.

        `repeats` says of each prompt which of its repeats is asked for (0 if not given): what is sampled gets the seed
        `sampling.seed_of(prompt.id, repeat)`. The caller writes the repeat into the record.
        """
        ...


@runtime_checkable
class TokenScoringEngine(Engine, Protocol):
    """An engine that can also say how likely it finds a continuation that somebody else wrote."""

    def score_tokens(
        self, prompts: Sequence[Prompt], continuations: Sequence[Sequence[int]], top_k: int
    ) -> Iterator[TokenScores | Failure]:
        """One record per prompt, in the prompts' order, whatever happens; all of them are held at once.

        Args:
            prompts: Turned into tokens as `generate` does it.
            continuations: The token ids that follow each of the prompts; may be empty.
            top_k: How many of the most likely tokens to give at each position; -1 is the whole vocabulary.
        """
        ...


@dataclass(frozen=True, slots=True)
class Admission:
    """How prompts enter an engine that is kept full."""

    at_once: int | None = None
    """The most prompts in the engine at once; None is as many as it holds."""
    share: float = 1.0
    """The share of these seats that is used; of as many seats as there are prompts where they are fewer."""
    ramp: tuple[float, ...] = ()
    """How many of them are taken after each of the first steps, as rising shares; then all of them are."""
    logprobs: bool = False
    """Whether the log-probability of each generated token is computed, where an engine can do without."""


@runtime_checkable
class StreamingEngine(Engine, Protocol):
    """An engine that is kept full: the next prompt is admitted when one finishes, and each is answered by itself."""

    def answer(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        repeats: Sequence[int] | None = None,
        *,
        admission: Admission,
    ) -> Iterator[tuple[int, Generation | Failure]]:
        """Each prompt's place in `prompts` and its outcome, as it finishes; every place once.

        Args:
            prompts: Admitted in their order.
            sampling: How tokens are chosen.
            repeats: As in `Engine.generate`.
            admission: How many are under way; no more of the outcomes are held either.

        Raises:
            EngineError: The engine or server is gone; the outcomes until then are valid.
        """
        ...


@runtime_checkable
class TokenTexts(Protocol):
    """An engine that says how its tokens read; what was forced is shown in words where it does."""

    def token_texts(self, ids: Sequence[int]) -> list[str]:
        """Each token by itself; a part of a character reads as U+FFFD."""
        ...
