"""What was measured of a run beside its outputs, in `measurements/` of a store: size, memory, speed, prices."""

from collections.abc import Mapping
from typing import ClassVar

from fidelity.checkpoints.kv_cache import KVCache
from fidelity.config import Latency
from fidelity.records import EngineInfo, MachineLoad
from fidelity.store.manifests import Manifest, Record


class ChunkTime(Record):
    """What was done in how many seconds."""

    prompts: int
    tokens: int
    seconds: float


class MemoryUse(Record):
    """The most that the engine's processes held at one moment, in bytes; None where nobody counts it."""

    pss: int | None = None
    """Proportional set size: what several processes share counts once (`smaps_rollup`)."""
    rss: int | None = None
    """Resident set size, summed over the processes; of a single one the kernel's own high-water mark."""
    gpu: int | None = None
    """The driver's count over all GPUs."""
    gpu_by: str | None = None
    """`process`, or `total` where the driver doesn't know our processes (in containers): then it is how much the GPUs'
    use has grown, whoever it was."""
    weights: int | None = None
    """On the device."""
    kv_cache: int | None = None
    """Reserved for keys and values, whether or not they are used."""


class ModelSize(Record):
    """Bytes of a model, from the headers of its files."""

    bytes: int | None
    """Of all weight files."""
    bits_per_weight: float | None
    layers: Mapping[str, int]
    """On disk, by kind of layer."""
    layers_loaded: Mapping[str, int] | None
    """In memory; None where the engine quantizes while it loads."""
    kv_cache: KVCache | None = None


class TimedRequest(Record):
    """A request that was alone in the engine."""

    kind: str
    """`prompts`, `prefill 512`, or a use case."""
    prompt_id: str
    repeat: int
    prompt_tokens: int
    seconds: tuple[float, ...]
    """From the request to each of the generated tokens."""


class LatencyTimes(Record):
    """Requests that were answered one at a time."""

    created: str
    asked: Latency
    seconds: float
    """All of it took."""
    machine: MachineLoad
    requests: tuple[TimedRequest, ...]
    failed: Mapping[str, str]
    """`KIND: PROMPT` to the reason."""


class ServedRequests(Record):
    """What `vllm bench serve` measured at one rate of requests; None for what it left out."""

    model: str
    created: str
    request_rate: float | None
    """Requests a second; None where all were asked at once."""
    max_concurrency: float | None
    completed: float | None
    failed: float | None
    seconds: float | None
    requests_per_s: float
    tokens_per_s: float | None
    first_token_ms: float | None
    first_token_p99_ms: float | None
    next_token_ms: float | None
    next_token_p99_ms: float | None
    answer_ms: float | None
    answer_p99_ms: float | None


class Turn(Record):
    """A run measured beside others, in turn with them."""

    turn: str
    """The same of all runs that were measured side by side."""
    values: Mapping[str, float]
    """By the measure's name."""


class Measurement(Manifest):
    """All that was measured of a run; None for what wasn't."""

    what: ClassVar[str] = "measurement"

    created: str | None = None
    """ISO 8601 in UTC, like the other times."""
    engine: EngineInfo | None = None
    prompts: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    step_seconds: float | None = None
    """In the engine's own steps."""
    chunks: tuple[ChunkTime, ...] = ()
    """None of a measurement from before they were noted."""
    size: ModelSize | None = None
    machine: MachineLoad | None = None
    memory: MemoryUse | None = None
    profile: Mapping[str, float] | None = None
    """Seconds by phase."""
    price_per_hour: float | None = None
    latency: LatencyTimes | None = None
    serving: tuple[ServedRequests, ...] | None = None
    turns: tuple[Turn, ...] = ()

    def updated(self, other: "Measurement") -> "Measurement":
        """The same with the fields that the other one was given, and no others."""
        fields = self.model_fields_set | other.model_fields_set
        given = {key: getattr(other if key in other.model_fields_set else self, key) for key in fields}
        return Measurement.model_validate(given)


UNMEASURED = Measurement()
