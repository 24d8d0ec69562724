"""Records as files of a store, such as the `manifest.json` of a finished directory, which is written last, by rename.

A store can be damaged in any way: the error names the file, the key and the repair.
"""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from fidelity.errors import StoreError
from fidelity.files import whole_file
from fidelity.outside.documents import cleaned, read_json
from fidelity.outside.paths import plain_name, read_regular
from fidelity.schema import JsonObject

MANIFEST = "manifest.json"
SEAL = "seal"
SCHEMA_VERSION = 2
READABLE = (1, 2)
FileName = Annotated[str, AfterValidator(plain_name)]
"""What a folder or a file of the store is called by; it can't lead anywhere else."""
MOST_BYTES = 2**30
"""The maximum size of a record. A manifest of a million prompts has about 30 MB."""
MOST_ERRORS = 3
"""The maximum number of wrong keys in a message."""
LONGEST_KEY = 80


class Record(BaseModel):
    """Base class of everything that is read from a store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __getitem__(self, key: str) -> Any:
        """A field as the JSON on disk has it."""
        return self.model_dump(mode="json", include={key})[key]

    def get(self, key: str, default: Any = None) -> Any:
        """The same, or the default for what is no field."""
        return self[key] if key in type(self).model_fields else default

    def replace(self, **changes: object) -> Self:
        """A copy with other values of some fields, validated like a record that is read."""
        return self.model_validate({**dict(self), **changes})


class Manifest(Record):
    """Base class of the records that have their own file."""

    what: ClassVar[str] = "a finished run or comparison"

    @classmethod
    def remedy(cls, file: Path) -> str:
        """The repair for a damaged file."""
        return f"delete the folder {file.parent.name} and run again"

    @classmethod
    def upgrade(cls, data: JsonObject) -> JsonObject:
        """Convert data of schema version 1 to version 2."""
        return data


ManifestType = TypeVar("ManifestType", bound=Manifest)


def read_record(file: Path, kind: type[ManifestType]) -> ManifestType:
    """Read the record in a file.

    Raises:
        StoreError: The file is missing, damaged or of a newer version. The message names the file and the key.
    """
    data = _read_json(file, kind)
    version, seal = data.pop("schema_version"), data.pop(SEAL, None)
    intact = seal in (None, _seal(data))
    try:
        record = kind.model_validate(kind.upgrade(data) if version == 1 else data)
    except ValidationError as error:
        raise StoreError(f"{file}: damaged ({wrong_keys(error)}); {kind.remedy(file)}") from error
    if not intact:
        raise StoreError(f"{file}: changed after it was written; {kind.remedy(file)}")
    return record


def damage_of(folder: Path, kind: type[Manifest]) -> str:
    """Why the record of a finished directory can't be read; empty if it can."""
    try:
        read_record(folder / MANIFEST, kind)
    except StoreError as error:
        return str(error)
    return ""


def write_record(file: Path, manifest: Manifest) -> None:
    """Write a record with its seal. A directory's manifest marks it as finished."""
    data = cleaned(manifest.model_dump(mode="json"))
    written = {"schema_version": SCHEMA_VERSION, **data, SEAL: _seal(data)}
    with whole_file(file) as draft, draft.open("w", encoding="utf-8") as stream:
        json.dump(written, stream, indent=2, ensure_ascii=False)
        stream.write("\n")


def _seal(data: JsonObject) -> str:
    """SHA-256 of a record's keys, so that a change after it was written is noticed. Older versions wrote none."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def _read_json(file: Path, kind: type[Manifest]) -> JsonObject:
    """Read a JSON object with a supported schema version."""
    try:
        data = read_json(_bytes(file), strict=True)
    except FileNotFoundError:
        raise StoreError(
            f"{file.parent}: not {kind.what}: {file.name} is missing; fidelity list shows what a store has"
        ) from None
    except (OSError, ValueError) as error:
        raise StoreError(f"{file}: damaged ({error}); {kind.remedy(file)}") from error
    if not isinstance(data, dict) or "schema_version" not in data:
        raise StoreError(f"{file}: damaged ('schema_version' is missing); {kind.remedy(file)}")
    version = data["schema_version"]
    if type(version) is not int or version not in READABLE:
        raise StoreError(
            f"{file}: has schema version {str(version)[:LONGEST_KEY]}, but this version of fidelity reads "
            f"{READABLE[0]} to {READABLE[-1]}; use the version that wrote it, or another --store"
        )
    return data


def _bytes(file: Path) -> bytes:
    """Read a regular file that is no larger than any record is."""
    return read_regular(file, most=MOST_BYTES)


def wrong_keys(error: ValidationError) -> str:
    """The first wrong keys with their problems, and the number of others."""
    errors = error.errors(include_input=False, include_url=False)
    wrong = [_explained(one["loc"], one["type"], one["msg"]) for one in errors[:MOST_ERRORS]]
    more = len(errors) - len(wrong)
    return "; ".join([*wrong, *([f"{more} more"] if more else [])])


def _explained(place: tuple[int | str, ...], kind: str, message: str) -> str:
    if not place:  # the whole record
        return message.removeprefix("Value error, ")
    key = _short(".".join(map(str, place)))
    match kind:
        case "missing":
            return f"{key} is missing"
        case "extra_forbidden" | "unexpected_keyword_argument":
            return f"unknown key {key}"
    return f"{key}: {message}"


def _short(key: str) -> str:
    """A key in quotes, cut if it is long."""
    return repr(key if len(key) <= LONGEST_KEY else f"{key[:LONGEST_KEY]}...")
