"""A study: many sizes and formats, each family a baseline and its candidates, on shared prompts.

Missing runs are generated family by family, so every model is loaded once. A failure is recorded and the rest
continues. The store has the same layout as after `compare`, so a killed study resumes where it stopped.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from pydantic import Field, ValidationError

from fidelity.comparison.offered import columns_of
from fidelity.comparison.results import ComparisonSet
from fidelity.comparison.workers import Workers
from fidelity.config import (
    Batching,
    NamedMetric,
    PromptSet,
    RecordedEngine,
    RunConfig,
    Sampling,
    StoredEngine,
    candidate_of,
    explained,
    load_run,
    parse_run,
    read_yaml,
    with_local_encoders,
)
from fidelity.errors import ConfigError, FidelityError, StoreError
from fidelity.gate import LIMIT_KEYS, Gate, format_that_ran, load_gate, out_of_reach
from fidelity.metrics import Metric, default_metrics
from fidelity.pipeline import ComparisonRequest, check_gate, compare
from fidelity.runs.jobs import jobs_of, prompts_of
from fidelity.runs.listener import Listener
from fidelity.runs.pool import Places
from fidelity.schema import Settings
from fidelity.store.store import Store
from fidelity.store.studies import Cell, StudyManifest, write_state, write_study
from fidelity.study.families import Family, checkpoint_of, work_of
from fidelity.study.generation import generated_families
from fidelity.study.progress import StudyProgress

RunSource = str | dict[str, object]
"""A run's YAML file, or its content inline."""


class FamilyFile(Settings):
    """One baseline and its candidates."""

    name: str | None = None
    """The name in the overview. Default: the baseline's name."""
    baseline: RunSource
    candidates: tuple[RunSource, ...] = Field(min_length=1)


class StudyFile(Settings):
    """study.yaml."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=100)
    prompts: PromptSet | None = None
    """The default for baselines without their own; recorded and stored baselines contain their prompts."""
    sampling: Sampling | None = None
    """The default for baselines without their own."""
    batching: Batching | None = None
    chunk: int | None = Field(default=None, ge=2)
    """The default for baselines without their own."""
    metrics: tuple[NamedMetric, ...] | None = None
    """The default for baselines without their own. If both are missing: the default set."""
    gate: str | dict[str, object] | None = None
    """A gate.yaml, or its content inline, for the verdicts in the overview."""
    families: tuple[FamilyFile, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Study:
    """A validated study."""

    name: str
    families: tuple[Family, ...]
    gate: Gate | None


MetricsOf = Callable[[RunConfig], Sequence[Metric]]
"""The metrics for a baseline's candidates."""


def load_study(path: Path) -> Study:
    """Read a study and every run that it names.

    Raises:
        ConfigError: A file is missing or invalid, or a name is used twice in a family; names the place.
    """
    data = with_local_encoders(read_yaml(path, keys="name:, families: ...", written_once=LIMIT_KEYS), path.parent)
    try:
        file = StudyFile.model_validate(data, context={"folder": path.parent})
    except ValidationError as error:
        raise explained(path, error) from error
    families = tuple(_family(file, family, path) for family in file.families)
    names = [family.name for family in families]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"{path}: two families are called {min(twice)!r}; give each a different 'name'")
    return Study(file.name, families, _gate(file.gate, path))


def run_study(
    study: Study,
    *,
    store: Store,
    listener: Listener,
    metrics_of: MetricsOf,
    limit: int | None = None,
    keep_failures: bool = False,
    workers: Workers = 1,
    places: Places | None = None,
) -> list[Cell]:
    """Run what is missing; `workers` are the processes that may score. Returns every cell, with comparison or error.

    With `places` several engines generate at once, and a family is compared as soon as its runs are finished. Else
    one engine after the other does, family by family.

    Raises:
        ConfigError: The gate names a column that isn't scored.
        StoreError: The store can't be written.
    """
    metrics = [metrics_of(family.baseline) for family in study.families]
    for family, scored in zip(study.families, metrics, strict=True):
        if study.gate:
            check_gate(study.gate, scored)
        for sentence in out_of_reach_in(study, family, limit):
            listener.say(f"{family.name}: {sentence}")
    cells = [_cell(family, config) for family in study.families for config in family.candidates]
    _keep(study, cells, store)
    whole = StudyProgress(
        listener,
        [job for family in study.families for job in work_of(family, store, limit)],
        partial(write_state, store.root, study.name),
    )
    scored_by = {family.name: scored for family, scored in zip(study.families, metrics, strict=True)}
    finished = generated_families(study.families, places, store, whole, limit, keep_failures) if places else iter(())
    for family, errors in chain(finished, ((family, {}) for family in study.families)):
        if family.name not in scored_by:
            continue  # it was compared while others were generated
        whole.begin(family.name)
        scored = scored_by.pop(family.name)
        settled = _run_family(family, store, whole, scored, limit, keep_failures, workers, errors)
        cells = [settled.get((cell.family, cell.candidate), cell) for cell in cells]
        _keep(study, cells, store)
    whole.begin("")
    return cells


