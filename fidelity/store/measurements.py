"""A run's measurements, in `measurements/` of a store: size, memory, speed, prices."""

from collections.abc import Mapping
from typing import ClassVar

from fidelity.checkpoints.kv_cache import KVCache
from fidelity.config import Latency
from fidelity.records import EngineInfo, MachineLoad
from fidelity.store.record_files import Manifest, Record


class ChunkTime(Record):
    """The prompts and tokens of a chunk, and its duration."""

    prompts: int
    tokens: int
    seconds: float


class MemoryUse(Record):
    """The peak memory of the engine's processes, in bytes; None if it was not measured."""

    pss: int | None = None
    """Proportional set size: what several processes share counts once (`smaps_rollup`)."""
    rss: int | None = None
    """Resident set size, summed over the processes; of a single one the kernel's own high-water mark."""
    own: int | None = None
    """Memory that goes when the engine's processes go: anonymous and shared memory at its peak, and mapped data files
    such as weights. Without programs and libraries, of which the system keeps as much in memory as it likes."""
    gpu: int | None = None
    """The driver's count over all GPUs."""
    gpu_by: str | None = None
    """`process`, or `total` where the driver doesn't know our processes (in containers): then it is how much the GPUs'
    use has grown, whoever it was."""
    weights: int | None = None
    """Memory on the device."""
    kv_cache: int | None = None
    """Memory reserved for keys and values, whether or not it is used."""


class ModelSize(Record):
    """A model's size in bytes, from the headers of its files."""

    bytes: int | None
    """The size of all weight files."""
    bits_per_weight: float | None
    layers: Mapping[str, int]
    """On disk, by kind of layer."""
    layers_loaded: Mapping[str, int] | None
    """In memory; None if the engine quantizes while loading."""
    kv_cache: KVCache | None = None


class TimedRequest(Record):
    """A request that ran alone in the engine."""

    kind: str
    """`prompts`, `prefill 512`, or a use case."""
    prompt_id: str
    repeat: int
    prompt_tokens: int
    seconds: tuple[float, ...]
    """Seconds from the request to each generated token."""


class LatencyTimes(Record):
    """Requests that were sent one at a time."""

    created: str
    asked: Latency
    seconds: float
    """The total duration in seconds."""
    machine: MachineLoad
    requests: tuple[TimedRequest, ...]
    failed: Mapping[str, str]
    """The reasons of failures, by `KIND: PROMPT`."""


class ServedRequests(Record):
    """A result of `vllm bench serve` at one request rate; None for fields that it left out."""

    model: str
    created: str
    request_rate: float | None
    """Requests per second; None if all were sent at once."""
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
    """A run that was measured in turn with others."""

    turn: str
    """An id that all runs of the same measurement share."""
    values: Mapping[str, float]
    """The values by the measure's name."""


class Measurement(Manifest):
    """All measurements of a run; None for what was not measured."""

    what: ClassVar[str] = "a measurement"

    created: str | None = None
    """ISO 8601 in UTC, like the other times."""
    engine: EngineInfo | None = None
    prompts: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    step_seconds: float | None = None
    """Seconds in the engine's own steps."""
    chunks: tuple[ChunkTime, ...] = ()
    """Empty in measurements of older versions."""
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
        """A copy with the fields that are set in `other`."""
        fields = self.model_fields_set | other.model_fields_set
        given = {key: getattr(other if key in other.model_fields_set else self, key) for key in fields}
        return Measurement.model_validate(given)


UNMEASURED = Measurement()
