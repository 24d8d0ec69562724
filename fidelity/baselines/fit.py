"""Checking whether an exported baseline still matches what its config would generate here."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fidelity.baselines.files import read_index
from fidelity.checkpoints import chat_template, content_id, fingerprint, local_directory
from fidelity.config import (
    Control,
    ExecuTorchEngine,
    OpenAIEngine,
    RecordedEngine,
    RunConfig,
    Sampling,
    StoredEngine,
    TransformersEngine,
    VllmEngine,
    VllmServeEngine,
)
from fidelity.engines import identity, surroundings
from fidelity.engines.recorded import file_hash, recorded_prompts
from fidelity.errors import ConfigError, FidelityError
from fidelity.outside.secrets import masked
from fidelity.prompts import load_prompts
from fidelity.records import Prompt
from fidelity.store.manifests import RunManifest

OF_THE_MACHINE = {"version": "engine version", "device": "hardware", "ambient": "environment"}
"""Properties that can differ between machines without a change in the repository; every comparison names them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result for one property that a baseline depends on."""

    what: str
    fits: bool | None
    """None if it can't be checked on this machine."""
    detail: str


def check(
    directory: Path, *, config: RunConfig | None = None, limit: int | None = None, remembered: Path
) -> list[Finding]:
    """Compare an exported baseline with what its own config, or the given one, would generate here.

    Nothing is loaded, generated or downloaded.

    Args:
        directory: The exported baseline.
        config: The baseline's current YAML. Default: the exported one.
        limit: The number of prompts that were exported, if only some were.
        remembered: The file that caches hashes of model files.

    Raises:
        StoreError: There is no exported baseline, or it is damaged.
        ConfigError: The config has the engine `stored`, which can't generate.
    """
    manifests = read_index(directory).runs
    manifest = manifests[0]
    if config is None:
        config = RunConfig.model_validate(manifest.config.model_dump(mode="json"), context={"folder": directory})
    if isinstance(config.engine, StoredEngine):
        raise ConfigError(
            f"{config.name}: a stored run can't be generated; give the YAML file that the baseline was generated from"
        )
    stored = recorded_prompts(directory / "prompts.jsonl")
    findings = [_checked("prompts", lambda: _prompts(stored, config, limit))]
    match config.engine:
        case VllmEngine() | VllmServeEngine() as engine:
            findings += _model(manifest, config, remembered)
            findings += _settings(manifest, config)
            findings += _engine(manifest, engine)
        case OpenAIEngine():
            findings += _settings(manifest, config)
            findings.append(_checked("server", lambda: _server(manifest, config, remembered)))
        case TransformersEngine() | ExecuTorchEngine():
            findings += _settings(manifest, config)
            findings += _identity(manifest, config, remembered)
        case RecordedEngine(path=path):
            recorded = manifest.identity.get("content")
            findings.append(_checked("recording", lambda: "" if file_hash(path) == recorded else f"{path} has changed"))
    findings.append(_finding("controls", _controls(config, len(manifests) - 1)))
    return findings


def _finding(what: str, difference: str) -> Finding:
    return Finding(what, not difference, difference)


def _checked(what: str, difference: Callable[[], str]) -> Finding:
    """A finding, or an unknown one if something that it needs is missing."""
    try:
        return _finding(what, difference())
    except FidelityError as error:
        return Finding(what, None, str(error))


def _prompts(stored: Sequence[Prompt], config: RunConfig, limit: int | None) -> str:
    now: Sequence[Prompt]
    match config:
        case RunConfig(prompts=Path() as path):
            now = load_prompts(path, limit=limit)
        case RunConfig(engine=RecordedEngine(path=path)):
            now = recorded_prompts(path)[:limit]
        case _:
            raise ConfigError(f"{config.file_or_name}: 'prompts' is missing: add `starter` or the path of a prompt set")
    before, after = ({p.id: p.messages for p in prompts} for prompts in (stored, now))
    if list(before.items()) == list(after.items()):
        return ""
    new, gone = [i for i in after if i not in before], [i for i in before if i not in after]
    changed = [i for i in after if i in before and after[i] != before[i]]
    kinds = {"new": new, "gone": gone, "changed": changed}
    changes = [f"{len(ids)} {kind} (such as {ids[0]!r})" for kind, ids in kinds.items() if ids]
    return ", ".join(changes) or "in another order"


def _controls(config: RunConfig, exported: int) -> str:
    match config:
        case RunConfig(control="none"):
            wanted = 0
        case RunConfig(engine=RecordedEngine(), control=control):
            wanted = len(control.path) if isinstance(control, Control) else 0
        case RunConfig(control=control):
            wanted = control.repeats if isinstance(control, Control) else 1
    return "" if exported == wanted else f"{exported} exported, {wanted} wanted"


def _model(manifest: RunManifest, config: RunConfig, remembered: Path) -> Iterator[Finding]:
    """The chat template belongs to the model's files, so it is only compared if these differ."""
    try:
        directory = local_directory(str(config.model), config.revision, download=False)
    except FidelityError as error:
        yield Finding("model", None, str(error))
        return
    before, now = manifest.identity.get("model"), content_id(directory, remembered)
    yield _finding("model", "" if before == now else f"hash of its files was {str(before)[:12]}, is {now[:12]}")
    if before != now:
        templates = manifest.engine.chat_template, fingerprint(chat_template(directory))
        yield _finding("chat template", "" if templates[0] == templates[1] else "{} before, {} now".format(*templates))


def _settings(manifest: RunManifest, config: RunConfig) -> Iterator[Finding]:
    before, now = manifest.sampling or Sampling(), config.sampling or Sampling()
    yield _finding("sampling", _differing(dict(before), dict(now)))
    asked = config.batching or config.chunk
    before_and_now = manifest.chunk, config.drained
    batching = ({"batching": f"drained, {size}" if size else "continuous"} for size in before_and_now)
    yield _finding("batching", _differing(*batching) if asked else "")


def _engine(manifest: RunManifest, engine: VllmEngine | VllmServeEngine) -> Iterator[Finding]:
    before = manifest.identity
    keys = engine.decisive()
    yield _finding("engine options", _differing({k: before.get(k) for k in keys}, keys))
    try:
        now = surroundings(engine)
    except FidelityError as error:
        yield Finding("engine version", None, str(error))
        return
    for key, what in OF_THE_MACHINE.items():
        yield _finding(what, _differing({what: before.get(key)}, {what: now[key]}))
    versions = manifest.engine.versions
    yield _finding("packages", _differing(versions, {package: _version(package) for package in versions}))


def _server(manifest: RunManifest, config: RunConfig, remembered: Path) -> str:
    return _differing(manifest.identity, identity(config, remembered=remembered))


def _identity(manifest: RunManifest, config: RunConfig, remembered: Path) -> Iterator[Finding]:
    """Everything that the engine's outputs depend on, by the manifest's keys."""
    try:
        now = identity(config, remembered=remembered)
    except FidelityError as error:
        yield Finding("engine", None, str(error))
        return
    for key in now:
        yield _finding(OF_THE_MACHINE.get(key, key), _differing(manifest.identity, {key: now[key]}))


def _differing(before: Mapping[str, object], now: Mapping[str, object]) -> str:
    before, now = masked(dict(before)), masked(dict(now))  # what a manifest keeps of secrets are fingerprints
    return ", ".join(f"{key} was {before.get(key)}, is {now[key]}" for key in now if before.get(key) != now[key])


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
