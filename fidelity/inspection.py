"""`fidelity inspect`: what can be known of a checkpoint without loading it, and of a run that it has had."""

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
from fidelity.engines.vllm_kernels import Linear, pick_kernels
from fidelity.errors import ConfigError
from fidelity.records import EngineInfo
from fidelity.store.runs import Run

JSON_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Pick:
    """The kernel that this machine's vLLM would take for the layers of one kind."""

    stored: StoredLayers
    kernel: str | None
    note: str | None
    """Why there is none, or what it does otherwise than the checkpoint asks."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found; either half may be missing, never both."""

    name: str
    anatomy: Anatomy | None
    """None for a run whose model isn't here."""
    picks: tuple[Pick, ...] | None
    """None where vLLM isn't installed, or wasn't asked."""
    ran: EngineInfo | None
    """What a run's engine reported, from its manifest."""
    fault: str | None = None
    """Why a run of the checkpoint would be refused before it loads; None where nothing is wrong."""


def inspect(what: str, *, revision: str | None = None, ask_vllm: bool = True) -> Inspection:
    """Look at a checkpoint (a directory, a GGUF file, a Hub id) or at a run's directory.

    Raises:
        ConfigError: It is neither, or its files are damaged.
    """
    path = Path(what)
    if (path / "manifest.json").is_file():
        run = Run(path)
        checkpoint = _checkpoint_of(run)
        anatomy = dissect(checkpoint) if checkpoint else None
        return Inspection(run.name, anatomy, None, run.manifest.engine, _fault(checkpoint))
    folder = _folder(what, revision)
    anatomy = dissect(folder) if folder else dissect_on_hub(what, revision)
    return Inspection(what, anatomy, _picks(anatomy) if ask_vllm else None, None, _fault(folder))


def contrast_of(baseline: str, other: str, *, revision: str | None = None) -> tuple[Contrast, ...]:
    """In what two checkpoints differ that are on this machine; runs stand for their checkpoints.

    Raises:
        ConfigError: One isn't here, or its files are damaged.
    """
    folders = []
    for what in (baseline, other):
        run = Path(what) / "manifest.json"
        folder = _checkpoint_of(Run(Path(what))) if run.is_file() else _folder(what, revision)
        if folder is None:
            raise ConfigError(f"{what}: not on this machine; two checkpoints are compared by their files")
        folders.append(folder)
    return contrast(*folders)


def _folder(what: str, revision: str | None) -> Path | None:
    """Where a checkpoint is on this machine, be it in the Hub's cache; None where it isn't."""
    path = Path(what)
    if path.exists():
        return local_directory(str(path.resolve()), revision)
    try:
        return local_directory(what, revision, download=False)
    except ConfigError:
        return None


def _fault(checkpoint: Path | None) -> str | None:
    """What a run would be refused for; pickles alone, which a run can be told to trust, are none."""
    try:
        if checkpoint:
            refuse_faults(checkpoint, allow_pickle=True)
    except ConfigError as error:
        return str(error)
    return None


def as_json(inspection: Inspection) -> dict[str, object]:
    """All of it as plain data: bytes, parameters and counts as whole numbers, bits per weight unrounded."""
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
    """What differs between two checkpoints, as plain data."""
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
    """The model of a run, if it is here; nothing is downloaded to describe what has run already."""
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
    """Layers of one kind as a question to vLLM; None where they aren't quantized linear layers."""
    scheme = re.match(r"W(\d+)A(\d+)-(INT|FP|NVFP|MXFP)\d(?: g(\d+))?", stored.format)
    if scheme is None or stored.shape is None or stored.kind == "embedding":
        return None
    group = int(scheme[4]) if scheme[4] else None
    return Linear(scheme[3], int(scheme[1]), int(scheme[2]), group, *stored.shape)
