"""Models' heads on disk: `heads/<hash>/` of a store, once for all runs with the same head."""

import hashlib
import json
import secrets
import shutil
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np

from fidelity.checkpoints.tensors import safetensors_header
from fidelity.children.hidden_states import HEAD
from fidelity.children.wire import HeadFields
from fidelity.errors import ConfigError, StoreError
from fidelity.files import check_unchanged, copy_files, locked, sha256_of, whole_file
from fidelity.outside.paths import inside
from fidelity.records import STORED_AS, Head, ModelDtype
from fidelity.store.record_files import MANIFEST, Manifest, read_record, write_record

HEADS = "heads"
MATRIX = "head.safetensors"
MOST_HEADS = 4
"""The number of heads to keep open."""


class HeadManifest(Manifest):
    """The manifest: what follows the product of hidden states and the matrix."""

    sha256: str
    """Of the matrix's file."""
    dtype: ModelDtype
    soft_cap: float | None
    scale: float


def add_head(root: Path, write: Callable[[Path], HeadFields | str | None]) -> Head | str | None:
    """Store a head that `write` writes to a file, in the store at `root`; see `TokenScoringEngine.write_head`."""
    heads = root / HEADS
    with locked(heads):
        draft = heads / f".{secrets.token_hex(6)}.draft"
        try:
            fields = write(draft)
            if fields is None or isinstance(fields, str):
                return fields
            manifest = HeadManifest.model_validate({**fields, "sha256": sha256_of(draft)})
            name = hashlib.sha256(json.dumps(manifest.model_dump(mode="json")).encode()).hexdigest()[:16]
            if not (heads / name / MANIFEST).is_file():
                with whole_file(heads / name / MATRIX) as file:
                    shutil.copyfile(draft, file)
                write_record(heads / name / MANIFEST, manifest)
        finally:
            draft.unlink(missing_ok=True)
    return read_head(root, name)


def read_head(root: Path, name: str) -> Head:
    """Open a head; its matrix is read when it is used.

    Raises:
        StoreError: It is missing or damaged.
    """
    folder = inside(root, HEADS, name).resolve()
    return _opened(folder, *(_state(folder / file) for file in (MANIFEST, MATRIX)))


def _state(file: Path) -> tuple[int, ...] | None:
    """What changes with a file; None if it is missing."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino


@lru_cache(maxsize=MOST_HEADS)
def _opened(folder: Path, *_: tuple[int, ...] | None) -> Head:
    manifest = read_record(folder / MANIFEST, HeadManifest)
    file = folder / MATRIX
    if not file.is_file():
        raise StoreError(f"{file}: is missing; delete the folder {folder.name} and the scores, and run again")
    check_unchanged(file, manifest.sha256)
    try:
        header = safetensors_header(file)
        tensor, start = header.tensors[HEAD], header.starts[HEAD]
        matrix = np.memmap(file, STORED_AS[manifest.dtype], "r", start, tensor.shape)
    except (ConfigError, KeyError, ValueError, OSError) as error:
        raise StoreError(f"{file}: damaged ({error}); delete the folder {folder.name} and run again") from None
    return Head(folder.name, matrix, manifest.dtype, manifest.soft_cap, manifest.scale)


def adopt_head(source: Path, root: Path, name: str) -> None:
    """Copy a head from the store at `source` to the one at `root`, unless it exists there."""
    target = inside(root, HEADS, name)
    if not (target / MANIFEST).is_file():
        copy_files(inside(source, HEADS, name), target, [MATRIX, MANIFEST])


def damage_of_head(folder: Path) -> str:
    """Why a head can't be read; empty if it can."""
    try:
        _opened.__wrapped__(folder.resolve())
    except StoreError as error:
        return str(error)
    return ""
