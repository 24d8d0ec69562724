"""A study's records in the store: its cells with errors and gate, and how far it has come."""

from pathlib import Path
from typing import ClassVar

from fidelity.errors import StoreError
from fidelity.outside.paths import inside
from fidelity.schema import JsonObject
from fidelity.store.record_files import MANIFEST, FileName, Manifest, Record, read_record, write_record

STATE = "state.json"


class Cell(Record):
    """One baseline and one candidate of a study."""

    family: str
    baseline: str
    candidate: str
    format: str
    """The format from the checkpoint or the label; "format unknown" if neither states it."""
    parameters: int | None
    comparison: FileName | None = None
    """The directory in `comparisons/`; None if there is none (yet)."""
    why: str = ""
    """Why there is no comparison; empty if it hasn't run yet."""


class StudyManifest(Manifest):
    """A finished or unfinished study."""

    name: FileName
    cells: tuple[Cell, ...]
    gate: JsonObject | None
    """The gate as written in YAML; None if the study has no gate."""

    @classmethod
    def remedy(cls, file: Path) -> str:
        """The repair for a damaged study: finished runs are read from the store."""
        return "run fidelity study again"


class RunState(Record):
    """How far a run of a study has come."""

    family: str
    name: str
    done: int
    """Answered prompts."""
    total: int


class StudyState(Manifest):
    """How far a study has come, written while it runs."""

    what: ClassVar[str] = "the state of a study"
    updated: str
    """When this was written, ISO 8601 in UTC."""
    family: str
    """The family that is being generated or scored; empty at the end."""
    runs: tuple[RunState, ...]
    """The runs so far; the others wait."""
    finished: int
    total: int
    """The numbers of finished and of all runs to generate."""
    seconds_left: float | None
    """The estimated time left for generating; None if unknown."""

    @classmethod
    def remedy(cls, file: Path) -> str:
        """The repair for a damaged state: nothing depends on it."""
        return "delete the file"


def write_study(root: Path, study: StudyManifest) -> None:
    """Write the study's record to the store, replacing an earlier one of the same name."""
    write_record(inside(root, "studies", study.name) / MANIFEST, study)


def write_state(root: Path, study: str, state: StudyState) -> None:
    """Write how far a study has come, replacing the earlier state."""
    write_record(inside(root, "studies", study) / STATE, state)


def read_state(root: Path, study: str) -> StudyState | None:
    """How far a study has come; None if it has ended, or if the state can't be read."""
    try:
        state = read_record(inside(root, "studies", study) / STATE, StudyState)
    except StoreError:
        return None
    return state if state.family else None


def read_study(folder: Path) -> StudyManifest:
    """Read a study's record.

    Raises:
        StoreError: The record is missing, damaged, or of a newer version.
    """
    return read_record(folder / MANIFEST, StudyManifest)


def in_words(seconds: float) -> str:
    """A duration in a suitable unit: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
