"""The frozen records that cross every layer: what was asked, what was said, why nothing was said, and the numbers."""

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
"""Whose answer keeps a pair from being scored; "pair" where neither has what the column is about (no code, no JSON)."""
Floats: TypeAlias = NDArray[np.float64]
"""Numbers in double precision, of any shape."""
REFUSE_UNKNOWN_KEYS = ConfigDict(extra="forbid")
"""For pydantic, where a record is read back from a manifest."""
NOTICEABLE = 0.1
"""Share of the machine's processors that other work must take to be worth a warning."""


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
        """The prompt for reading, and for a model without a chat template: the turns, one after another."""
        return self.content if isinstance(self.content, str) else "\n\n".join(m.content for m in self.content)


@dataclass(frozen=True, slots=True)
class Generation:
    """What the engine said to one prompt. Token ids and logprobs are the engine's own; None where it gives none."""

    prompt_id: str
    text: str
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    """Natural logarithm of each chosen token's probability, one per token id, from decoding (never from forcing)."""
    finish_reason: str | None = None
    """The engine's word for why it stopped: "stop" (end of sequence or a stop string), "length" (max_tokens), ..."""
    repeat: int = 0
    """Which of the run's repeats this is; always 0 at temperature 0."""
    reasoning: str | None = None
    """The thinking of a reasoning model; None where there is none, or where `text` still holds it (see `answers`)."""
    prompt_tokens: int | None = None
    """How many tokens the model read the prompt as, chat template included; None where the engine gives no number."""
    prompt_hash: str | None = None
    """Hash of those tokens (`prompting.prompt_hash`): equal in two runs whose models read the same prompt."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the engine said nothing to one prompt. Never text, never scored."""

    prompt_id: str
    reason: str
    repeat: int = 0


Response: TypeAlias = Generation | Failure
"""What came of one prompt."""


@dataclass(frozen=True, slots=True, eq=False)
class TokenScores:
    """How likely a model finds a continuation that it was handed: teacher forcing, a row for each token.

    Log-probabilities are natural (nats), of the model's whole distribution at temperature 1. n is the continuation's
    length, or less where the model's context ends before it does. Of the whole vocabulary, k is its size and the
    columns are in the order of the token ids.
    """

    prompt_id: str
    token_ids: NDArray[np.int32]
    """(n,), the continuation's tokens."""
    logprobs: NDArray[np.float32]
    """(n,), of those tokens."""
    ranks: NDArray[np.int32]
    """(n,), of those tokens: 1 is the most likely one."""
    top_ids: NDArray[np.int32]
    """(n, k), most likely first."""
    top_logprobs: NDArray[np.float32]
    """(n, k), of `top_ids`."""
    repeat: int = 0
    """Which of the baseline's repeats the continuation is."""


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
    """With several repeats: what the baseline said in each of the prompt's pairs, this one's among them."""
    candidates: tuple[Generation, ...] = ()
    """The same of the candidate, in the same order."""
    token_scores: tuple[TokenScores, TokenScores] | None = None
    """What both models make of the baseline's tokens, its own scores first; only for metrics that read it."""


@dataclass(frozen=True, slots=True)
class LayerGroup:
    """Layers of a loaded model that are of one kind and run in one way."""

    __pydantic_config__ = REFUSE_UNKNOWN_KEYS

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
    """What really ran, as the engine itself reports; None where it doesn't."""

    __pydantic_config__ = REFUSE_UNKNOWN_KEYS

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
    generation_config: JsonObject | None = None
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
    models: tuple[str, ...] = ()
    """All such names, where the rows of a recording have several."""
    versions: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What the user should be told about this run."""


@dataclass(frozen=True, slots=True)
class MachineLoad:
    """The machine over a stretch of time."""

    __pydantic_config__ = REFUSE_UNKNOWN_KEYS

    processors: int
    """Of the machine, whether or not this process may use them."""
    busy_with_others: float | None
    """Processors that worked for somebody else, on average; None where the system doesn't tell."""
    load_average: float | None
    """Of the last minute, when it ended: ours is in it."""

    @property
    def disturbed(self) -> bool:
        """Whether other work may have changed a timing."""
        return self.busy_with_others is not None and self.busy_with_others > NOTICEABLE * self.processors


@dataclass(frozen=True, slots=True)
class Sameness:
    """Whether two runs said the very same; None where a run doesn't tell (it has no token ids, or no logprobs)."""

    __pydantic_config__ = REFUSE_UNKNOWN_KEYS

    texts: bool
    token_ids: bool | None = None
    logprobs: bool | None = None


@dataclass(frozen=True, slots=True)
class PromptTokens:
    """The prompts of two runs as their models read them, in tokens, pair by pair."""

    pairs: int
    known: int
    """Pairs where both runs tell how many tokens the prompt had."""
    hashed: int
    """Pairs where both tell which tokens."""
    differing: int
    """Pairs where number or tokens differ, as far as both are known."""
    example: str | None = None
    """The id of the first prompt that differs."""
    baseline_tokens: int | None = None
    """How many tokens the baseline read that prompt as."""
    other_tokens: int | None = None
    """The same of the other run."""

    @property
    def same(self) -> bool:
        """Whether all prompts are proven to be the same tokens."""
        return self.hashed == self.pairs > 0 and not self.differing


@dataclass(frozen=True, slots=True)
class SharedAnswers:
    """How many of a control's answers are nearer to which run: it has no reason to be nearer to the candidate."""

    candidate_and_control: int
    """Answers of the control that are nearer to the candidate's than to the baseline's."""
    baseline_and_control: int
    """Answers of the control that are nearer to the baseline's."""


@dataclass(frozen=True, slots=True)
class Column:
    """A metric's numbers, one per pair, in the pairs' order; None means "this pair can't be scored", never 0 or NaN.

    With `weights` (same length; None where the value is None) the mean is the sum of weight x value over the sum of
    weights. `bounds` is the known range of a value, or None where there is none (a ratio, a change of log-probability).
    A similarity is in [0, 1] with 1 = identical. A "neither" column is described, never judged.
    """

    name: str
    values: Sequence[float | None]
    weights: Sequence[float | None] | None = None
    better: Better = "higher"
    summary: SummaryKind = "mean"
    bounds: tuple[float, float] | None = (0.0, 1.0)
    sides: Sequence[Side | None] | None = None
    """For each pair whose answer keeps it from being scored, None where it is scored. None as a whole where every pair
    is scored; where pairs are unscored, it is not known, as in stores of earlier versions."""

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
        """What a candidate's answer that can't be scored counts as.

        None where there is no such number: the column isn't judged, its range is unknown, or its mean is weighted by
        what the answer doesn't have. A gate line on such a column can't pass while an answer is unscored.
        """
        if self.better == "neither" or self.bounds is None or self.weights is not None:
            return None
        return self.bounds[0] if self.better == "higher" else self.bounds[1]

    @property
    def judged_values(self) -> Sequence[float | None]:
        """The values as a candidate is judged by them: the worst one where its answer alone can't be scored."""
        if self.sides is None or self.worst is None:
            return self.values
        pairs = zip(self.values, self.sides, strict=True)
        return tuple(self.worst if side == "candidate" else value for value, side in pairs)
