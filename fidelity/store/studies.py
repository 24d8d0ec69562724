"""What a study leaves in the store beside its comparisons: its cells, why one has none, and its gate."""

from pathlib import Path

from fidelity.outside.paths import inside
from fidelity.schema import JsonObject
from fidelity.store.manifests import MANIFEST, FileName, Manifest, Record, read_record, write_record


class Cell(Record):
    """One baseline and one candidate of a study."""

    family: str
    baseline: str
    candidate: str
    format: str
    """As the checkpoint or the label says; "format unknown" where neither does."""
    parameters: int | None
    comparison: FileName | None = None
    """The directory in `comparisons/`; None where there is none (yet)."""
    why: str = ""
    """Why there is none; empty where it is still to come."""


class StudyManifest(Manifest):
    """A study, as far as it has come."""

    name: FileName
    cells: tuple[Cell, ...]
    gate: JsonObject | None
    """As it is written in YAML; None where the study has none."""

    @classmethod
    def remedy(cls, file: Path) -> str:
        """What is finished of a study is taken from the store."""
        return "run fidelity study again"


def write_study(root: Path, study: StudyManifest) -> None:
    """Write it into the store, in place of an earlier one of this name."""
    write_record(inside(root, "studies", study.name) / MANIFEST, study)


def read_study(folder: Path) -> StudyManifest:
    """Read it back.

    Raises:
        StoreError: It is missing, damaged, or of a newer version.
    """
    return read_record(folder / MANIFEST, StudyManifest)
