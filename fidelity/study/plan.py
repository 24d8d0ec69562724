"""The plan of a study: what would run, its size and its approximate duration. Nothing is loaded or downloaded."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fidelity.config import Control, RecordedEngine, RunConfig, Sampling, StoredEngine, candidate_of
from fidelity.errors import FidelityError
from fidelity.records import Prompt
from fidelity.runs.jobs import Job, jobs_of, prompts_of
from fidelity.store.store import Store
from fidelity.store.studies import in_words
from fidelity.study.families import Family, checkpoint_of
from fidelity.study.study import Study, out_of_reach_in

BYTES_A_TOKEN = 40
"""Bytes on disk per answer token: text, token id, log-probability."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A run of a study."""

    family: str
    name: str
    state: str
    """`finished`, `recorded`, `to run`, or the reason why the state is unknown."""
    prompts: int
    tokens: int
    """The maximum number of tokens to generate; 0 for a finished run."""
    bytes: int | None
    """The size of the weights; None if the model is not on this machine."""
    seconds: float | None
    """The estimated duration; None if this store has no comparable measurement."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All runs of a study."""

    runs: tuple[Planned, ...]
    out_of_reach: tuple[str, ...] = ()
    """The gate's limits that can't be passed with so few prompts."""

    def lines(self) -> Iterator[str]:
        """The plan as text: a line for each run, then the totals."""
        family = None
        for run in self.runs:
            if run.family != family:
                family = run.family
                yield f"{family}:"
            weights = f", {run.bytes / 1e9:.2f} GB of weights" if run.bytes else ""
            time = f", about {in_words(run.seconds)} at most" if run.seconds is not None else ""
            yield f"  {run.name}: {run.state}, {run.prompts} prompts{weights}{time}"
        yield from self.out_of_reach
        to_run = [run for run in self.runs if run.tokens]
        tokens = sum(run.tokens for run in to_run)
        yield (
            f"{len(to_run)} of {len(self.runs)} runs to generate: {tokens:,} tokens at most, "
            f"{tokens * BYTES_A_TOKEN / 1e6:,.1f} MB in the store at most"
        )
        if not to_run:
            return
        known = [run.seconds for run in to_run if run.seconds is not None]
        if len(known) == len(to_run):
            yield f"time: about {in_words(sum(known))} at most, plus loading the models"
        else:
            yield f"time: unknown for {len(to_run) - len(known)} runs: nothing comparable was measured in this store"


def plan_study(study: Study, *, store: Store, limit: int | None = None) -> Plan:
    """Plan every run of a study.

    Raises:
        ConfigError: A prompt set can't be read.
    """
    speed = _measured(store)
    runs = tuple(run for family in study.families for run in _runs_of(family, store, limit, speed))
    beyond = (
        f"{family.name}: {sentence}" for family in study.families for sentence in out_of_reach_in(study, family, limit)
    )
    return Plan(runs, tuple(beyond))


def _runs_of(family: Family, store: Store, limit: int | None, speed: float | None) -> Iterator[Planned]:
    """The baseline with its controls, then each candidate with its own."""
    stored = isinstance(family.baseline.engine, StoredEngine)
    prompts = () if stored else prompts_of(family.baseline, limit)
    plan = _FamilyPlan(family.name, store, prompts, speed)
    yield from plan.of(family.baseline, as_baseline=True)
    for candidate in family.candidates:
        yield from plan.of(candidate if stored else candidate_of(family.baseline, candidate), as_baseline=False)


@dataclass(frozen=True, slots=True)
class _FamilyPlan:
    """What the runs of a family have in common."""

    family: str
    store: Store
    prompts: tuple[Prompt, ...]
    speed: float | None
    """Bytes of weights times tokens per second."""

    def of(self, config: RunConfig, *, as_baseline: bool) -> Iterator[Planned]:
        """A configuration's run and its controls, also if their jobs can't be made yet."""
        checkpoint = checkpoint_of(config)
        try:
            if checkpoint is None and config.model is not None and not Path(config.model).is_absolute():
                raise FidelityError(f"to run, after downloading {config.model} from the Hub")
            jobs = jobs_of(config, store=self.store, prompts=self.prompts, as_baseline=as_baseline)
        except FidelityError as error:
            count = len(self.prompts)
            for name in _names(config, as_baseline):
                yield Planned(self.family, name, str(error), count, count * _longest(config), None, None)
            return
        for job in jobs:
            yield self._planned(job, checkpoint.bytes if checkpoint else None)

    def _planned(self, job: Job, weights: int | None) -> Planned:
        state = "recorded" if isinstance(job.config.engine, RecordedEngine) else "to run"
        if self.store.run(job.name, job.digest):
            state = "finished"
        tokens = len(job.prompts) * _longest(job.config) if state == "to run" else 0
        seconds = tokens * weights / self.speed if tokens and self.speed and weights else None
        return Planned(self.family, job.name, state, len(job.prompts), tokens, weights, seconds)


def _longest(config: RunConfig) -> int:
    """The most tokens that all answers to one prompt can have."""
    sampling = config.sampling or Sampling()
    return sampling.max_tokens * sampling.repeats


def _names(config: RunConfig, as_baseline: bool) -> list[str]:
    """The run and its controls, if their jobs can't be planned."""
    control = config.control or (Control() if as_baseline else "none")
    repeats = 0 if control == "none" else control.repeats
    return [config.name, *(f"{config.name}.control{n}" for n in range(1, repeats + 1))]


def _measured(store: Store) -> float | None:
    """Bytes of weights times tokens per second: the median of this store's measurements, or None."""
    speeds = []
    for run in store.runs():
        try:
            measured, size = store.measurement(run), run.manifest.checkpoint.bytes
            if measured and size and measured.seconds and measured.tokens:
                speeds.append(size * measured.tokens / measured.seconds)
        except FidelityError:
            continue
    return sorted(speeds)[len(speeds) // 2] if speeds else None
