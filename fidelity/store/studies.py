"""A study's record in the store: its cells, the error of each cell without a comparison, and its gate."""

from pathlib import Path

from fidelity.outside.paths import inside
from fidelity.schema import JsonObject
from fidelity.store.record_files import MANIFEST, FileName, Manifest, Record, read_record, write_record


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


def write_study(root: Path, study: StudyManifest) -> None:
    """Write the study's record to the store, replacing an earlier one of the same name."""
    write_record(inside(root, "studies", study.name) / MANIFEST, study)


def read_study(folder: Path) -> StudyManifest:
    """Read a study's record.

    Raises:
        StoreError: The record is missing, damaged, or of a newer version.
    """
    return read_record(folder / MANIFEST, StudyManifest)
