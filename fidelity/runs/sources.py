"""What can be compared: YAML files, configs, model directories, Hub ids, recorded files and stored runs."""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import yaml

from fidelity.baselines import is_export, read_index
from fidelity.config import Control, RecordedEngine, RunConfig, StoredEngine, load_run, parse_run
from fidelity.errors import ConfigError
from fidelity.schema import JsonObject
from fidelity.store.record_files import MANIFEST
from fidelity.store.runs import Run

Source: TypeAlias = RunConfig | str | os.PathLike[str]
"""A run: its config, its YAML file, a model's directory or Hub id, a recorded file (.jsonl, .parquet), a stored run, or
an exported baseline."""
RECORDED = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".eval")
YAML = (".yaml", ".yml")
COMMAND_LINE = Path("command line")
"""The place that errors name for what is in no file."""
MODEL_FILES = ("config.json", "params.json")
"""One of these is in the directory of a model."""
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def config_of(source: Source) -> RunConfig:
    """The run that a source names.

    Raises:
        ConfigError: It names none; with what is possible.
    """
    if isinstance(source, RunConfig):
        return source
    path = Path(source)
    if path.suffix in RECORDED:
        return RunConfig(name=run_name(path.stem), engine=RecordedEngine(kind="recorded", path=path.resolve()))
    if is_export(path):
        return _stored(read_index(path).runs[0].name, path)
    if (path / MANIFEST).is_file():
        return _stored(Run(path).name, path)
    if path.suffix == ".gguf" or any((path / name).is_file() for name in MODEL_FILES):
        return _model(path.stem if path.suffix == ".gguf" else path.resolve().name, str(path.resolve()))
    if not path.exists() and HUB_ID.fullmatch(str(source)):
        return _model(path.name, str(source))
    if path.suffix in YAML or path.is_file():
        return load_run(path)
    raise ConfigError(
        f"{source}: {'no such file or directory' if not path.exists() else 'nothing that can be compared'}; name a "
        f"run's YAML file, a model's directory or Hub id (org/name), a recorded file ({', '.join(RECORDED)}), or the "
        f"directory of a finished run or of an exported baseline"
    )


def prompts_source(source: str | Path) -> RunConfig:
    """A run's YAML file, or a prompt set alone: a run without a model.

    Raises:
        ConfigError: The YAML file is invalid.
    """
    path = Path(source)
    if path.suffix in YAML:
        return load_run(path)
    name = run_name(path.stem)
    return parse_run(
        {"name": name, "engine": {"kind": "recorded", "path": str(source)}, "prompts": str(source)}, COMMAND_LINE
    )


def with_control(config: RunConfig, control: int | Source | Sequence[Source] | None) -> RunConfig:
    """A baseline with what was asked for in place of its own `control:`; 0 is none."""
    match control:
        case None:
            return config
        case 0:
            return config.model_copy(update={"control": "none"})
        case int():
            return config.model_copy(update={"control": Control(repeats=control)})
        case RunConfig():
            raise ConfigError(f"{config.name}: a control is the baseline again: give a number of them, or their files")
        case str() | os.PathLike():
            paths = [control]
        case _:
            paths = [path for path in control if not isinstance(path, RunConfig)]
    return config.model_copy(update={"control": Control(path=tuple(Path(path).resolve() for path in paths))})


def run_name(text: str) -> str:
    """A text as the name of a run."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).lstrip("._+-")[:100] or "run"


def with_options(
    config: RunConfig, *, prompts: str | None = None, max_tokens: int | None = None, settings: Sequence[str] = ()
) -> RunConfig:
    """Return a run with what the command line gives in place of its YAML.

    Args:
        config: The run.
        prompts: A prompt set: `starter`, `arena-hard`, a file, or `hf:DATASET[:SPLIT]`.
        max_tokens: The longest answer, in tokens.
        settings: `KEY=VALUE`, with dots in the key of a nested one (`engine.dtype=float16`) and YAML as the value.

    Raises:
        ConfigError: A setting has no `=`, or the run can't have it.
    """
    given = list(settings)
    if prompts is not None:
        given.append(f"prompts={json.dumps(prompts)}")
    if max_tokens is not None:
        given.append(f"sampling.max_tokens={max_tokens}")
    if not given:
        return config
    data = config.model_dump(mode="json", exclude_unset=True)
    for setting in given:
        _set(data, setting)
    return parse_run(data, COMMAND_LINE)


def _set(data: JsonObject, setting: str) -> None:
    key, equals, value = setting.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {setting}: expected KEY=VALUE, such as --set engine.dtype=float16")
    *folders, last = key.split(".")
    for folder in folders:
        inner = data.get(folder)
        if not isinstance(inner, dict):
            inner = data[folder] = {}
        data = inner
    try:
        data[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {setting}: its value is not YAML") from error


def _stored(name: str, path: Path) -> RunConfig:
    return RunConfig(name=name, engine=StoredEngine(kind="stored", path=path.resolve()))


def _model(name: str, model: str) -> RunConfig:
    return parse_run({"name": run_name(name), "model": model, "engine": {"kind": "vllm"}}, COMMAND_LINE)
