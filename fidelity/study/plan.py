"""The plan of a study: what would run, its size and its approximate duration. Nothing is loaded or downloaded."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fidelity.config import Control, RecordedEngine, RunConfig, Sampling, StoredEngine, candidate_of
from fidelity.errors import FidelityError
from fidelity.runs.jobs import jobs_of, prompts_of
from fidelity.store.store import Store
from fidelity.study.progress import in_words
from fidelity.study.study import Family, Study, checkpoint_of, out_of_reach_in

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
    runs = tuple(run for family in study.families for run in _family(family, store, limit, speed))
    beyond = (
        f"{family.name}: {sentence}" for family in study.families for sentence in out_of_reach_in(study, family, limit)
    )
    return Plan(runs, tuple(beyond))


def _family(family: Family, store: Store, limit: int | None, speed: float | None) -> Iterator[Planned]:
    stored = isinstance(family.baseline.engine, StoredEngine)
    prompts = () if stored else prompts_of(family.baseline, limit)
    for config, as_baseline in ((family.baseline, True), *((candidate, False) for candidate in family.candidates)):
        shared = config if as_baseline or stored else candidate_of(family.baseline, config)
        about = checkpoint_of(config)
        sampling = shared.sampling or Sampling()
        longest = sampling.max_tokens * sampling.repeats
        try:
            if about is None and config.model is not None and not Path(config.model).is_absolute():
                raise FidelityError(f"to run, after downloading {config.model} from the Hub")
            jobs = jobs_of(shared, store=store, prompts=prompts, as_baseline=as_baseline)
        except FidelityError as error:
            for name in _names(config, as_baseline):
                yield Planned(family.name, name, str(error), len(prompts), len(prompts) * longest, None, None)
            continue
        for job in jobs:
            recorded = isinstance(config.engine, RecordedEngine)
            finished = store.run(job.name, job.digest) is not None
            tokens = 0 if finished or recorded else len(job.prompts) * longest
            weights = about.bytes if about else None
            seconds = tokens * weights / speed if tokens and speed and weights else None
            state = "finished" if finished else "recorded" if recorded else "to run"
            yield Planned(family.name, job.name, state, len(job.prompts), tokens, weights, seconds)


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
