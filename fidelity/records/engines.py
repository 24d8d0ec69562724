"""Which engine and machine a run used."""

from dataclasses import dataclass, field

from fidelity.schema import REFUSE_UNKNOWN_KEYS, JsonObject

NOTICEABLE = 0.1
"""Share of the machine's CPUs that other processes must use before fidelity warns."""


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
