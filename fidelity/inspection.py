"""`fidelity inspect`: what can be known of a checkpoint without loading it, and of a run that it has had."""

import re
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic_core import to_jsonable_python

from fidelity.checkpoints import Anatomy, StoredLayers, dissect, dissect_on_hub, local_directory
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
        return Inspection(run.name, anatomy, None, run.manifest.engine)
    anatomy = dissect(local_directory(str(path.resolve()), revision)) if path.exists() else _named(what, revision)
    return Inspection(what, anatomy, _picks(anatomy) if ask_vllm else None, None)


def _named(model: str, revision: str | None) -> Anatomy:
    """A model that is no path: from the Hub's cache, else by what the Hub tells without its weights."""
    try:
        cached = local_directory(model, revision, download=False)
    except ConfigError:
        return dissect_on_hub(model, revision)
    return dissect(cached)


def as_json(found: Inspection) -> dict[str, object]:
    """All of it as plain data: bytes, parameters and counts as whole numbers, bits per weight unrounded."""
    anatomy = found.anatomy
    return {
        "schema_version": JSON_SCHEMA_VERSION,
        "name": found.name,
        "checkpoint": None if anatomy is None else _checkpoint_json(anatomy),
        "kernels": None
        if found.picks is None
        else [
            {"kind": pick.stored.kind, "scheme": pick.stored.scheme, "kernel": pick.kernel, "note": pick.note}
            for pick in found.picks
        ],
        "ran": to_jsonable_python(found.ran),
    }


def _checkpoint_json(anatomy: Anatomy) -> dict[str, object]:
    fields = asdict(anatomy)
    layers = [
        {**asdict(part), "names": list(part.names), "bits_per_weight": part.bits_per_weight} for part in anatomy.parts
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
    asked = {part: linear for part in anatomy.parts if (linear := _linear(part))}
    if not asked:
        return ()
    answers = pick_kernels(list(asked.values()))
    if answers is None:
        return None
    return tuple(Pick(part, answer["kernel"], answer["note"]) for part, answer in zip(asked, answers, strict=True))


def _linear(stored: StoredLayers) -> Linear | None:
    """A part's layers as a question to vLLM; None where they aren't quantized linear layers."""
    scheme = re.match(r"W(\d+)A(\d+)-(INT|FP|NVFP|MXFP)\d(?: g(\d+))?", stored.format)
    if scheme is None or stored.shape is None or stored.kind == "embedding":
        return None
    group = int(scheme[4]) if scheme[4] else None
    return Linear(scheme[3], int(scheme[1]), int(scheme[2]), group, *stored.shape)
