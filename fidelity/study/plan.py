"""The plan of a study: what would run, its size and its approximate duration. Nothing is loaded or downloaded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fidelity.config import Control, RecordedEngine, RunConfig, Sampling, StoredEngine, candidate_of
from fidelity.engines.devices import gpus_of
from fidelity.errors import FidelityError
from fidelity.records import Prompt
from fidelity.runs.jobs import Job, jobs_of, prompts_of
from fidelity.store.store import Store
from fidelity.store.studies import in_words
from fidelity.study.cost import SCORING, Pace, makespan, pace_of
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
    model: str = ""
    """The configuration, which has an engine of its own."""
    gpus: int = 1
    """The GPUs of this engine."""
    price_per_hour: float | None = None
    scores: bool = False
    """Whether its engine also scores the baseline's tokens."""

    @property
    def busy(self) -> float:
        """Seconds of its engine, without the start."""
        return (self.seconds or 0.0) * (1 + SCORING * self.scores)


@dataclass(frozen=True, slots=True)
class Plan:
    """All runs of a study."""

    runs: tuple[Planned, ...]
    out_of_reach: tuple[str, ...] = ()
    """The gate's limits that can't be passed with so few prompts."""
    start: float = 0.0
    """Seconds until an engine answers; 0 if unknown."""
    places: int = 1
    """The number of GPUs, or of engines at once on a CPU."""

    @property
    def seconds(self) -> float:
        """The time of the whole study, if that of every run is known."""
        engines: dict[tuple[str, str], tuple[int, float]] = {}
        for run in (run for run in self.runs if run.tokens):
            gpus, seconds = engines.get((run.family, run.model), (run.gpus, self.start))
            engines[run.family, run.model] = gpus, seconds + run.busy
        return makespan(engines.values(), self.places)

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
            yield self._time()
        else:
            yield f"time: unknown for {len(to_run) - len(known)} runs: nothing comparable was measured in this store"

    def _time(self) -> str:
        """Time and price of the whole study."""
        starts = f"with {in_words(self.start)} for each start" if self.start else "plus loading the models"
        where = f" with {self.places} places for engines" if self.places > 1 else ""
        time = f"time: about {in_words(self.seconds)} at most{where}, {starts}"
        prices = [run.price_per_hour for run in self.runs if run.price_per_hour]
        return f"{time}; price: about {self.seconds / 3600 * max(prices):.2f} at most" if prices else time


def plan_study(study: Study, *, store: Store, limit: int | None = None, places: int = 1) -> Plan:
    """Plan every run of a study, for a number of GPUs, or of engines at once on a CPU.

    Raises:
        ConfigError: A prompt set can't be read.
    """
    pace = pace_of(store)
    runs = tuple(run for family in study.families for run in _runs_of(family, store, limit, pace))
    beyond = (
        f"{family.name}: {sentence}" for family in study.families for sentence in out_of_reach_in(study, family, limit)
    )
    return Plan(runs, tuple(beyond), pace.start, places)


def _runs_of(family: Family, store: Store, limit: int | None, pace: Pace) -> Iterator[Planned]:
    """The baseline with its controls, then each candidate with its own."""
    stored = isinstance(family.baseline.engine, StoredEngine)
    prompts = () if stored else prompts_of(family.baseline, limit)
    plan = _FamilyPlan(family.name, store, prompts, pace, family.baseline.kl != "none")
    yield from plan.of(family.baseline, as_baseline=True)
    for candidate in family.candidates:
        yield from plan.of(candidate if stored else candidate_of(family.baseline, candidate), as_baseline=False)


@dataclass(frozen=True, slots=True)
class _FamilyPlan:
    """What the runs of a family have in common."""

    family: str
    store: Store
    prompts: Sequence[Prompt]
    pace: Pace
    scores: bool
    """Whether the baseline's tokens are scored."""

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
        return Planned(
            family=self.family,
            name=job.name,
            state=state,
            prompts=len(job.prompts),
            tokens=tokens,
            bytes=weights,
            seconds=self.pace.seconds(tokens, weights) if tokens and weights else None,
            model=job.config.name,
            gpus=gpus_of(job.config),
            price_per_hour=job.config.price_per_hour,
            scores=self.scores,
        )


def _longest(config: RunConfig) -> int:
    """The most tokens that all answers to one prompt can have."""
    sampling = config.sampling or Sampling()
    return sampling.max_tokens * sampling.repeats


def _names(config: RunConfig, as_baseline: bool) -> list[str]:
    """The run and its controls, if their jobs can't be planned."""
    control = config.control or (Control() if as_baseline else "none")
    repeats = 0 if control == "none" else control.repeats
    return [config.name, *(f"{config.name}.control{n}" for n in range(1, repeats + 1))]
