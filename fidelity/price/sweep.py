"""Measuring servers under load: baseline and candidates in turn, one request at a time and at rates of requests."""

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fidelity.checkpoints import NOT_KNOWN, describe, has_random_weights, local_directory, read_config
from fidelity.checkpoints.kv_cache import kv_cache
from fidelity.config import USE_CASES, RunConfig, VllmEngine, VllmServeEngine
from fidelity.engines.load_generator import Load, LoadGenerator, load_generator
from fidelity.engines.vllm import on_this_machine
from fidelity.engines.vllm_log import with_vllm_log
from fidelity.engines.vllm_serve import bare_server
from fidelity.errors import ConfigError
from fidelity.records import EngineInfo
from fidelity.schema import nearest
from fidelity.store.price_sheets import LoadPoint, Mode, PricedServer

AUTO = (0.125, 0.25, 0.5, 0.75, 1.0)
"""Automatic rates, as shares of the rate at which the baseline answers requests that all come at once."""
AT_ONCE = math.inf
FEWEST = 8
"""Requests at any rate."""


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """What is measured on each server."""

    use_cases: Mapping[str, tuple[int, int]]
    """(prompt tokens, answer tokens) by name."""
    modes: tuple[Mode, ...] = ("sync", "async")
    rates: tuple[float, ...] | None = None
    """Requests per second; infinite: all at once. None: AUTO, and all at once."""
    turns: int = 3
    one_by_one: int = 3
    """Requests of a turn one after the other."""
    seconds: float = 30.0
    """How long requests arrive at each rate."""
    at_once: int = 200
    """Requests that are sent all at once."""
    spread: float = 0.5
    """In `async`, lengths are drawn uniformly from 1 - spread to 1 + spread times the use case's."""
    together: bool = False
    """All servers stay loaded, each idle while another is measured; they must fit side by side."""
    no_load_after: float = math.inf
    """Seconds after which no further load is sent."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is up."""

    name: str
    address: str
    tokenizer: Path
    about: PricedServer


def servable(config: RunConfig) -> VllmServeEngine:
    """The settings with which vLLM serves a run's model.

    Raises:
        ConfigError: Its engine isn't vLLM, or quantizes with torchao.
    """
    engine = config.engine
    if isinstance(engine, VllmServeEngine):
        return engine
    if not isinstance(engine, VllmEngine) or engine.torchao:
        raise ConfigError(f"{config.name}: a price under load needs the engine 'vllm' or 'vllm-serve', without torchao")
    shared = {key: getattr(engine, key) for key in engine.model_fields_set - {"kind", "torchao"}}
    return VllmServeEngine(kind="vllm-serve", **shared)


def sweep(
    configs: Sequence[RunConfig],
    plan: SweepPlan,
    *,
    logs: Path,
    say: Callable[[str], None],
    first_turn: int = 0,
    known_rates: Mapping[str, Sequence[float]] = MappingProxyType({}),
) -> Iterator[tuple[Server, LoadPoint]]:
    """Measure the plan's loads on a server for each config, the baseline first. Yields each point as it is measured.

    With `together` a load goes to one server after the other, else a server gets all loads of a turn before the next
    one starts. The order of servers changes from turn to turn. `known_rates` are those of earlier turns by use case,
    which automatic rates repeat: turns with other rates could not be compared.

    Raises:
        ConfigError: An engine can't be served.
        EngineError: A server or the load generator crashed; what was yielded is measured.
    """
    for config in configs:
        servable(config)
    logs.mkdir(parents=True, exist_ok=True)
    session = _Session(plan, say, configs[0].name, known_rates)
    with load_generator(logs / "load.log") as session.generator, ExitStack() as stack:
        if plan.together:
            with ThreadPoolExecutor(len(configs)) as starting:
                start = partial(serving, logs=logs, say=say, alone=len(configs) == 1)
                servers = list(starting.map(lambda config: stack.enter_context(start(config)), configs))
            for turn in range(first_turn, first_turn + plan.turns):
                for use_case in plan.use_cases:
                    yield from session.loads(_turned(servers, turn), use_case, turn)
            return
        for turn in range(first_turn, first_turn + plan.turns):
            for config in configs if turn == first_turn else _turned(configs, turn):
                with serving(config, logs=logs, say=say) as server:
                    for use_case in plan.use_cases:
                        yield from session.loads([server], use_case, turn)