def out_of_reach_in(study: Study, family: Family, limit: int | None) -> list[str]:
    """The gate's limits that a family can't pass with so few prompts."""
    if study.gate is None or isinstance(family.baseline.engine, StoredEngine):
        return []
    columns = columns_of(family.baseline.metrics or default_metrics())
    prompts, candidates = len(prompts_of(family.baseline, limit)), len(family.candidates)
    return out_of_reach(study.gate, columns, prompts=prompts, candidates=candidates)


def _keep(study: Study, cells: Sequence[Cell], store: Store) -> None:
    gate = study.gate.model_dump(mode="json", exclude_defaults=True) if study.gate else None
    write_study(store.root, StudyManifest(name=study.name, cells=tuple(cells), gate=gate))


def _run_family(
    family: Family,
    store: Store,
    listener: Listener,
    metrics: Sequence[Metric],
    limit: int | None,
    keep_failures: bool,
    workers: Workers,
    errors: Mapping[str, FidelityError],
) -> dict[tuple[str, str], Cell]:
    """The cells of one family, by family and candidate. `errors` are those of runs that could not be generated."""
    cells = {config.name: _cell(family, config) for config in family.candidates}
    wrong = {config.name: str(errors[config.name]) for config in family.candidates if config.name in errors}
    try:
        if family.baseline.name in errors:
            raise errors[family.baseline.name]
        for config in family.candidates:
            if config.name not in wrong and (why := _why_not(family, config, store, limit)):
                wrong[config.name] = why
                listener.say(f"{config.name}: not compared: {why}")
        can = [config for config in family.candidates if config.name not in wrong]
        if can:
            request = ComparisonRequest(
                family.baseline, can, metrics, limit=limit, keep_failures=keep_failures, workers=workers
            )
            result = compare(request, store=store, listener=listener)
            wrong |= result.not_compared
            cells |= _compared(cells, result)
    except StoreError:
        raise
    except FidelityError as error:
        listener.say(f"{family.name}: {error}")
        wrong |= {name: f"its baseline {family.baseline.name}: {error}" for name in cells if name not in wrong}
    cells |= {name: cells[name].replace(why=why) for name, why in wrong.items()}
    return {(family.name, name): cell for name, cell in cells.items()}


def _compared(cells: dict[str, Cell], result: ComparisonSet) -> dict[str, Cell]:
    judged = {}
    for scores in result.candidates:
        manifest, original = scores.run.manifest, result.baseline.manifest.checkpoint
        name = manifest.config.name if manifest.config.name in cells else scores.run.name
        judged[name] = cells[name].replace(
            format=format_that_ran(manifest) or "format unknown",
            parameters=original.parameters or manifest.checkpoint.parameters,
            comparison=scores.comparison.path.name,
        )
    return judged


def _why_not(family: Family, config: RunConfig, store: Store, limit: int | None) -> str:
    """The error of a candidate that can't be planned, so the others can continue."""
    try:
        if not isinstance(family.baseline.engine, StoredEngine):
            prompts = prompts_of(family.baseline, limit)
            jobs_of(candidate_of(family.baseline, config), store=store, prompts=prompts, as_baseline=False)
    except ConfigError as error:
        return str(error)
    return ""


def _cell(family: Family, config: RunConfig) -> Cell:
    own, original = checkpoint_of(config), checkpoint_of(family.baseline)
    return Cell(
        family=family.name,
        baseline=family.baseline.name,
        candidate=config.name,
        format=config.label or (own.format if own else None) or "format unknown",
        parameters=(original.parameters if original else None) or (own.parameters if own else None),
    )


def _family(file: StudyFile, family: FamilyFile, path: Path) -> Family:
    baseline = _run(family.baseline, path)
    shared: dict[str, object] = {"metrics": file.metrics}
    if isinstance(baseline.engine, RecordedEngine):
        shared |= {"sampling": file.sampling}
    elif not isinstance(baseline.engine, StoredEngine):
        shared |= {"prompts": file.prompts, "sampling": file.sampling, "batching": file.batching, "chunk": file.chunk}
    missing = {key: value for key, value in shared.items() if getattr(baseline, key) is None}
    candidates = tuple(_run(source, path) for source in family.candidates)
    names = [baseline.name, *(config.name for config in candidates)]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"{path}: the name {min(twice)!r} is used twice in a family; give every run a different name")
    return Family(family.name or baseline.name, baseline.model_copy(update=missing), candidates)


def _run(source: RunSource, path: Path) -> RunConfig:
    return load_run(path.parent / source) if isinstance(source, str) else parse_run(source, path)


def _gate(source: str | dict[str, object] | None, path: Path) -> Gate | None:
    if source is None:
        return None
    if isinstance(source, str):
        return load_gate(path.parent / source)
    try:
        return Gate.model_validate(source)
    except ValidationError as error:
        raise explained(path, error) from error
