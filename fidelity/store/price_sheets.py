"""What servers were measured to do under load, in `prices/` of a store."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from fidelity.store.record_files import MANIFEST, Manifest, Record, read_record

FOLDER = "prices"
Mode = Literal["sync", "async"]
"""One request after the other, or requests that arrive at a rate."""
LEAST, MOST = 1e-9, 1e12
"""No server takes less time or answers more; ratios of such numbers are still numbers."""
AtLeastOne = Annotated[int, Field(ge=1, le=MOST)]
AtLeastZero = Annotated[float, Field(ge=0, le=MOST)]
AboveZero = Annotated[float, Field(ge=LEAST, le=MOST)]


class LoadPoint(Record):
    """One load on one server."""

    run: str
    """The server's model, by the name in its YAML file."""
    use_case: str
    mode: Mode
    rate: AboveZero | None
    """Requests per second that were sent; None if all were sent at once, or one after the other."""
    turn: int = Field(ge=0)
    """Points of all servers with this turn were measured next to each other."""
    requests: int = Field(ge=1)
    seconds: AboveZero
    requests_per_s: AboveZero
    """Answered requests over the time until the last answer."""
    tokens_per_s: AtLeastZero
    """Tokens of the answers."""
    first_token: AtLeastZero
    """Seconds, the median over the requests, like the next two."""
    next_token: AtLeastZero
    answer: AboveZero
    """The whole answer."""
    answer_mean: AboveZero
    answer_p95: AboveZero


class PricedServer(Record):
    """What was served, from its configuration and from vLLM's log."""

    model: str
    format: str = Field(min_length=1)
    bytes: int | None = Field(default=None, ge=0)
    """The size of the weight files; None for `load_format: dummy`."""
    random_weights: bool = False
    """The engine filled the weights itself (`load_format: dummy`), or the checkpoint is marked as random."""
    device: str | None = None
    version: str | None = None
    kernels: tuple[str, ...] = ()
    mode: str | None = None
    """`eager` or `compiled`."""
    options: Mapping[str, object] = {}
    weights_gib: float | None = None
    """By vLLM's log, on the device, like the next three."""
    kv_cache_gib: float | None = None
    activations_gib: float | None = None
    """The peak of activations; None if the KV cache has a fixed size, since vLLM measures nothing then."""
    graphs_gib: float | None = None
    """CUDA graphs; None if several servers started at the same time, because vLLM's number is wrong then."""
    kv_tokens: int | None = None
    """The tokens that fit into the KV cache."""
    bytes_per_token: int | None = None
    """Of keys and values, from the configuration."""

    @property
    def gpus(self) -> int:
        """How many GPUs the server takes."""
        return gpus_of(self.options)

    @property
    def hardware(self) -> str:
        """The device with its number: `NVIDIA H200`, `2 × NVIDIA H200`."""
        device = self.device or "an unknown device"
        return f"{self.gpus} × {device}" if self.gpus > 1 else device


def gpus_of(options: Mapping[str, object]) -> int:
    """How many GPUs a server takes, by vLLM's options."""
    sizes = (str(options.get(f"{kind}_parallel_size")) for kind in ("tensor", "pipeline", "data"))
    return math.prod(int(size) for size in sizes if re.fullmatch("[1-9][0-9]{0,4}", size))


class PriceSheet(Manifest):
    """Loads on a baseline's server and on those of its candidates, in turns."""

    what: ClassVar[str] = "a price sheet"

    baseline: str
    created: str
    servers: Mapping[str, PricedServer]
    """By the run's name, the baseline first."""
    use_cases: Mapping[str, tuple[AtLeastOne, AtLeastOne]]
    """(prompt tokens, answer tokens)."""
    spread: float = Field(ge=0, lt=1)
    """In `async`, lengths were drawn uniformly from 1 - spread to 1 + spread times those."""
    points: tuple[LoadPoint, ...] = ()

    @model_validator(mode="after")
    def _must_belong_together(self) -> "PriceSheet":
        for point in self.points:
            if point.run not in self.servers:
                raise ValueError(f"a point's run {point.run!r} is not among the servers")
            if point.use_case not in self.use_cases:
                raise ValueError(f"a point's use case {point.use_case!r} is not among the use cases")
        return self


def read_sheets(store: Path) -> list[PriceSheet]:
    """The price sheets of a store, by name.

    Raises:
        StoreError: One is damaged.
    """
    return [read_record(file, PriceSheet) for file in sorted(store.glob(f"{FOLDER}/*/{MANIFEST}"))]
