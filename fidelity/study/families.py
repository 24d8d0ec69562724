"""The families of a study: a baseline and its candidates, and what they still have to generate."""

from dataclasses import dataclass

from fidelity.checkpoints import Checkpoint, describe, local_directory
from fidelity.config import RecordedEngine, RunConfig, StoredEngine, candidate_of
from fidelity.errors import FidelityError
from fidelity.runs.jobs import jobs_of, prompts_of
from fidelity.store.store import Store


@dataclass(frozen=True, slots=True)
class Family:
    """A baseline and its candidates, with defaults filled in."""

    name: str
    baseline: RunConfig
    candidates: tuple[RunConfig, ...]


def work_of(family: Family, store: Store, limit: int | None) -> list[tuple[str, int, float]]:
    """The unfinished runs: name, number of missing answers, and weight of an answer (bytes of the model)."""
    work = []
    for config, as_baseline in ((family.baseline, True), *((candidate, False) for candidate in family.candidates)):
        try:
            jobs = jobs_of(
                config if as_baseline else candidate_of(family.baseline, config),
                store=store,
                prompts=prompts_of(family.baseline, limit),
                as_baseline=as_baseline,
            )
        except FidelityError:  # reported when it runs
            continue
        about = checkpoint_of(config)
        weight = float(about.bytes or 1e9) if about else 1e9
        work += [(job.name, job.answers, weight) for job in jobs if not store.run(job.name, job.digest)]
    return work


def checkpoint_of(config: RunConfig) -> Checkpoint | None:
    """A run's checkpoint, if its model is on this machine. Nothing is downloaded."""
    if config.model is None or isinstance(config.engine, RecordedEngine | StoredEngine):
        return None
    try:
        return describe(local_directory(str(config.model), config.revision, download=False))
    except FidelityError:
        return None
