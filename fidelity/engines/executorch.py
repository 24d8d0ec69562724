"""The engine `executorch`: opening it, and what its outputs depend on."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

from fidelity.checkpoints import content_id
from fidelity.config import ExecuTorchEngine, RunConfig
from fidelity.engines.base import ANYWHERE, OnProgress, Placement
from fidelity.engines.child import ChildEngine
from fidelity.engines.devices import cpu_name
from fidelity.errors import ConfigError, MissingPackageError
from fidelity.outside.environment import kernel_environment
from fidelity.schema import JsonObject

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json")
"""The files that are read from the tokenizer's directory."""
ASK_VERSION = "from importlib.metadata import version; print(version('executorch'))"


@contextmanager
def open_executorch(
    engine: ExecuTorchEngine, *, log: Path, on_progress: OnProgress, placement: Placement = ANYWHERE
) -> Iterator[ChildEngine]:
    """See `engines.open_engine`."""
    with ChildEngine(
        "fidelity.children.executorch",
        {"path": str(engine.path), "tokenizer": str(engine.tokenizer)},
        env=engine.env,
        log=log,
        on_progress=on_progress,
        deadline=engine.deadline,
        python=_python(engine.environment),
        placement=placement,
    ) as child:
        environment = kernel_environment(engine.env)
        child.info = replace(
            child.info, version=_version(engine.environment), device=cpu_name(), environment=environment
        )
        yield child


def executorch_identity(config: RunConfig, engine: ExecuTorchEngine, remembered: Path) -> JsonObject:
    """See `engines.identity`."""
    if not engine.path.is_file():
        raise ConfigError(
            f"{config.file_or_name}: engine.path: {engine.path}: no such file; give an exported .pte file"
        )
    if not (engine.tokenizer / "tokenizer.json").is_file():
        raise ConfigError(
            f"{config.file_or_name}: engine.tokenizer: {engine.tokenizer}: has no tokenizer.json; give the directory "
            "of the checkpoint that the program was exported from, or of its tokenizer"
        )
    return {
        "kind": engine.kind,
        "program": content_id(engine.path, remembered),
        "tokenizer": _content(engine.tokenizer),
        "env": dict(engine.env),
        "version": _version(engine.environment),
        "device": cpu_name(),
    }


def _content(tokenizer: Path) -> str:
    total = hashlib.sha256()
    for name in TOKENIZER_FILES:
        if (tokenizer / name).is_file():
            total.update(f"{name}={hashlib.sha256((tokenizer / name).read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def _python(environment: Path | None) -> Path | None:
    """The interpreter of a virtual environment."""
    if environment is None:
        return None
    python = environment / "bin" / "python"
    if not python.is_file():
        raise ConfigError(f"engine.environment: {environment}: not a virtual environment (bin/python is missing)")
    return python


@cache
def _version(environment: Path | None) -> str:
    """The version of ExecuTorch in that environment."""
    python = _python(environment)
    command = [str(python), "-I", "-c", ASK_VERSION] if python else [sys.executable, "-c", ASK_VERSION]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a list, no shell
    if asked.returncode:
        where = f" in {environment}" if environment else ""
        raise MissingPackageError("executorch", extra="executorch", needed_by=f"the engine 'executorch'{where}")
    return asked.stdout.strip()
