"""Places on a Ray cluster: an actor on one of its nodes holds one engine; see `docs/decisions/024-many-engines.md`.

Ray places engines, notices lost nodes and moves answers. The command alone writes the store.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fidelity.children.wire import HeadFields
from fidelity.config import RunConfig, Sampling, VllmSettings
from fidelity.engines import (
    Admission,
    Engine,
    OnProgress,
    Opener,
    Placement,
    Progress,
    StreamingEngine,
    TokenTexts,
    open_engine,
    surroundings,
)
from fidelity.errors import EngineDied, EngineError, FidelityError
from fidelity.files import scratch_file
from fidelity.outside.environment import kernel_environment, picks_kernels
from fidelity.outside.ray_cluster import connected
from fidelity.records import EngineInfo, Failure, Generation, Prompt, TokenScores
from fidelity.runs.pool import LOOK_S, PlaceLost
from fidelity.schema import JsonObject

BLOCK = 32
"""The most outcomes that an actor sends at once."""
BLOCK_S = 1.0
"""Seconds after which it sends what it has."""
BLOCKS_AHEAD = 16
"""Blocks that may wait in the object store until an actor pauses."""
REPLACED_S = 30.0
"""Seconds until the place of a lost node is given up, so that its work can go to another one."""


@dataclass(frozen=True, slots=True)
class Block:
    """What an actor sends: outcomes, the latest progress, or an error."""

    outcomes: tuple[Any, ...] = ()
    progress: Progress | None = None
    step_seconds: float = 0.0
    error: str = ""
    killed: bool = False


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What the command has to know of an actor's engine."""

    info: EngineInfo
    surroundings: JsonObject | None
    """What its outputs depend on besides the model; None if it isn't vLLM."""
    streams: bool


class RemoteEngine:
    """An engine on a node of the cluster, as an actor. Its errors are blocks, since they cross processes."""

    def __init__(self, config: RunConfig, keep_failures: bool, environment: dict[str, str]) -> None:
        """Take over the command's variables that select kernels; Ray sets some of its own (OMP_NUM_THREADS)."""
        for name in list(filter(picks_kernels, os.environ)):
            del os.environ[name]
        os.environ.update(environment)
        self._config, self._keep_failures = config, keep_failures
        self._stack = ExitStack()
        self._progress: Progress | None = None

    def open(self) -> EngineFacts | Block:
        """Load the model."""
        log = self._stack.enter_context(scratch_file("fidelity-engine.log"))
        opening = open_engine(self._config, log=log, on_progress=self._note, keep_failures=self._keep_failures)
        try:
            self._engine: Engine = self._stack.enter_context(opening)
        except FidelityError as error:
            return Block(error=str(error), killed=isinstance(error, EngineDied) and error.killed)
        engine = self._config.engine
        known = surroundings(engine) if isinstance(engine, VllmSettings) else None
        return EngineFacts(self._engine.info, known, isinstance(self._engine, StreamingEngine))

    def ask(self, method: str, *arguments: Any, **keys: Any) -> Iterator[Block]:
        """Blocks with all that a method of the engine yields."""
        try:
            outcomes, sent, self._progress = [], time.monotonic(), None  # that of the request before is counted already
            for outcome in getattr(self._engine, method)(*arguments, **keys):
                outcomes.append(outcome)
                if len(outcomes) == BLOCK or time.monotonic() - sent > BLOCK_S:
                    yield Block(tuple(outcomes), self._progress)
                    outcomes, sent = [], time.monotonic()
            yield Block(tuple(outcomes), self._progress, self._engine.step_seconds)
        except EngineError as error:
            yield Block(error=str(error), killed=isinstance(error, EngineDied) and error.killed)

    def token_texts(self, ids: list[int]) -> list[str] | Block:
        """See `TokenTexts`."""
        try:
            return self._engine.token_texts(ids) if isinstance(self._engine, TokenTexts) else Block(error="no texts")
        except EngineError as error:
            return Block(error=str(error))

    def close(self) -> None:
        """Close the engine."""
        self._stack.close()

    def _note(self, progress: Progress) -> None:
        self._progress = progress


