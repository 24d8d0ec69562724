"""Planning runs: the prompts, chunks and digests of the runs that a configuration needs."""

import hashlib
import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from operator import index
from pathlib import Path
from typing import NamedTuple, SupportsIndex, overload

from fidelity.config import (
    DEFAULT_BATCH,
    Control,
    RecordedEngine,
    Requests,
    RunConfig,
    Sampling,
    StoredEngine,
    VllmServeEngine,
)
from fidelity.engines import Admission, identity
from fidelity.engines.recorded import recorded_prompts, recorded_repeats
from fidelity.errors import ConfigError
from fidelity.prompts import load_prompts, prompts_digest
from fidelity.records import Prompt
from fidelity.schema import JsonObject
from fidelity.stats import READING_SEED, reading_order
from fidelity.store.runs import Run
from fidelity.store.store import Store

FEWEST = 0.75
"""The smallest share of an engine's slots that a run uses."""
PROOF_PROMPTS = 16
"""For how many prompts a run with batch-invariant kernels proves that its answers don't depend on the batch."""
RECORDED_AT_ONCE = 4096
"""Recorded answers that are read and written together."""
RAMP = 8
"""The number of steps in which an engine with continuous batching is filled."""


class Asked(NamedTuple):
    """One planned answer of a run."""

    prompt: Prompt
    repeat: int


@dataclass(frozen=True, slots=True)
class Batches(Sequence[Sequence[Asked]]):
    """Planned answers in batches. A batch is made when it is read, since there may be millions of prompts."""

    prompts: Sequence[Prompt]
    places: Sequence[Sequence[int]]
    """Of each batch's answers: the prompt's place, plus the number of all prompts for each repeat before."""

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, number: SupportsIndex) -> list[Asked]: ...

    @overload
    def __getitem__(self, number: slice) -> "Batches": ...

    def __getitem__(self, number: SupportsIndex | slice) -> "list[Asked] | Batches":
        if isinstance(number, slice):
            return Batches(self.prompts, self.places[number])
        both = (divmod(place, len(self.prompts)) for place in self.places[index(number)])
        return [Asked(self.prompts[place], repeat) for repeat, place in both]