@contextmanager
def serving(config: RunConfig, *, logs: Path, say: Callable[[str], None], alone: bool = True) -> Iterator[Server]:
    """Start the server of a run's model, and warm nothing up yet. `alone`: no other server starts at the same time."""
    log, began = logs / f"{config.name}.log", time.monotonic()
    start = log.stat().st_size if log.is_file() else 0
    engine = servable(config)
    say(f"{config.name}: starting vllm serve ...")
    with bare_server(config, engine, log=log) as (address, name):
        say(f"{config.name}: up after {time.monotonic() - began:.0f} s")
        about = _about(config, log, start)
        if not alone:  # vLLM takes the difference of the device's free memory, which other servers change meanwhile
            about = about.replace(graphs_gib=None)
        yield Server(name, address, local_directory(str(config.model), config.revision), about)


class _Session:
    """The rates and the servers that are warm so far."""

    generator: LoadGenerator

    def __init__(
        self, plan: SweepPlan, say: Callable[[str], None], baseline: str, known_rates: Mapping[str, Sequence[float]]
    ) -> None:
        self._plan, self._say, self._baseline = plan, say, baseline
        self._deadline = time.monotonic() + plan.no_load_after
        self._automatic = {use_case: list(rates) for use_case, rates in known_rates.items() if rates}
        self._warm: set[str] = set()

    def loads(self, servers: Sequence[Server], use_case: str, turn: int) -> Iterator[tuple[Server, LoadPoint]]:
        """All loads of a use case, each on every server before the next load."""
        tokens = self._plan.use_cases[use_case]
        if "sync" in self._plan.modes:
            load = Load(*tokens, self._plan.one_by_one, at_once=1, seed=turn)
            yield from self._each(servers, use_case, "sync", turn, load)
        if "async" not in self._plan.modes:
            return
        burst = Load(*tokens, self._plan.at_once, spread=self._plan.spread, seed=turn)
        if self._plan.rates is None or AT_ONCE in self._plan.rates:
            for server, point in self._each(servers, use_case, "async", turn, burst):
                if server.name == self._baseline and use_case not in self._automatic:
                    highest = point.requests_per_s
                    self._automatic[use_case] = [float(f"{share * highest:.2g}") for share in AUTO]
                yield server, point
        for rate in self._rates(use_case):
            requests = max(FEWEST, round(rate * self._plan.seconds))
            load = Load(*tokens, requests, rate=rate, spread=self._plan.spread, seed=turn)
            yield from self._each(servers, use_case, "async", turn, load)

    def _rates(self, use_case: str) -> list[float]:
        if self._plan.rates is not None:
            return [rate for rate in self._plan.rates if rate != AT_ONCE]
        return self._automatic.get(use_case, [])  # absent if the time was over before

    def _each(
        self, servers: Sequence[Server], use_case: str, mode: Mode, turn: int, load: Load
    ) -> Iterator[tuple[Server, LoadPoint]]:
        for server in servers:
            if time.monotonic() > self._deadline:
                return
            if server.address not in self._warm:
                self._send(server, Load(*self._plan.use_cases[use_case], 1, at_once=1))
                self._send(server, Load(64, 16, 32, seed=1))
                self._warm.add(server.address)
            point = _point(self._send(server, load), server.name, use_case, mode, turn, load)
            self._say(_line(point))
            yield server, point

    def _send(self, server: Server, load: Load) -> dict[str, Any]:
        return self.generator.send(load, address=server.address, model=server.name, tokenizer=server.tokenizer)


def _turned(items: Sequence, turn: int) -> list:  # type: ignore[type-arg]
    """The items, beginning with another one each turn."""
    first = turn % len(items)
    return [*items[first:], *items[:first]]


