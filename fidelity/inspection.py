"""`fidelity inspect`: a checkpoint's properties without loading it, and what a run ran with."""

import difflib
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic_core import to_jsonable_python

from fidelity.checkpoints import (
    Anatomy,
    Contrast,
    StoredLayers,
    contrast,
    dissect,
    dissect_on_hub,
    local_directory,
    refuse_faults,
)
from fidelity.config import USE_CASES
from fidelity.engines.vllm_kernels import Linear, pick_kernels
from fidelity.errors import ConfigError
from fidelity.records import EngineInfo
from fidelity.store.runs import Run

JSON_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Pick:
    """The kernel that the installed vLLM would use for layers of one kind."""

    stored: StoredLayers
    kernel: str | None
    note: str | None
    """Why there is no kernel, or how it deviates from the checkpoint."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """The result: a checkpoint, a run, or both."""

    name: str
    anatomy: Anatomy | None
    """None for a run whose model isn't on this machine."""
    picks: tuple[Pick, ...] | None
    """None if vLLM isn't installed or wasn't asked."""
    ran: EngineInfo | None
    """The engine's report, from the run's manifest."""
    fault: str | None = None
    """Why a run of the checkpoint would be refused before loading; None if nothing is wrong."""


def requests_that_fit(*, memory: int, weights: int, bytes_per_token: int) -> dict[str, int]:
    """The requests of each use case that fit into a device's memory at once, at their full length, besides the weights.

    An upper limit: activations, CUDA graphs and the engine's own memory are not in it. All sizes are in bytes.
    """
    rest = max(0, memory - weights)
    return {name: rest // (bytes_per_token * sum(tokens)) for name, tokens in USE_CASES.items()}


def inspect(what: str, *, revision: str | None = None, ask_vllm: bool = True) -> Inspection:
    """Inspect a checkpoint (a directory, a GGUF file, a Hub id) or a run's directory.

    Raises:
        ConfigError: It is neither, or its files are damaged.
    """
    path = Path(what)
    if (path / "manifest.json").is_file():
        run = Run(path)
        checkpoint = _checkpoint_of(run)
        anatomy = dissect(checkpoint) if checkpoint else None
        return Inspection(run.name, anatomy, None, run.manifest.engine, _fault(checkpoint))
    anatomy = _anatomy(what, revision)
    return Inspection(what, anatomy, _picks(anatomy) if ask_vllm else None, None, _fault(_folder(what, revision)))


def contrast_of(baseline: str, other: str, *, revision: str | None = None) -> tuple[Contrast, ...]:
    """Compare two checkpoints on this machine. A run can be given instead of its checkpoint.

    Raises:
        ConfigError: A checkpoint isn't on this machine, or its files are damaged.
    """
    folders = []
    for what in (baseline, other):
        run = Path(what) / "manifest.json"
        folder = _checkpoint_of(Run(Path(what))) if run.is_file() else _folder(what, revision)
        if folder is None:
            raise ConfigError(
                f"{what}: is not on this machine; download it first, since checkpoints are compared by their files"
            )
        folders.append(folder)
    return contrast(*folders)


def _anatomy(what: str, revision: str | None) -> Anatomy:
    """A checkpoint's properties: of a directory, else from the Hub.

    Raises:
        ConfigError: There is no such directory, or the Hub doesn't have it; with the most similar directory.
    """
    path = Path(what)
    if folder := _folder(what, revision):
        return dissect(folder)
    if path.is_absolute() or len(path.parts) > 2 or what.startswith((".", "~")):
        raise ConfigError(f"{what}: no such file or directory{_similar(path)}")
    try:
        return dissect_on_hub(what, revision)
    except ConfigError as error:
        raise ConfigError(f"{error}{_similar(path)}") from error


def _similar(path: Path) -> str:
    """The end of an error about a missing path: the directory of the most similar name, if there is one."""
    known = len(path.parent.parts) if path.parent.is_dir() else 0
    folder, word, rest = Path(*path.parts[:known]), path.parts[known], path.parts[known + 1 :]
    names = [one.name for one in folder.iterdir() if one.is_dir()]
    close = difflib.get_close_matches(word, names, n=1)
    return f"; did you mean {folder.joinpath(close[0], *rest)}?" if close else ""


def _folder(what: str, revision: str | None) -> Path | None:
    """The checkpoint's directory on this machine, possibly in the Hub's cache, or None."""
    path = Path(what)
    if path.exists():
        return local_directory(str(path.resolve()), revision)
    try:
        return local_directory(what, revision, download=False)
    except ConfigError:
        return None


def _fault(checkpoint: Path | None) -> str | None:
    """Why a run would be refused. Pickled weights don't count, since a run can be configured to trust them."""
    try:
        if checkpoint:
            refuse_faults(checkpoint, allow_pickle=True)
    except ConfigError as error:
        return str(error)
    return None


def as_json(inspection: Inspection) -> dict[str, object]:
    """The result as plain data, unrounded."""
    anatomy = inspection.anatomy
    return {
        "schema_version": JSON_SCHEMA_VERSION,
        "name": inspection.name,
        "checkpoint": None if anatomy is None else _checkpoint_json(anatomy),
        "kernels": None
        if inspection.picks is None
        else [
            {"kind": pick.stored.kind, "scheme": pick.stored.scheme, "kernel": pick.kernel, "note": pick.note}
            for pick in inspection.picks
        ],
        "fault": inspection.fault,
        "ran": to_jsonable_python(inspection.ran),
    }


def contrast_json(differences: tuple[Contrast, ...]) -> list[dict[str, object]]:
    """The differences between two checkpoints, as plain data."""
    return [asdict(one) for one in differences]


def _checkpoint_json(anatomy: Anatomy) -> dict[str, object]:
    fields = asdict(anatomy)
    layers = [
        {**asdict(stored), "names": list(stored.names), "bits_per_weight": stored.bits_per_weight}
        for stored in anatomy.parts
    ]
    del fields["parts"], fields["checkpoint"]
    return {
        **asdict(anatomy.checkpoint),
        "bits_per_weight": anatomy.bits_per_weight,
        "tensor_bytes": anatomy.tensor_bytes,
        **fields,
        "unquantized": list(anatomy.unquantized),
        "layers": layers,
    }


def _checkpoint_of(run: Run) -> Path | None:
    """A run's model, if it is on this machine. Nothing is downloaded."""
    config = run.manifest.config
    if not config.model:
        return None
    try:
        return local_directory(config.model, config.revision, download=False)
    except ConfigError:
        return None


def _picks(anatomy: Anatomy) -> tuple[Pick, ...] | None:
    asked = {stored: linear for stored in anatomy.parts if (linear := _linear(stored))}
    if not asked:
        return ()
    answers = pick_kernels(list(asked.values()))
    if answers is None:
        return None
    pairs = zip(asked, answers, strict=True)
    return tuple(Pick(stored, answer["kernel"], answer["note"]) for stored, answer in pairs)


def _linear(stored: StoredLayers) -> Linear | None:
    """The query to vLLM about layers of one kind; None unless they are quantized linear layers."""
    scheme = re.match(r"W(\d+)A(\d+)-(INT|FP|NVFP|MXFP)\d(?: g(\d+))?", stored.format)
    if scheme is None or stored.shape is None or stored.kind == "embedding":
        return None
    group = int(scheme[4]) if scheme[4] else None
    return Linear(scheme[3], int(scheme[1]), int(scheme[2]), group, *stored.shape)