@dataclass(frozen=True, slots=True)
class Job:
    """A planned run."""

    name: str
    config: RunConfig
    prompts: Sequence[Prompt]
    sampling: Sampling
    repeats: int
    seed: int
    digest: str
    engine_identity: JsonObject
    control_of: str | None = None
    """If this is a control: the digest of the run that it repeats."""
    subset_of: str | None = None
    """The digest of the baseline's prompts, if this run has only some of them."""
    until_decided: bool = False
    """Go through the prompts in the gate's reading order, and stop when the gate has decided."""

    @property
    def prompt_set(self) -> Sequence[Prompt]:
        """All prompts of the set, also those that `--limit` leaves out."""
        return load_prompts(self.config.prompts) if self.config.prompts else self.prompts

    @property
    def answers(self) -> int:
        """The number of planned answers: `repeats` per prompt."""
        return len(self.prompts) * self.repeats

    @property
    def plan(self) -> Batches:
        """The chunks that are generated and written together: the batches, or everything with continuous batching.

        A run that can stop early is judged after each batch. Recorded answers are read in order, some at a time.
        """
        if self.until_decided:
            return self.batches
        if isinstance(self.config.engine, RecordedEngine):
            starts = range(0, self.answers, RECORDED_AT_ONCE)
            return Batches(self.prompts, [range(n, min(n + RECORDED_AT_ONCE, self.answers)) for n in starts])
        batches = self.batches
        return Batches(self.prompts, [list(chain.from_iterable(batches.places))]) if self.streamed else batches

    @property
    def batches(self) -> Batches:
        """All planned answers, in the run's order, cut into random batches. Repeats are shuffled like prompts.

        In a gate's reading order a prompt's repeats follow each other: a prompt counts when all of them are finished.
        """
        order = None
        if self.until_decided:
            reading = reading_order([p.id for p in self.prompts], seed=READING_SEED)
            order = [int(place) + repeat * len(self.prompts) for place in reading for repeat in range(self.repeats)]
        largest = self.config.drained or DEFAULT_BATCH
        return Batches(self.prompts, chunks(self.answers, largest=largest, seed=self.seed, order=order))

    @property
    def streamed(self) -> bool:
        """Whether batching is continuous, so each answer is written when it finishes."""
        return self.config.drained is None

    @property
    def admission(self) -> Admission:
        """How the prompts of a run with continuous batching enter the engine, drawn from the run's seed.

        Kernels depend on the number of prompts in the engine, so every run draws how the first steps fill it, and how
        many slots it uses if there are too few for all prompts (three quarters of them up to all). On a server every
        run but the baseline draws a number of requests in flight, from half of the configured number up to one less.
        With batch-invariant kernels nothing depends on it.
        """
        draw = random.Random(self.seed)
        if self.config.batch_invariant:
            return Admission(logprobs_of=PROOF_PROMPTS)
        if not isinstance(self.config.engine, Requests):
            return Admission(share=draw.uniform(FEWEST, 1.0), ramp=tuple(sorted(draw.random() for _ in range(RAMP))))
        most = self.config.engine.concurrency
        return Admission(most if self.seed == 0 else draw.randint(max(1, most // 2), max(1, most - 1)))


def chunks(count: int, *, largest: int, seed: int, order: Sequence[int] | None = None) -> list[list[int]]:
    """The batches of a run: a seeded permutation of 0 ... count-1, cut at random.

    A given `order` is used instead of the permutation; it must be as good as random.

    Sizes are drawn between a quarter of the largest and the largest, which is at most half of all, so two seeds
    give different compositions: on a CPU the order within a single batch changes nothing.
    """
    draw = random.Random(seed)
    left = list(range(count) if order is None else order)
    if order is None:
        draw.shuffle(left)
    largest = max(1, min(largest, count // 2))
    cut: list[list[int]] = []
    while left:
        size = draw.randint(math.ceil(largest / 4), largest)
        cut.append(left[:size])
        left = left[size:]
    return cut


def prompts_of(config: RunConfig, limit: int | None) -> Sequence[Prompt]:
    """The prompts of a run, or the first of them; none for a stored one."""
    match config:
        case RunConfig(engine=StoredEngine()):
            return ()
        case RunConfig(prompts=Path() as path):
            return load_prompts(path, limit=limit)
        case RunConfig(engine=RecordedEngine(path=path)):
            prompts = recorded_prompts(path)
            return prompts if limit is None else prompts[:limit]
    raise ConfigError(f"{config.file_or_name}: 'prompts' is missing: add `starter` or the path of a prompt set")


def jobs_of(
    config: RunConfig,
    *,
    store: Store,
    prompts: Sequence[Prompt],
    as_baseline: bool,
    subset_of: str | None = None,
    until_decided: bool = False,
) -> list[Job]:
    """The run and its controls. A baseline has two controls by default; a candidate only if its YAML asks for it."""
    if isinstance(config.engine, StoredEngine):
        return []
    if any(prompt.tools for prompt in prompts):
        check_tools(config)
    seed = 0 if as_baseline else _seed(config.name)
    make = partial(_job, prompts=prompts, store=store, subset_of=subset_of)
    run = make(config, config.name, seed=seed, until_decided=until_decided)
    control = config.control or (Control() if as_baseline else "none")
    if control == "none":
        return [run]
    if isinstance(config.engine, RecordedEngine):
        controls = [
            config.model_copy(update={"engine": config.engine.model_copy(update={"path": path}), "name": _name(path)})
            for path in control.path
        ]
        return [run, *(make(c, c.name, seed=0, control_of=run.digest) for c in controls)]
    named = [(f"{config.name}.control{n}", n) for n in range(1, control.repeats + 1)]
    again = [make(config, name, seed=n if as_baseline else _seed(name), control_of=run.digest) for name, n in named]
    return [run, *again]


def check_tools(config: RunConfig) -> None:
    """Refuse an engine that can't offer the prompts' tools.

    Raises:
        ConfigError: It would leave them out, or offer others; names the key to change.
    """
    where, engine = f"{config.file_or_name}: the prompts have tools", config.engine
    if isinstance(engine, Requests):
        if engine.api == "completion":
            raise ConfigError(f"{where}, which only a chat can offer; set engine.api to 'chat'")
        if both := next((key for key in ("tools", "tool_choice") if key in engine.request), None):
            raise ConfigError(f"{where}, and engine.request.{both} sets others; remove one of the two")
    if isinstance(engine, VllmServeEngine) and engine.tool_call_parser is None:
        raise ConfigError(
            f"{where}; set engine.tool_call_parser (`hermes`, `llama3_json`, ...), else vLLM refuses them"
        )


def on_the_same_prompts(control: Job, run: Run, store: Store) -> Job:
    """The control of a run that stopped before the end of its prompts."""
    return _job(
        control.config,
        control.name,
        prompts=run.prompts(),
        store=store,
        seed=control.seed,
        control_of=run.manifest.digest,
        subset_of=run.manifest.subset_of,
    )


def _job(
    config: RunConfig,
    name: str,
    *,
    prompts: Sequence[Prompt],
    store: Store,
    seed: int,
    control_of: str | None = None,
    subset_of: str | None = None,
    until_decided: bool = False,
) -> Job:
    sampling = config.sampling or Sampling()
    repeats = recorded_repeats(config.engine.path) if isinstance(config.engine, RecordedEngine) else sampling.repeats
    engine = identity(config, remembered=store.remembered_hashes)
    depends_on: JsonObject = {"engine": engine, "prompts": prompts_digest(prompts)}
    if not isinstance(config.engine, RecordedEngine):
        chunk = config.drained
        if isinstance(config.engine, Requests):  # servers were continuous before the digest had a key for it
            chunk = config.chunk or DEFAULT_BATCH
        batching = {"chunk": chunk} if chunk else {"batching": "invariant" if config.batch_invariant else "continuous"}
        depends_on |= {"sampling": sampling.model_dump(mode="json"), **batching, "seed": seed}
    depends_on |= {"subset_of": subset_of} if subset_of else {}
    depends_on |= {"order": f"reading, seed {READING_SEED}"} if until_decided else {}
    digest = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()
    return Job(name, config, prompts, sampling, repeats, seed, digest, engine, control_of, subset_of, until_decided)


def _seed(name: str) -> int:
    """The seed of a candidate's order and chunks, from its name. Baseline and controls have the seeds 0, 1, 2, ..."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") | 1 << 32


def _name(path: Path) -> str:
    return "".join(c if (c.isalnum() and c.isascii()) or c in "._+-" else "-" for c in path.stem)