class RayEngine:
    """The command's side of an actor's engine; an `Engine` that scores tokens."""

    info: EngineInfo
    step_seconds: float = 0.0

    def __init__(self, actor: Any, facts: EngineFacts, on_progress: OnProgress, check: Callable[[], None]) -> None:
        self._actor, self._on_progress, self._check = actor, on_progress, check
        self.info = facts.info

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, repeats: Sequence[int] | None = None
    ) -> Iterator[Generation | Failure]:
        """See `Engine.generate`."""
        yield from self._ask("generate", list(prompts), sampling, repeats)

    def score_tokens(
        self, prompts: Sequence[Prompt], continuations: Sequence[Sequence[int]], top_k: int, *, exact: bool = False
    ) -> Iterator[TokenScores | Failure]:
        """See `TokenScoringEngine.score_tokens`. Hidden states stay where they are, so nothing is exact."""
        for outcome in self._ask("score_tokens", list(prompts), [list(ids) for ids in continuations], top_k):
            if exact and isinstance(outcome, TokenScores):
                outcome = replace(outcome, hidden="hidden states are not moved from other machines")
            yield outcome

    def write_head(self, file: Path) -> HeadFields | str | None:
        """See `TokenScoringEngine.write_head`."""
        return "the head is not moved from other machines"

    def token_texts(self, ids: Sequence[int]) -> list[str]:
        """See `TokenTexts`."""
        texts: list[str] | Block = _value(self._actor.token_texts.remote([int(id_) for id_ in ids]), self._check)
        if isinstance(texts, Block):
            raise EngineError(texts.error)
        return texts

    def _ask(self, method: str, *arguments: Any, **keys: Any) -> Iterator[Any]:
        blocks = self._actor.ask.options(
            num_returns="streaming", _generator_backpressure_num_objects=BLOCKS_AHEAD
        ).remote(method, *arguments, **keys)
        while (block := _next(blocks, self._check)) is not None:
            if block.error:
                raise EngineDied(block.error, killed=block.killed)
            if block.progress:
                self._on_progress(block.progress)
            self.step_seconds = block.step_seconds or self.step_seconds
            yield from block.outcomes


class RayStreamingEngine(RayEngine):
    """The same for an engine with continuous batching."""

    def answer(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        repeats: Sequence[int] | None = None,
        *,
        admission: Admission,
    ) -> Iterator[tuple[int, Generation | Failure]]:
        """See `StreamingEngine.answer`."""
        yield from self._ask("answer", list(prompts), sampling, repeats, admission=admission)


