"""Which engine and machine a run used."""

from dataclasses import dataclass, field

from fidelity.schema import REFUSE_UNKNOWN_KEYS, JsonObject

NOTICEABLE = 0.1
"""Share of the machine's CPUs that other processes must use before fidelity warns."""


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
    reads_tools: bool | None = None
    """Whether the chat template writes a prompt's tools into it."""
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
    models: tuple[str, ...] = ()
    """All such names, if the rows of a recording have several."""
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
