"""The protocols of engines, which answer prompts and report what ran."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from fidelity.children.wire import HeadFields
from fidelity.config import Sampling
from fidelity.records import EngineInfo, Failure, Generation, Prompt, TokenScores


@dataclass(frozen=True, slots=True)
class Progress:
    """An engine's progress in the current chunk, for display."""

    prompts: int
    """Prompts answered so far in this chunk."""
    tokens: int
    """Generated so far, in this chunk; estimated while prompts are still running."""
    note: str | None = None
    """What the user should know right now: that a server answers nothing, and since when."""


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an engine runs, if several run at once."""

    name: str = ""
    """Its name in progress reports: `GPU 0,1`, `engine 2`, or a node of a cluster."""
    gpus: tuple[str, ...] = ()
    """The engine's GPUs, as in CUDA_VISIBLE_DEVICES. Empty: all that this process sees."""
    check: Callable[[], None] = lambda: None
    """Called about once per second while the engine is waited for. An exception that it raises ends the engine."""

    @property
    def env(self) -> dict[str, str]:
        """The environment variables with which a process sees only these GPUs."""
        return {"CUDA_VISIBLE_DEVICES": ",".join(self.gpus)} if self.gpus else {}


ANYWHERE = Placement()
"""An engine that has this machine for itself."""


class Engine(Protocol):
    """An open engine, which `open_engine` closes."""

    info: EngineInfo
    step_seconds: float
    """Seconds spent in the engine's own steps since the warm-up."""

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, repeats: Sequence[int] | None = None
    ) -> Iterator[Generation | Failure]:
        """Return exactly one record per prompt, in the prompts' order. All prompts are in the engine together.

        `repeats` has the repeat of each prompt (default 0), which selects the seed
        `sampling.seed_of(prompt.id, repeat)`. The caller writes the repeat into the record.
        """
        ...


@runtime_checkable
class TokenScoringEngine(Engine, Protocol):
    """An engine that can also score the tokens of a given continuation (teacher forcing)."""

    def score_tokens(
        self, prompts: Sequence[Prompt], continuations: Sequence[Sequence[int]], top_k: int, *, exact: bool = False
    ) -> Iterator[TokenScores | Failure]:
        """Return exactly one record per prompt, in the prompts' order. All prompts are in the engine together.

        Args:
            prompts: Tokenized as in `generate`.
            continuations: The token ids that follow each prompt; can be empty.
            top_k: The number of most likely tokens to return at each position; -1 for the whole vocabulary.
            exact: Whether to return hidden states too, or the reason why there are none. They have no head yet.
        """
        ...

    def write_head(self, file: Path) -> HeadFields | str | None:
        """Write the matrix of the model's head (`children.hidden_states`), and return what belongs to it.

        A reason if the head can't be read; None if the hidden states are logits.
        """
        ...


@dataclass(frozen=True, slots=True)
class Admission:
    """How prompts enter an engine with continuous batching."""

    at_once: int | None = None
    """The maximum number of prompts in the engine at once; None for the engine's limit."""
    share: float = 1.0
    """The share of these slots to use, if there are more prompts than slots; on a CPU, of the prompts too."""
    ramp: tuple[float, ...] = ()
    """The slots in use after each of the first steps, as rising shares; afterwards all of them are used."""
    logprobs_of: int = 0
    """For how many prompts to compute the log-probability of each generated token, which slows an engine down."""


@runtime_checkable
class StreamingEngine(Engine, Protocol):
    """An engine with continuous batching: the next prompt is admitted when one finishes."""

    def answer(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        repeats: Sequence[int] | None = None,
        *,
        admission: Admission,
    ) -> Iterator[tuple[int, Generation | Failure]]:
        """Yield each prompt's index in `prompts` and its outcome when it finishes, every index once.

        Args:
            prompts: The prompts, admitted in this order.
            sampling: The sampling parameters.
            repeats: As in `Engine.generate`.
            admission: How many prompts are in flight, which also limits the outcomes in memory.

        Raises:
            EngineError: The engine or server is gone. Earlier outcomes are valid.
        """
        ...


@runtime_checkable
class TokenTexts(Protocol):
    """An engine that reports the texts of tokens, so token scores can be displayed as text."""

    def token_texts(self, ids: Sequence[int]) -> list[str]:
        """Return the text of each single token; an incomplete character is U+FFFD."""
        ...
