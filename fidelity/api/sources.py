"""Turning what can be compared (YAML files, configs, recorded files, stored runs, lists of texts) into run configs."""

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, TypeGuard

from fidelity.baselines import is_export, read_index
from fidelity.config import Control, RecordedEngine, RunConfig, StoredEngine, load_run
from fidelity.errors import ConfigError
from fidelity.store.record_files import MANIFEST
from fidelity.store.runs import Run

Source: TypeAlias = RunConfig | str | os.PathLike[str]
"""A run: its config, its YAML file, a recorded file (.jsonl, .parquet), a stored run, or an exported baseline."""
Outputs: TypeAlias = Sequence[str | None] | Mapping[str, str | None]
"""Outputs, one per prompt, in the prompts' order or by prompt id. None means no output."""
RECORDED = (".jsonl", ".parquet")
YAML = (".yaml", ".yml")


def config_of(source: Source) -> RunConfig:
    """Return the config of the run that a source names.

    Raises:
        ConfigError: It names no run. The message lists what is possible.
    """
    if isinstance(source, RunConfig):
        return source
    path = Path(source)
    if path.suffix in YAML:
        return load_run(path)
    if path.suffix in RECORDED:
        return RunConfig(name=run_name(path.stem), engine=RecordedEngine(kind="recorded", path=path.resolve()))
    if is_export(path):
        return _stored(read_index(path).runs[0].name, path)
    if (path / MANIFEST).is_file():
        return _stored(Run(path).name, path)
    raise ConfigError(
        f"{path}: not a run; give a run's YAML file, a recorded file ({', '.join(RECORDED)}), the directory "
        f"of a finished run or of an exported baseline, or lists of texts for both baseline and candidate"
    )


def with_control(config: RunConfig, control: int | Source | Sequence[Source] | None) -> RunConfig:
    """Return the baseline with `control` in place of the one in its YAML. 0 means no control."""
    match control:
        case None:
            return config
        case 0:
            return config.model_copy(update={"control": "none"})
        case int():
            return config.model_copy(update={"control": Control(repeats=control)})
        case RunConfig():
            raise ConfigError(
                f"{config.name}: a control is the baseline generated again: give a number of controls, or their files"
            )
        case str() | os.PathLike():
            paths = [control]
        case _:
            paths = [path for path in control if not isinstance(path, RunConfig)]
    return config.model_copy(update={"control": Control(path=tuple(Path(path).resolve() for path in paths))})


def is_texts(value: object) -> TypeGuard[Outputs]:
    """Whether these are the outputs of one run, rather than of several."""
    items = value.values() if isinstance(value, Mapping) else value
    return isinstance(items, Iterable) and all(item is None or isinstance(item, str) for item in items)


def write_texts(name: str, texts: Outputs, folder: Path, *, prompts: Sequence[str] | None = None) -> Path:
    """Write outputs as a recorded file with the run's name.

    Raises:
        ConfigError: There are no outputs, or their number differs from that of the prompts.
    """
    by_id = dict(texts) if isinstance(texts, Mapping) else {f"p{n}": text for n, text in enumerate(texts)}
    if not by_id:
        raise ConfigError(f"{name}: no texts; give one output for each prompt")
    if prompts is not None and len(prompts) != len(by_id):
        raise ConfigError(f"{name}: the number of texts ({len(by_id)}) differs from that of prompts ({len(prompts)})")
    rows = []
    for number, (prompt_id, text) in enumerate(by_id.items()):
        row = {"id": prompt_id, "failure": "no output"} if text is None else {"id": prompt_id, "text": text}
        rows.append({**row, "prompt": prompts[number]} if prompts else row)
    file = folder / f"{name}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def run_name(text: str) -> str:
    """Turn a text into a valid name of a run."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).lstrip("._+-")[:100] or "run"


def _stored(name: str, path: Path) -> RunConfig:
    return RunConfig(name=name, engine=StoredEngine(kind="stored", path=path.resolve()))
