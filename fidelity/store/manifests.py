"""What a finished directory of a store says of itself: `manifest.json`, written last, by rename."""

import json
from pathlib import Path
from typing import Any

from fidelity.errors import StoreError
from fidelity.files import whole_file

SCHEMA_VERSION = 1


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a finished directory says of itself.

    Raises:
        StoreError: There is no manifest, it is damaged, or another version wrote it.
    """
    file = folder / "manifest.json"
    try:
        manifest: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        found = manifest["schema_version"]
    except FileNotFoundError:
        raise StoreError(f"{folder}: no finished run or comparison: it has no manifest.json") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{file}: damaged ({error}); delete the folder {folder.name} and run again") from error
    if found != SCHEMA_VERSION:
        raise StoreError(
            f"{file}: written with schema version {found}, this fidelity reads {SCHEMA_VERSION}; "
            f"use the version that wrote it, or another --store"
        )
    return manifest


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Say of a directory what it is; with this it is finished."""
    text = json.dumps({"schema_version": SCHEMA_VERSION, **manifest}, indent=2, ensure_ascii=False)
    with whole_file(folder / "manifest.json") as draft:
        draft.write_text(text + "\n", encoding="utf-8")
