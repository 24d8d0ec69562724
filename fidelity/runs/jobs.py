"""Which runs a configuration asks for: with which prompts, in which chunks, under which digest."""

import hashlib
import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from fidelity.config import DEFAULT_BATCH, Control, RecordedEngine, Requests, RunConfig, Sampling, StoredEngine
from fidelity.engines import Admission, identity
from fidelity.engines.recorded import recorded_prompts, recorded_repeats
from fidelity.errors import ConfigError
from fidelity.gate import SEED
from fidelity.prompts import load_prompts, prompts_digest
from fidelity.records import Prompt
from fidelity.schema import JsonObject
from fidelity.stats import reading_order
from fidelity.store.runs import Run
from fidelity.store.store import Store

FEWEST = 0.75
"""The least share of an engine's seats that a run uses."""
RAMP = 8
"""Steps in which an engine that is kept full is filled."""


class Asked(NamedTuple):
    """One answer that a run is to have."""

    prompt: Prompt
    repeat: int


@dataclass(frozen=True, slots=True)
class Job:
    """A run that is to be there afterwards."""

    name: str
    config: RunConfig
    prompts: tuple[Prompt, ...]
    sampling: Sampling
    repeats: int
    seed: int
    digest: str
    engine_identity: JsonObject
    control_of: str | None = None
    """The digest of the run whose control this is."""
    subset_of: str | None = None
    """The digest of the baseline's prompts, where these are only a part of them."""
    until_decided: bool = False
    """Go through the prompts in the order in which a gate reads them, and stop when it has decided."""

    @property
    def answers(self) -> int:
        """How many answers the run is to have: `repeats` for each prompt."""
        return len(self.prompts) * self.repeats

    @property
    def plan(self) -> list[list[Asked]]:
        """What is generated and written as one: the batches, or all at once where the engine is kept full.

        A run that may stop early is looked at after each batch.
        """
        if self.streamed and not self.until_decided:
            return [[asked for batch in self.batches for asked in batch]]
        return self.batches

    @property
    def batches(self) -> list[list[Asked]]:
        """All that is asked, in the run's order and cut at random. Repeats are shuffled as if they were prompts.

        In a gate's reading order they come one after another: a prompt counts when all of its repeats are there.
        """
        all_asked = [Asked(prompt, repeat) for repeat in range(self.repeats) for prompt in self.prompts]
        order = None
        if self.until_decided:
            reading = reading_order([p.id for p in self.prompts], seed=SEED)
            order = [int(place) + repeat * len(self.prompts) for place in reading for repeat in range(self.repeats)]
        largest = self.config.drained or DEFAULT_BATCH
        cut = chunks(len(all_asked), largest=largest, seed=self.seed, order=order)
        return [[all_asked[n] for n in chunk] for chunk in cut]

    @property
    def streamed(self) -> bool:
        """Whether the engine is kept full, so that each answer is written as it ends."""
        return self.config.drained is None

    @property
    def admission(self) -> Admission:
        """How the prompts of a streamed run enter the engine, by the run's seed.

        An engine's kernels depend on how many prompts are in it, so every run draws how many: from three quarters of
        its seats up to all, and how they are taken in the first steps. A server gets all but the baseline's prompts
        with a drawn number of requests under way, from half of what is configured up to one less.
        """
        draw = random.Random(self.seed)
        if not isinstance(self.config.engine, Requests):
            return Admission(share=draw.uniform(FEWEST, 1.0), ramp=tuple(sorted(draw.random() for _ in range(RAMP))))
        most = self.config.engine.concurrency
        return Admission(most if self.seed == 0 else draw.randint(max(1, most // 2), max(1, most - 1)))


def chunks(count: int, *, largest: int, seed: int, order: Sequence[int] | None = None) -> list[list[int]]:
    """The batches in which a run asks for its answers: a seeded permutation of 0 ... count-1, cut at random.

    An `order` that is given is kept; it must be as good as random.

    Sizes are drawn from a quarter of the largest up to the largest, which is never more than half of all, so that
    two seeds give compositions that really differ: on CPU, order alone, in one batch, changes nothing.
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


def prompts_of(config: RunConfig, limit: int | None) -> tuple[Prompt, ...]:
    match config:
        case RunConfig(engine=StoredEngine()):
            return ()
        case RunConfig(prompts=Path() as path):
            return load_prompts(path, limit=limit)
        case RunConfig(engine=RecordedEngine(path=path)):
            return recorded_prompts(path)[:limit]
    raise ConfigError(f"{config.name}: 'prompts' is missing: name a JSONL prompt set")


def jobs_of(
    config: RunConfig,
    *,
    store: Store,
    prompts: tuple[Prompt, ...],
    as_baseline: bool,
    subset_of: str | None = None,
    until_decided: bool = False,
) -> list[Job]:
    """The run and its controls: a baseline has one if nothing is said, a candidate only if its YAML asks for it."""
    if isinstance(config.engine, StoredEngine):
        return []
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


def on_the_same_prompts(control: Job, run: Run, store: Store) -> Job:
    """The control of a run that stopped before it had asked all prompts."""
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
    prompts: tuple[Prompt, ...],
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
        if isinstance(config.engine, Requests):  # kept full since before that had a name in the digest
            chunk = config.chunk or DEFAULT_BATCH
        batching = {"chunk": chunk} if chunk else {"batching": "continuous"}
        depends_on |= {"sampling": sampling.model_dump(mode="json"), **batching, "seed": seed}
    depends_on |= {"subset_of": subset_of} if subset_of else {}
    depends_on |= {"order": f"reading, seed {SEED}"} if until_decided else {}
    digest = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()
    return Job(name, config, prompts, sampling, repeats, seed, digest, engine, control_of, subset_of, until_decided)


def _seed(name: str) -> int:
    """A candidate's order and chunks are its own, by its name; baseline and controls have 0, 1, 2, ..."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") | 1 << 32


def _name(path: Path) -> str:
    return "".join(c if (c.isalnum() and c.isascii()) or c in "._+-" else "-" for c in path.stem)
