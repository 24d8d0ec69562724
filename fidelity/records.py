"""The frozen records that all layers share: prompts, generations, failures, pairs and columns."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from fidelity.schema import JsonObject

Better = Literal["higher", "lower", "neither"]
SummaryKind = Literal["mean", "median"]
Side = Literal["baseline", "candidate", "pair"]
"""The side that keeps a pair from being scored; "pair" if the column doesn't apply to it (no code, no JSON)."""
Floats: TypeAlias = NDArray[np.float64]
"""An array of double-precision numbers, of any shape."""
REFUSE_UNKNOWN_KEYS = ConfigDict(extra="forbid")
"""Pydantic configuration of records that are read from a manifest."""
NOTICEABLE = 0.1
"""Share of the machine's CPUs that other processes must use before fidelity warns."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat, in the roles of the OpenAI chat format."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt of a set. A text is one user message to a chat model, and plain text to a model without a template."""

    id: str
    content: str | tuple[Message, ...]
    category: str | None = None

    @property
    def messages(self) -> tuple[Message, ...]:
        """The prompt as a chat."""
        return (Message("user", self.content),) if isinstance(self.content, str) else self.content

    @property
    def text(self) -> str:
        """The turns joined as text, for display and for models without a chat template."""
        return self.content if isinstance(self.content, str) else "\n\n".join(m.content for m in self.content)


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


@dataclass(frozen=True, slots=True, eq=False)
class TokenScores:
    """A model's log-probabilities of a given continuation (teacher forcing), one row per token.

    Log-probabilities are natural (nats), of the model's full distribution at temperature 1. n is the length of the
    continuation, or less if the model's context ends first. For the whole vocabulary, k is its size and the columns
    are in the order of the token ids.
    """

    prompt_id: str
    token_ids: NDArray[np.int32]
    """(n,), the continuation's tokens."""
    logprobs: NDArray[np.float32]
    """(n,), log-probabilities of these tokens."""
    ranks: NDArray[np.int32]
    """(n,), ranks of these tokens; 1 is the most likely."""
    top_ids: NDArray[np.int32]
    """(n, k), most likely first."""
    top_logprobs: NDArray[np.float32]
    """(n, k), log-probabilities of `top_ids`."""
    repeat: int = 0
    """The number of the baseline's repeat."""


def every_id(n: int, vocabulary: int) -> NDArray[np.int32]:
    """The `top_ids` of n tokens over the whole vocabulary, in the order of the ids; one row, seen n times."""
    return np.broadcast_to(np.arange(vocabulary, dtype=np.int32), (n, vocabulary))


@dataclass(frozen=True, slots=True)
class Pair:
    """A baseline's and a candidate's generations for one prompt (and one repeat)."""

    prompt: Prompt
    baseline: Generation
    candidate: Generation
    baselines: tuple[Generation, ...] = ()
    """With several repeats: the baseline's generations in all of the prompt's pairs, including this one."""
    candidates: tuple[Generation, ...] = ()
    """The candidate's generations, in the same order."""
    token_scores: tuple[TokenScores, TokenScores] | None = None
    """Both models' scores of the baseline's tokens, the baseline's first; only for metrics that need them."""


@dataclass(frozen=True, slots=True)
class LayerGroup:
    """Layers of a loaded model of the same kind that run in the same way."""

    __pydantic_config__ = REFUSE_UNKNOWN_KEYS

    kind: str
    """"linear", "experts", "embedding" or "lm_head"."""
    format: str
    """Their compute format: `BF16`, `W8A8-INT8`, `W4A8-INT4 g64`, `8da4w g32` (torchao), `Q4_1` (GGUF)."""
    kernel: str | None
    """The matrix multiplication kernel; None if the engine leaves it to its framework."""
    method: str
    """The engine's name of their quantization method."""
    quantized: bool
    count: int


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What ran, as the engine reports it; None for what it doesn't report."""

    __pydantic_config__ = REFUSE_UNKNOWN_KEYS

    kind: str
    version: str | None = None
    device: str | None = None
    """The name of the CPU or GPU."""
    mode: str | None = None
    """"eager" or "compiled"."""
    dtype: str | None = None
    ran_as: str | None = None
    """The compute type of the kernels, which can differ from the checkpoint's."""
    attention: str | None = None
    """The attention backend."""
    kernels: tuple[str, ...] = ()
    """The kernels of the layers below."""
    layers: tuple[LayerGroup, ...] = ()
    """All layers with weights, by kind, format and kernel."""
    kv_cache: str | None = None
    """The number format of the KV cache."""
    quantized_layers: int | None = None
    """The number of linear layers and experts; a fused layer (q, k and v in one) counts once."""
    unquantized_layers: int | None = None
    context: int | None = None
    """The context length (prompt plus answer), in tokens."""
    tokenizer: str | None = None
    """Hash of the vocabulary: token ids of two runs can be compared if it is equal."""
    chat_template: str | None = None
    """Hash of the applied chat template; None if prompts were sent as plain text."""
    prompt_end: str | None = None
    """The end of a rendered prompt: some templates open the thinking there."""
    bos_tokens: int | None = None
    """The number of BOS tokens at the start of a prompt: 1, 0, or 2 if both template and tokenizer add one."""
    end_tokens: tuple[int | str, ...] | None = None
    """The end tokens: ids, or texts if the engine reports no ids."""
    generation_config: JsonObject | None = None
    """The model's or the server's sampling defaults that apply in addition to the run's `sampling`."""
    tensor_parallel: int | None = None
    """The number of devices that each layer is split over (tensor parallelism)."""
    pipeline_parallel: int | None = None
    """The number of devices, or groups of them, that the layers are distributed over (pipeline parallelism)."""
    speculative: str | None = None
    """Speculative decoding: `ngram, 4 tokens`; "none" without it."""
    environment: dict[str, str] | None = None
    """The variables of the engine's environment that can select its kernels."""
    model: str | None = None
    """The model's name by the server or the recording."""
    versions: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """Notes on this run for the user."""