class RayPlaces:
    """Places on the nodes of a cluster. Each engine has a placement group, whose GPUs are on one node."""

    def __init__(self, address: str) -> None:
        """Connect to a cluster: an address, `auto` for the one of this machine.

        Raises:
            MissingPackageError: Ray is not installed.
            EngineError: There is no cluster.
        """
        self._ray = ray = connected(address, option=f"--ray {address}")
        self._actors = ray.remote(RemoteEngine)
        self._groups: dict[str, Any] = {}
        self._asked: dict[int, Any] = {}
        self._count = 0
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        self._resource = "GPU" if any("GPU" in node for node in nodes) else "CPU"
        self._of_nodes = [int(node.get(self._resource, 0)) for node in nodes]

    def take(self, gpus: int) -> Placement | None:
        """See `Places`. Ray looks for a node meanwhile."""
        from ray.util.placement_group import placement_group

        bundle = {"CPU": 1, "GPU": gpus} if self._resource == "GPU" else {"CPU": gpus}
        group = self._asked.get(gpus)
        if group is None:
            group = self._asked[gpus] = placement_group([bundle], strategy="STRICT_PACK")
        if not group.wait(0.1):
            return None
        del self._asked[gpus]
        self._count += 1
        placement = Placement(f"engine {self._count} on {self._node_of(group)}", tuple(map(str, range(gpus))))
        self._groups[placement.name] = group
        return placement

    def give_back(self, placement: Placement) -> None:
        """See `Places`."""
        self._remove(self._groups.pop(placement.name))

    def opener(self, placement: Placement) -> Opener:
        """See `Places`."""
        group = self._groups[placement.name]

        @contextmanager
        def opener(
            config: RunConfig, *, log: Path, on_progress: OnProgress, keep_failures: bool = False
        ) -> Iterator[Engine]:
            self._wait_until_ready(group, placement)
            actor = self._actor(group, placement, config, keep_failures)
            try:
                facts = _value(actor.open.remote(), placement.check)
                if isinstance(facts, Block):
                    error = EngineDied(facts.error, killed=True) if facts.killed else EngineError(facts.error)
                    raise error
                _check_node(config, facts)
                kind = RayStreamingEngine if facts.streams else RayEngine
                yield kind(actor, facts, on_progress, placement.check)
                with suppress(self._ray.exceptions.RayError):
                    self._ray.get(actor.close.remote(), timeout=REPLACED_S)
            finally:
                self._ray.kill(actor)

        return opener

    def most(self) -> int:
        """See `Places`."""
        return max(self._of_nodes, default=0)

    def total(self) -> int:
        """See `Places`."""
        return sum(self._of_nodes)

    def close(self) -> None:
        """Withdraw what Ray was asked for."""
        for group in self._asked.values():
            self._remove(group)
        self._asked.clear()

    def _actor(self, group: Any, placement: Placement, config: RunConfig, keep_failures: bool) -> Any:
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        gpus = len(placement.gpus)
        resources = {"num_cpus": 1, "num_gpus": gpus} if self._resource == "GPU" else {"num_cpus": gpus}
        place = PlacementGroupSchedulingStrategy(group, placement_group_capture_child_tasks=False)
        return self._actors.options(scheduling_strategy=place, max_restarts=0, **resources).remote(
            config, keep_failures, kernel_environment({})
        )

    @staticmethod
    def _wait_until_ready(group: Any, placement: Placement) -> None:
        """Wait until Ray has moved the place of a lost node to another one."""
        until = time.monotonic() + REPLACED_S
        while not group.wait(LOOK_S):
            placement.check()
            if time.monotonic() > until:
                raise PlaceLost

    def _node_of(self, group: Any) -> str:
        from ray.util import placement_group_table

        (node_id,) = placement_group_table(group)["bundles_to_node_id"].values()
        names = {node["NodeID"]: node["NodeManagerAddress"] for node in self._ray.nodes()}
        return f"{names.get(node_id, '')} {node_id[:6]}".strip()

    @staticmethod
    def _remove(group: Any) -> None:
        from ray.util.placement_group import remove_placement_group

        remove_placement_group(group)


def _check_node(config: RunConfig, facts: EngineFacts) -> None:
    """Refuse an engine that isn't the one in the run's digest, which was computed where the command runs."""
    if facts.surroundings is None or not isinstance(config.engine, VllmSettings):
        return
    here = surroundings(config.engine)
    if different := sorted(key for key in here if here[key] != facts.surroundings.get(key)):
        key = different[0]
        raise EngineError(
            f"{config.name}: the cluster's node has {key} {facts.surroundings.get(key)}, but this machine {here[key]}; "
            f"run the command on a node of the same kind"
        )


def _next(blocks: Any, check: Callable[[], None]) -> Block | None:
    """An actor's next block; None at its end."""
    import ray

    while not ray.wait([blocks], timeout=LOOK_S)[0]:
        check()
    check()
    try:
        return _value(next(blocks), check)  # type: ignore[no-any-return]
    except StopIteration:
        return None


def _value(reference: Any, check: Callable[[], None]) -> Any:
    """What an actor returns.

    Raises:
        EngineDied: The actor or its node is gone, or the object store is full.
    """
    import ray

    while not ray.wait([reference], timeout=LOOK_S)[0]:
        check()
    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        raise EngineDied(f"the cluster lost the engine: {_reason(error)}", killed=True) from error


def _reason(error: Exception) -> str:
    """What happened, from an error of Ray's; that of a method has a cause, and its own text begins with the method."""
    from ray.exceptions import ObjectStoreFullError, OutOfDiskError

    cause = getattr(error, "cause", None) or error
    if isinstance(cause, (ObjectStoreFullError, OutOfDiskError)):
        return "its node's object store is full, and so is the disk that takes what doesn't fit"
    return str(cause).partition("\n")[0]
