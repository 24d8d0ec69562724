"""What an engine is: something that answers prompts, and says what it really was."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fidelity.config import Sampling
from fidelity.records import Failure, Generation, Prompt


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What really ran, as the engine itself says; None where it doesn't say."""

    kind: str
    version: str | None = None
    device: str | None = None
    """Name of the processor or the GPU."""
    mode: str | None = None
    """"eager" or "compiled"."""
    dtype: str | None = None
    ran_as: str | None = None
    """The number format that the kernels computed in; may differ from the checkpoint's."""
    attention: str | None = None
    """The attention backend."""
    kernels: tuple[str, ...] = ()
    """The kernels that the engine named in its log."""
    quantized_layers: int | None = None
    unquantized_layers: int | None = None
    context: int | None = None
    """The longest prompt plus answer, in tokens."""
    tokenizer: str | None = None
    """Hash of the vocabulary: token ids of two runs can be compared where it is equal."""
    chat_template: str | None = None
    """Hash of the template that was applied; None where prompts went in as plain text."""
    versions: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What the user should be told about this run."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the engine is in the prompts that it was handed: a sign of life, for people."""

    prompts: int
    """Answered so far, in this chunk."""
    tokens: int
    """Generated so far, in this chunk; estimated while prompts are still running."""


OnProgress = Callable[[Progress], None]


class Engine(Protocol):
    """An open engine; a context manager of `open_engine` closes it."""

    info: EngineInfo
    step_seconds: float
    """Time spent in the engine's own steps since it was opened and warm."""

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[Generation | Failure]:
        """One record per prompt, in the prompts' order, whatever happens; all of them are held at once."""
        ...
