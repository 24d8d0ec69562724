"""What a study leaves in the store beside its comparisons: its cells, why one has none, and its gate."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fidelity.errors import StoreError
from fidelity.files import whole_file

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Cell:
    """One baseline and one candidate of a study."""

    family: str
    baseline: str
    candidate: str
    format: str
    """As the checkpoint or the label says; "format unknown" where neither does."""
    parameters: int | None
    comparison: str | None = None
    """The directory in `comparisons/`; None where there is none (yet)."""
    why: str = ""
    """Why there is none; empty where it is still to come."""


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """A study, as far as it has come."""

    name: str
    cells: tuple[Cell, ...]
    gate: dict[str, Any] | None
    """As it is written in YAML; None where the study has none."""


def write_record(root: Path, record: StudyRecord) -> None:
    """Keep it in the store, in place of what stood there under its name."""
    text = json.dumps({"schema_version": SCHEMA_VERSION, **asdict(record)}, indent=2, ensure_ascii=False)
    with whole_file(root / "studies" / record.name / "manifest.json") as draft:
        draft.write_text(text + "\n", encoding="utf-8")


def read_record(folder: Path) -> StudyRecord:
    """Read it back.

    Raises:
        StoreError: It is missing, damaged, or of another version.
    """
    file = folder / "manifest.json"
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        if data["schema_version"] != SCHEMA_VERSION:
            raise StoreError(
                f"{file}: written with schema version {data['schema_version']}, this fidelity reads {SCHEMA_VERSION}"
            )
        return StudyRecord(data["name"], tuple(Cell(**cell) for cell in data["cells"]), data["gate"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{file}: damaged ({error}); run fidelity study again") from error
