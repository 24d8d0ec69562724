"""What servers were measured to do under load, in `prices/` of a store."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from fidelity.store.record_files import MANIFEST, Manifest, Record, read_record

FOLDER = "prices"
Mode = Literal["sync", "async"]
"""One request after the other, or requests that arrive at a rate."""


class LoadPoint(Record):
    """One load on one server."""

    run: str
    """The server's model, by the name in its YAML file."""
    use_case: str
    mode: Mode
    rate: float | None
    """Requests per second that were sent; None if all were sent at once, or one after the other."""
    turn: int
    """Points of all servers with this turn were measured next to each other."""
    requests: int
    seconds: float
    requests_per_s: float
    """Answered requests over the time until the last answer."""
    tokens_per_s: float
    """Tokens of the answers."""
    first_token: float
    """Seconds, the median over the requests, like the next two."""
    next_token: float
    answer: float
    """The whole answer."""
    answer_mean: float
    answer_p95: float


class PricedServer(Record):
    """What was served, from its configuration and from vLLM's log."""

    model: str
    format: str
    bytes: int | None = None
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


class PriceSheet(Manifest):
    """Loads on a baseline's server and on those of its candidates, in turns."""

    what: ClassVar[str] = "a price sheet"

    baseline: str
    created: str
    servers: Mapping[str, PricedServer]
    """By the run's name, the baseline first."""
    use_cases: Mapping[str, tuple[int, int]]
    """(prompt tokens, answer tokens)."""
    spread: float
    """In `async`, lengths were drawn uniformly from 1 - spread to 1 + spread times those."""
    points: tuple[LoadPoint, ...] = ()


def read_sheets(store: Path) -> list[PriceSheet]:
    """The price sheets of a store, by name.

    Raises:
        StoreError: One is damaged.
    """
    return [read_record(file, PriceSheet) for file in sorted(store.glob(f"{FOLDER}/*/{MANIFEST}"))]
