"""The engine `transformers`: opening it, and what its outputs depend on."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from fidelity.checkpoints import content_id, describe, local_directory, refuse_faults
from fidelity.config import RunConfig, TransformersEngine
from fidelity.engines.base import ANYWHERE, OnProgress, Placement
from fidelity.engines.child import ChildEngine
from fidelity.engines.devices import cpu_name, gpu_name
from fidelity.engines.notes import run_notes
from fidelity.errors import ConfigError, MissingPackageError
from fidelity.outside.environment import kernel_environment
from fidelity.schema import JsonObject

NAMED = {
    "dtype": "engine.dtype",
    "torch_dtype": "engine.dtype",
    "device_map": "engine.device",
    "revision": "revision",
}
"""Arguments of `from_pretrained` that are set elsewhere in the YAML."""
GIVEN = {"TQDM_DISABLE": "1"}
"""The child's environment, without progress bars."""


@contextmanager
def open_transformers(
    config: RunConfig,
    engine: TransformersEngine,
    *,
    log: Path,
    on_progress: OnProgress,
    placement: Placement = ANYWHERE,
) -> Iterator[ChildEngine]:
    """See `engines.open_engine`."""
    checkpoint = local_directory(str(config.model), config.revision)
    gpu = _gpu(engine)
    place = engine.device or ("cuda" if gpu else "cpu")
    settings = {
        "model": str(checkpoint),
        "arguments": {
            **({"dtype": engine.dtype} if engine.dtype else {}),
            **({} if place == "cpu" else {"device_map": {"": place}}),
            **engine.options,
        },
        "torchao": engine.torchao.model_dump() if engine.torchao else None,
        "context": engine.max_model_len,
        "batch": engine.batch,
    }
    with ChildEngine(
        "fidelity.children.transformers",
        settings,
        env={**GIVEN, **engine.env},
        log=log,
        on_progress=on_progress,
        deadline=engine.deadline,
        placement=placement,
    ) as child:
        asked = bool(engine.torchao or engine.options.get("quantization_config"))
        notes = run_notes(describe(checkpoint).format, child.info, asked=asked, options=engine.options)
        child.info = replace(
            child.info,
            version=_version(),
            device=gpu or cpu_name(),
            environment=kernel_environment(engine.env),
            notes=(*child.info.notes, *notes),
        )
        yield child


def transformers_identity(config: RunConfig, engine: TransformersEngine, remembered: Path) -> JsonObject:
    """See `engines.identity`."""
    checkpoint = local_directory(str(config.model), config.revision)
    refuse_faults(checkpoint, allow_pickle=engine.allow_pickle)
    for option in engine.options:
        if option in NAMED:
            where = f"{config.file_or_name}: engine.options.{option}"
            raise ConfigError(f"{where}: set elsewhere; write it as {NAMED[option]!r}")
    if engine.torchao:
        if "quantization_config" in engine.options:
            raise ConfigError(
                f"{config.file_or_name}: engine.options.quantization_config: can't be combined with engine.torchao; "
                "remove one"
            )
        if find_spec("torchao") is None:
            raise MissingPackageError("torchao", extra="torchao", needed_by="engine.torchao")
    return {
        "model": content_id(checkpoint, remembered),
        **engine.decisive(),
        "version": _version(),
        "torch": version("torch"),
        "device": _gpu(engine) or cpu_name(),
        "ambient": {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS")},
    }


def _gpu(engine: TransformersEngine) -> str | None:
    """The GPU that will be used; None for the CPU."""
    return None if engine.device == "cpu" or "+cpu" in version("torch") else gpu_name()


def _version() -> str:
    try:
        version("torch")
        return version("transformers")
    except PackageNotFoundError as error:
        raise MissingPackageError(
            str(error.name), extra="transformers", needed_by="the engine 'transformers'"
        ) from error
