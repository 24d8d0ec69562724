"""What lies in a store, each comparison for what it is: readable, being written, damaged, or of another version.

Only manifests are read here, and nothing that is found damaged stops the rest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from fidelity.errors import FidelityError
from fidelity.outside.paths import inside
from fidelity.report.content import format_of
from fidelity.store.comparisons import Comparison
from fidelity.store.runs import Run
from fidelity.store.studies import StudyManifest, read_study

State = Literal["readable", "being written", "damaged"]
T = TypeVar("T")
DAMAGE = (FidelityError, OSError, ValueError, KeyError, TypeError, AttributeError, IndexError)
"""What a store that was broken from outside may raise; reading is done inside `reason_of` for these."""


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A directory in `comparisons/` that is, or may become, the comparison of a candidate."""

    id: str
    state: State
    why: str = ""
    """What is wrong with it; empty where nothing is."""
    baseline: str = ""
    """The baseline run's name."""
    baseline_id: str = ""
    candidate: str = ""
    candidate_id: str = ""
    format: str = ""
    created: str = ""
    parameters: int | None = None
    """Of the baseline's checkpoint, else of the candidate's; None where neither says."""
    bytes: int | None = None
    """Of the candidate's weight files."""
    baseline_bytes: int | None = None
    prompts: int = 0
    columns: tuple[str, ...] = ()
    controls: int = 0


@dataclass(frozen=True, slots=True)
class Shelf:
    """A store at one moment."""

    root: Path
    entries: tuple[CatalogEntry, ...]
    """The newest first; what can't be read comes last."""
    studies: tuple[StudyManifest, ...]
    stamp: str
    """Another one as soon as anything in the store has changed."""

    @property
    def readable(self) -> tuple[CatalogEntry, ...]:
        return tuple(entry for entry in self.entries if entry.state == "readable")

    def entry(self, id_: str) -> CatalogEntry | None:
        return next((entry for entry in self.entries if entry.id == id_), None)


def stamp_of(root: Path) -> str:
    """What changes whenever a comparison, a run or a study comes, goes or is written anew; cheap to ask for."""
    marks = []
    for folder in ("comparisons", "studies", "runs"):
        for file in sorted((root / folder).glob("*/manifest.json")):
            marks.append(f"{file.parent.name}:{mark_of(file)}")
    return f"{len(marks)}-{hash(tuple(marks)):x}"


def mark_of(file: Path) -> int:
    """When a file was last written, in ns; 0 where it is gone."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def read_shelf(root: Path) -> Shelf:
    """Look through a store."""
    stamp = stamp_of(root)
    candidates = [_entry(folder, root) for folder in _folders(root / "comparisons")]
    entries = sorted(
        (entry for entry in candidates if entry), key=lambda entry: (entry.created, entry.id), reverse=True
    )
    entries.sort(key=lambda entry: entry.state != "readable")
    studies = [attempt(lambda folder=folder: read_study(folder))[0] for folder in _folders(root / "studies")]  # type: ignore[misc]
    return Shelf(root, tuple(entries), tuple(study for study in studies if study), stamp)


def attempt(read: Callable[[], T]) -> tuple[T | None, str]:
    """What reading gives, and why it gives nothing: a store may be broken in any way, and that is no defect of ours."""
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
    """None for the comparison of a control, which belongs to those of its candidates."""
    if not (folder / "manifest.json").is_file():
        return CatalogEntry(
            folder.name, "being written", "It has no manifest yet: it is being written, or was given up."
        )
    entry, why = attempt(lambda: _described(Comparison(folder), root))
    return CatalogEntry(folder.name, "damaged", why) if why else entry


def _described(comparison: Comparison, root: Path) -> CatalogEntry | None:
    manifest = comparison.manifest
    baseline, run = (Run(inside(root, "runs", id_)) for id_ in (manifest.baseline, manifest.candidate))
    if manifest.controls is None:
        if run.manifest.control_of:
            return None
        return CatalogEntry(comparison.path.name, "being written", "It is being scored, or was not scored to its end.")
    original, own = (side.manifest.checkpoint for side in (baseline, run))
    return CatalogEntry(
        id=comparison.path.name,
        state="readable",
        baseline=baseline.name,
        baseline_id=baseline.id,
        candidate=run.name,
        candidate_id=run.id,
        format=format_of(run),
        created=manifest.created,
        parameters=original.parameters or own.parameters,
        bytes=own.bytes,
        baseline_bytes=original.bytes,
        prompts=len(set(comparison.prompt_ids)),
        columns=tuple(manifest.columns),
        controls=len(manifest.controls),
    )
