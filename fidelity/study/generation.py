"""Generating the runs of a study with several engines at once."""

from collections.abc import Iterator, Mapping, Sequence

from fidelity.config import OpenAIEngine, RecordedEngine, RunConfig, StoredEngine, candidate_of
from fidelity.engines.devices import gpus_of
from fidelity.errors import FidelityError
from fidelity.runs.jobs import jobs_of, prompts_of
from fidelity.runs.pool import EnginePool, ModelWork, Places
from fidelity.runs.teacher_forcing import depths_of
from fidelity.store.store import Store
from fidelity.study.families import Family, checkpoint_of
from fidelity.study.progress import StudyProgress

MOST_ROUNDS = 5
"""How often the work is gone through. Only lost places, and runs of other commands, leave something to do."""
Errors = Mapping[str, FidelityError]
"""Why runs could not be generated, by the name of their configuration."""


def generated_families(
    families: Sequence[Family],
    places: Places,
    store: Store,
    progress: StudyProgress,
    limit: int | None,
    keep_failures: bool,
) -> Iterator[tuple[Family, Errors]]:
    """Generate what is missing, and yield each family when its runs are finished.

    Families with a latency to measure come last, when no GPU is in use, since that opens an engine alone.
    Those with nothing to generate on this machine don't come.

    Raises:
        StoreError: The store can't be written.
    """
    by_name = {family.name: family for family in families}
    left, last = list(families), list[tuple[Family, Errors]]()
    for _ in range(MOST_ROUNDS):
        models = [model for family in left for model in _models(family, store, limit)]
        pool = EnginePool(places, store, progress.of, keep_failures=keep_failures)
        left = []
        for name in pool.families(models):
            own = [model for model in models if model.family == name]
            if any(_is_unfinished(model) for model in own):
                left.append(by_name[name])
            elif any(model.jobs[0].config.latency for model in own):
                last.append((by_name[name], _errors(own)))
            else:
                yield by_name[name], _errors(own)
        if not left:
            break
    for family in left:
        why = FidelityError(f"not finished after {MOST_ROUNDS} rounds: places were lost; run the command again")
        yield family, {config.name: why for config in (family.baseline, *family.candidates)}
    yield from last


def _models(family: Family, store: Store, limit: int | None) -> list[ModelWork]:
    """The work of each configuration that is generated here; what can't be planned is reported later."""
    if not _is_generated(family.baseline):
        return []
    baseline: ModelWork | None = None
    models: list[ModelWork] = []
    for config in (family.baseline, *family.candidates):
        own = config if baseline is None else candidate_of(family.baseline, config)
        try:
            prompts = prompts_of(family.baseline, limit)
            jobs = jobs_of(own, store=store, prompts=prompts, as_baseline=baseline is None)
        except FidelityError:
            if baseline is None:
                return []
            continue
        if not _is_generated(own):
            continue
        about = checkpoint_of(own)
        weight = float(about.bytes or 1e9) if about else 1e9
        model = ModelWork(family.name, tuple(jobs), depths_of(family.baseline), gpus_of(own), weight, baseline)
        baseline = baseline or model
        models.append(model)
    return models


def _is_generated(config: RunConfig) -> bool:
    """Whether it is generated in one of the places: servers and recorded outputs need none."""
    return not isinstance(config.engine, OpenAIEngine | RecordedEngine | StoredEngine)


def _is_unfinished(model: ModelWork) -> bool:
    """Whether a run is missing, or its scores of the baseline's tokens: a place was lost, or nobody was waited for."""
    return not model.error and (model.first is None or model.waits_for_scores)


def _errors(models: Sequence[ModelWork]) -> Errors:
    return {model.jobs[0].config.name: model.error for model in models if model.error}
