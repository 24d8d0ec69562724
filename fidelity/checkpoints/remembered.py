"""What a store remembers between commands, as JSON by key: hashes of model files, reports of servers.

Losing it costs time only, so a damaged file counts as empty, and a store that can't be written does without.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import JsonValue

from fidelity.errors import StoreError
from fidelity.files import locked, whole_file
from fidelity.outside.documents import read_json
from fidelity.outside.paths import read_regular
from fidelity.schema import JsonObject

SEALED = {"seal", "entries"}
"""The keys of the file. Older versions wrote the entries alone."""


def read_remembered(file: Path) -> JsonObject:
    """The entries by key; empty if the file is missing or damaged."""
    try:
        return _entries(file)
    except (OSError, ValueError):
        return {}


def remember(file: Path, entries: Mapping[str, JsonValue]) -> None:
    """Add entries to those that other commands have written."""
    with suppress(StoreError), locked(file.parent), whole_file(file) as draft:
        together = {**read_remembered(file), **entries}
        draft.write_text(json.dumps({"seal": _seal(together), "entries": together}, indent=0), encoding="utf-8")


def damage_of_remembered(file: Path) -> str:
    """Why the file can't be used; empty if it can, or if there is none."""
    try:
        _entries(file)
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        return f"{file}: damaged ({error}); delete it, and it is written again"
    return ""


def _entries(file: Path) -> JsonObject:
    data = read_json(read_regular(file))
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    if not SEALED & data.keys():
        return data
    entries = data.get("entries")
    if data.keys() != SEALED or not isinstance(entries, dict) or data["seal"] != _seal(entries):
        raise ValueError("changed after it was written")
    return entries


def _seal(entries: JsonObject) -> str:
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()