def _point(result: Mapping[str, Any], run: str, use_case: str, mode: Mode, turn: int, load: Load) -> LoadPoint:
    return LoadPoint(
        run=run,
        use_case=use_case,
        mode=mode,
        rate=None if load.rate == AT_ONCE else load.rate,
        turn=turn,
        requests=result["completed"],
        seconds=result["duration"],
        requests_per_s=result["request_throughput"],
        tokens_per_s=result["output_throughput"],
        first_token=result["median_ttft_ms"] / 1e3,
        next_token=result["median_tpot_ms"] / 1e3,
        answer=result["median_e2el_ms"] / 1e3,
        answer_mean=result["mean_e2el_ms"] / 1e3,
        answer_p95=result["p95_e2el_ms"] / 1e3,
    )


def _line(point: LoadPoint) -> str:
    how = "one at a time" if point.mode == "sync" else f"{point.rate:.3g}/s" if point.rate else "all at once"
    return (
        f"{point.run}: turn {point.turn + 1}, {point.use_case}, {how}: {point.requests_per_s:.3g} requests/s, "
        f"{point.tokens_per_s:.4g} tokens/s, first token {point.first_token * 1e3:.3g} ms, answer {point.answer:.3g} s"
    )


_GIB = {
    "weights_gib": re.compile(r"[Mm]odel loading took ([\d.]+) Gi?B"),
    "kv_cache_gib": re.compile(r"Available KV cache memory: ([\d.]+) Gi?B"),
    "activations_gib": re.compile(r"([\d.]+) GiB for peak activation"),
    "graphs_gib": re.compile(r"Graph capturing finished in .*took (-?[\d.]+) Gi?B"),
}
_TOKENS = re.compile(r"KV cache size: ([\d,]+) tokens")


def _about(config: RunConfig, log: Path, start: int) -> PricedServer:
    """The served model, from its files and from the log."""
    engine = servable(config)
    directory = local_directory(str(config.model), config.revision)
    info = with_vllm_log(on_this_machine(EngineInfo("vllm-serve"), engine), log, start=start)
    dummy = engine.options.get("load_format") == "dummy"
    checkpoint = describe(directory)
    configured = read_config(directory)
    cache = kv_cache(configured, dtype=info.kv_cache)
    with log.open("rb") as stream:
        stream.seek(start)
        text = stream.read().decode(errors="replace")
    matches = {name: pattern.findall(text) for name, pattern in _GIB.items()}
    blocks = _TOKENS.findall(text)
    return PricedServer(
        model=str(config.model),
        format=checkpoint.format or NOT_KNOWN,
        bytes=None if dummy else checkpoint.bytes,
        random_weights=dummy or has_random_weights(configured),
        device=info.device,
        version=info.version,
        kernels=info.kernels,
        mode="eager" if engine.options.get("enforce_eager") else "compiled",
        options=engine.options,
        **{name: float(values[-1]) for name, values in matches.items() if values},
        kv_tokens=int(blocks[-1].replace(",", "")) if blocks else None,
        bytes_per_token=cache.bytes_per_token if cache else None,
    )


def use_cases_of(names: Sequence[str], *, option: str = "--scenarios") -> dict[str, tuple[int, int]]:
    """The use cases that an option names; `chat` is short for `multi_turn_chat`, and `512/64` names its own lengths.

    Raises:
        ConfigError: There is no such use case.
    """
    chosen: dict[str, tuple[int, int]] = {}
    for name in names:
        full = "multi_turn_chat" if name == "chat" else name
        if match := re.fullmatch(r"([1-9]\d{0,6})/([1-9]\d{0,6})", full):
            chosen[full] = (int(match[1]), int(match[2]))
        elif full in USE_CASES:
            chosen[full] = USE_CASES[full]
        else:
            several = " 'all'," if option == "--scenarios" else ""
            known = nearest(name, list(USE_CASES))
            raise ConfigError(
                f"{option} {name}: no such use case{known},{several} or lengths as 512/64 (tokens of prompt / answer)"
            )
    return chosen
