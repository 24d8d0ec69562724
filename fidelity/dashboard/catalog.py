"""The content of a store, with the state of each comparison: readable, being written, damaged, or of another version.

Only manifests are read. A damaged directory doesn't affect the rest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from fidelity.errors import FidelityError
from fidelity.gate import format_that_ran
from fidelity.outside.paths import inside
from fidelity.report.content import UNKNOWN_FORMAT
from fidelity.store.comparisons import Comparison
from fidelity.store.runs import Run
from fidelity.store.studies import StudyManifest, read_study

State = Literal["readable", "being written", "damaged"]
T = TypeVar("T")
DAMAGE = (FidelityError, OSError, ValueError, KeyError, TypeError, AttributeError, IndexError)
"""The exceptions that a damaged store can raise; `reason_of` catches them."""


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A directory in `comparisons/` with the finished or unfinished comparison of a candidate."""

    id: str
    state: State
    why: str = ""
    """Why it can't be read; empty if it can."""
    baseline: str = ""
    """The baseline run's name."""
    baseline_id: str = ""
    candidate: str = ""
    candidate_id: str = ""
    format: str = ""
    """The format that ran, whatever the checkpoint's."""
    created: str = ""
    parameters: int | None = None
    """Parameters of the baseline's checkpoint, else of the candidate's; None if unknown."""
    bytes: int | None = None
    """The size of the candidate's weight files."""
    baseline_bytes: int | None = None
    prompts: int = 0
    columns: tuple[str, ...] = ()
    controls: int = 0


@dataclass(frozen=True, slots=True)
class Shelf:
    """A snapshot of a store."""

    root: Path
    entries: tuple[CatalogEntry, ...]
    """The comparisons, newest first; unreadable ones last."""
    studies: tuple[StudyManifest, ...]
    stamp: str
    """A key that changes with the store."""

    @property
    def readable(self) -> tuple[CatalogEntry, ...]:
        return tuple(entry for entry in self.entries if entry.state == "readable")

    def entry(self, id_: str) -> CatalogEntry | None:
        return next((entry for entry in self.entries if entry.id == id_), None)


def stamp_of(root: Path) -> str:
    """A key that changes when a comparison, a run or a study is added, removed or rewritten; cheap to compute."""
    marks = []
    for place in ("comparisons/*/manifest.json", "studies/*/*.json", "runs/*/manifest.json", "prices/*/manifest.json"):
        for file in sorted(root.glob(place)):
            marks.append(f"{file.parent.name}:{mark_of(file)}")
    return f"{len(marks)}-{hash(tuple(marks)):x}"


def mark_of(file: Path) -> int:
    """A file's modification time in ns; 0 if it doesn't exist."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def read_shelf(root: Path) -> Shelf:
    """Read the catalog of a store."""
    stamp = stamp_of(root)
    candidates = [_entry(folder, root) for folder in _folders(root / "comparisons")]
    entries = sorted(
        (entry for entry in candidates if entry), key=lambda entry: (entry.created, entry.id), reverse=True
    )
    entries.sort(key=lambda entry: entry.state != "readable")
    studies = [attempt(lambda folder=folder: read_study(folder))[0] for folder in _folders(root / "studies")]  # type: ignore[misc]
    return Shelf(root, tuple(entries), tuple(study for study in studies if study), stamp)


def attempt(read: Callable[[], T]) -> tuple[T | None, str]:
    """Return the result of a read, or why it failed, since a store can be damaged in any way."""
    try:
        return read(), ""
    except FidelityError as error:
        return None, str(error)
    except DAMAGE as error:
        return None, f"damaged: {type(error).__name__}: {error}"


def _folders(folder: Path) -> Sequence[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return ()


def _entry(folder: Path, root: Path) -> CatalogEntry | None:
    """Return the entry of a directory, or None for the comparison of a control, which has no entry."""
    if not (folder / "manifest.json").is_file():
        return CatalogEntry(
            folder.name, "being written", "It has no manifest yet: it is being written, or was interrupted."
        )
    entry, why = attempt(lambda: _described(Comparison(folder), root))
    return CatalogEntry(folder.name, "damaged", why) if why else entry


def _described(comparison: Comparison, root: Path) -> CatalogEntry | None:
    manifest = comparison.manifest
    baseline, run = (Run(inside(root, "runs", id_)) for id_ in (manifest.baseline, manifest.candidate))
    if manifest.controls is None:
        if run.manifest.control_of or baseline.manifest.control_of:
            return None
        return CatalogEntry(comparison.path.name, "being written", "It is being scored, or scoring was interrupted.")
    original, own = (side.manifest.checkpoint for side in (baseline, run))
    return CatalogEntry(
        id=comparison.path.name,
        state="readable",
        baseline=baseline.name,
        baseline_id=baseline.id,
        candidate=run.name,
        candidate_id=run.id,
        format=format_that_ran(run.manifest) or UNKNOWN_FORMAT,
        created=manifest.created,
        parameters=original.parameters or own.parameters,
        bytes=own.bytes,
        baseline_bytes=original.bytes,
        prompts=len(set(comparison.prompt_ids)),
        columns=tuple(manifest.columns),
        controls=len(manifest.controls),
    )
