"""What a study would run, how large it is and about how long it takes, without loading or fetching anything."""

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
"""On disk, of an answer: text, token id, log-probability."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A run of a study."""

    family: str
    name: str
    state: str
    """`finished`, `recorded`, `to run`, or why that can't be told."""
    prompts: int
    tokens: int
    """The most that it generates, 0 where nothing is."""
    bytes: int | None
    """Of the weights; None where the model is not on this machine."""
    seconds: float | None
    """About how long; None where nothing comparable has been measured in this store."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All runs of a study."""

    runs: tuple[Planned, ...]
    out_of_reach: tuple[str, ...] = ()
    """What of the gate can't be passed with so few prompts."""

    def lines(self) -> Iterator[str]:
        """For reading: a line for each run, then what it comes to."""
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
            yield f"time: about {in_words(sum(known))} at most, without loading the models"
        else:
            yield f"time: unknown for {len(to_run) - len(known)} runs: nothing comparable was measured in this store"


def plan_study(study: Study, *, store: Store, limit: int | None = None) -> Plan:
    """Look at every run of a study.

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
                raise FidelityError(f"to run, after {config.model} has been fetched from the Hub")
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
    """The run and its controls, where their jobs can't be made."""
    control = config.control or (Control() if as_baseline else "none")
    repeats = 0 if control == "none" else control.repeats
    return [config.name, *(f"{config.name}.control{n}" for n in range(1, repeats + 1))]


def _measured(store: Store) -> float | None:
    """Bytes of weights times tokens per second, the median over what was measured in this store; None without any."""
    speeds = []
    for run in store.runs():
        try:
            measured, size = store.measurement(run), run.manifest.checkpoint.bytes
            if measured and size and measured.seconds and measured.tokens:
                speeds.append(size * measured.tokens / measured.seconds)
        except FidelityError:
            continue
    return sorted(speeds)[len(speeds) // 2] if speeds else None