@dataclass(frozen=True, slots=True)
class MachineLoad:
    """The load of the machine over an interval of time."""

    __pydantic_config__ = REFUSE_UNKNOWN_KEYS

    processors: int
    """The machine's CPUs, whether or not this process can use them."""
    busy_with_others: float | None
    """The average number of CPUs that other processes used; None if unknown."""
    load_average: float | None
    """The load average of the last minute at the end, including this process."""

    @property
    def disturbed(self) -> bool:
        """Whether other processes may have affected a timing."""
        return self.busy_with_others is not None and self.busy_with_others > NOTICEABLE * self.processors


@dataclass(frozen=True, slots=True)
class Sameness:
    """Whether two runs are equal in each respect; None if unknown (a run has no token ids, or no logprobs)."""

    __pydantic_config__ = REFUSE_UNKNOWN_KEYS

    texts: bool
    token_ids: bool | None = None
    logprobs: bool | None = None


@dataclass(frozen=True, slots=True)
class PromptTokens:
    """A comparison of the prompts of two runs as their models read them, in tokens."""

    pairs: int
    known: int
    """The number of pairs for which both runs report the prompt's length."""
    hashed: int
    """The number of pairs for which both report the prompt's tokens."""
    differing: int
    """The number of pairs for which length or tokens differ, as far as known."""
    example: str | None = None
    """The id of the first prompt that differs."""
    baseline_tokens: int | None = None
    """The length of that prompt in the baseline, in tokens."""
    other_tokens: int | None = None
    """The length of that prompt in the other run, in tokens."""

    @property
    def same(self) -> bool:
        """Whether all prompts are proven to have the same tokens."""
        return self.hashed == self.pairs > 0 and not self.differing


@dataclass(frozen=True, slots=True)
class SharedAnswers:
    """The number of answers that exactly two of three runs share. A control should not be closer to the candidate."""

    candidate_and_control: int
    """Answers that are equal in candidate and control, and different in the baseline."""
    baseline_and_control: int
    """Answers that are equal in baseline and control, and different in the candidate."""


@dataclass(frozen=True, slots=True)
class Column:
    """A metric's numbers, one per pair, in the pairs' order. A pair that can't be scored is None, never 0 or NaN.

    With `weights` (same length; None if the value is None) the mean is the sum of weight x value over the sum of
    weights. `bounds` is the known range of a value, or None (a ratio, a change of log-probability). A similarity is in
    [0, 1] with 1 = identical. A "neither" column is descriptive, never judged.
    """

    name: str
    values: Sequence[float | None]
    weights: Sequence[float | None] | None = None
    better: Better = "higher"
    summary: SummaryKind = "mean"
    bounds: tuple[float, float] | None = (0.0, 1.0)
    sides: Sequence[Side | None] | None = None
    """The side that keeps each pair from being scored, None for scored pairs. None as a whole if every pair is scored,
    or if it is unknown, as in stores of earlier versions."""

    @classmethod
    def of(
        cls,
        name: str,
        scores: Iterable[float | Side],
        *,
        weights: Sequence[float | None] | None = None,
        better: Better = "higher",
        summary: SummaryKind = "mean",
        bounds: tuple[float, float] | None = (0.0, 1.0),
    ) -> "Column":
        """A column from one number per pair, or the side that prevents it."""
        given = list(scores)
        values = tuple(None if isinstance(score, str) else score for score in given)
        sides = tuple(score if isinstance(score, str) else None for score in given)
        return cls(name, values, weights, better, summary, bounds, sides if any(sides) else None)

    @property
    def worst(self) -> float | None:
        """The value of a candidate's answer that can't be scored.

        None if there is no such number: the column isn't judged, its range is unknown, or its mean has weights that the
        answer lacks. A gate line on such a column can't pass while an answer is unscored.
        """
        if self.better == "neither" or self.bounds is None or self.weights is not None:
            return None
        return self.bounds[0] if self.better == "higher" else self.bounds[1]

    @property
    def judged_values(self) -> Sequence[float | None]:
        """The values for judging a candidate: the worst value if only its answer can't be scored."""
        if self.sides is None or self.worst is None:
            return self.values
        pairs = zip(self.values, self.sides, strict=True)
        return tuple(self.worst if side == "candidate" else value for value, side in pairs)
