"""What an engine is: something that answers prompts, and says what it really was."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from fidelity.config import Sampling
from fidelity.records import Failure, Generation, Prompt, TokenScores


@dataclass(frozen=True, slots=True)
class LayerGroup:
    """Layers of a loaded model that are of one kind and run in one way."""

    kind: str
    """"linear", "experts", "embedding" or "lm_head"."""
    format: str
    """What they compute in: `BF16`, `W8A8-INT8`, `W4A8-INT4 g64`, `8da4w g32` (torchao), `Q4_1` (GGUF)."""
    kernel: str | None
    """The kernel that multiplies; None where the engine leaves it to its framework."""
    method: str
    """The engine's own name for how it treats them."""
    quantized: bool
    count: int


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
    """The kernels that multiply in the layers below."""
    layers: tuple[LayerGroup, ...] = ()
    """All layers with weights, by kind, format and kernel."""
    kv_cache: str | None = None
    """The number format of the KV cache."""
    quantized_layers: int | None = None
    """Linear layers and experts; a fused layer (q, k and v in one) counts once."""
    unquantized_layers: int | None = None
    context: int | None = None
    """The longest prompt plus answer, in tokens."""
    tokenizer: str | None = None
    """Hash of the vocabulary: token ids of two runs can be compared where it is equal."""
    chat_template: str | None = None
    """Hash of the template that was applied; None where prompts went in as plain text."""
    prompt_end: str | None = None
    """What the template ends a prompt with, where the answer begins: some open the thinking there."""
    bos_tokens: int | None = None
    """How many BOS tokens a prompt begins with: 1, 0, or 2 where both the template and the tokenizer add one."""
    end_tokens: tuple[int | str, ...] | None = None
    """The tokens that end an answer: ids, or texts where the engine tells no ids."""
    generation_config: dict[str, Any] | None = None
    """What of the model's or the server's own sampling defaults is in force beside the run's `sampling`."""
    tensor_parallel: int | None = None
    """Devices that each layer is split over."""
    pipeline_parallel: int | None = None
    """Devices, or groups of them, that the layers are split over."""
    speculative: str | None = None
    """How tokens are proposed that the model then verifies: `ngram, 4 tokens`; "none" where nothing proposes any."""
    environment: dict[str, str] | None = None
    """The variables of the engine's environment that can pick its kernels."""
    model: str | None = None
    """The name that a server or a recording gives to what it ran."""
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

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, repeats: Sequence[int] | None = None
    ) -> Iterator[Generation | Failure]:
        """One record per prompt, in the prompts' order, whatever happens; all of them are held at once.

        `repeats` says of each prompt which of its repeats is asked for (0 if not given): what is sampled gets the seed
        `sampling.seed_of(prompt.id, repeat)`. The caller writes the repeat into the record.
        """
        ...


@runtime_checkable
class ForcingEngine(Engine, Protocol):
    """An engine that can also say how likely it finds a continuation that somebody else wrote."""

    def force(
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
    ramp: tuple[float, ...] = ()
    """How full the engine is after each of its first steps, as rising shares of `at_once`; then it is kept full."""
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
