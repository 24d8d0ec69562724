"""Copying a store from or to another place, folder by folder: what is there already isn't copied again."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fidelity.errors import StoreError
from fidelity.store.inventory import Damage, check
from fidelity.store.places import KINDS, FolderPlace, Place, Sizes, UrlPlace, transfer
from fidelity.store.record_files import MANIFEST
from fidelity.store.runs import EXPECTED_ANSWERS
from fidelity.store.store import Store

REWRITTEN = (MANIFEST, EXPECTED_ANSWERS)
"""Files that can be replaced by others of the same size. A manifest has the digests of the other files."""
TargetContent = Literal["same", "missing", "another"]
"""How a target differs in a folder: not at all, it lacks some or all, or it has another one."""


@dataclass(frozen=True, slots=True)
class Copy:
    """What was copied. Folders are `KIND/NAME`."""

    copied: tuple[str, ...]
    unchanged: int
    """The number of folders that were there already."""
    another: tuple[str, ...]
    """Folders of which the target has another content, so that they weren't copied."""
    in_use: tuple[str, ...]
    """Folders that another command is writing, which weren't copied."""
    damages: tuple[Damage, ...]
    """Of the local places. What is damaged isn't sent."""


def copy_store(
    source: Place, target: Place, *, replace: bool = False, on_copied: Callable[[str], None] = lambda folder: None
) -> Copy:
    """Copy all folders of a store but its caches; killed, it continues.

    Every digest of a local source is checked before, and of a local target afterwards. With `replace` the target gets
    the source's content of folders that it has with another one; else these are left alone.

    Raises:
        StoreError: A place can't be read or written, or both are URLs.
    """
    if isinstance(source, UrlPlace) and isinstance(target, UrlPlace):
        raise StoreError(f"{source} and {target}: one of the two must be a folder of this machine")
    damages, in_use = _left_out(source)
    copied, another, unchanged = [], [], 0
    for kind in KINDS:
        there = target.folders(kind)
        for folder, files in source.folders(kind).items():
            place = f"{kind}/{folder}"
            if place in in_use or place in damages or not files:
                continue
            difference = _difference(source, target, kind, folder, files, there.get(folder, {}))
            if difference == "same":
                unchanged += 1
            elif difference == "another" and not replace:
                another.append(place)
            else:
                send(source, target, kind, folder, files, there.get(folder, {}))
                on_copied(place)
                copied.append(place)
    if isinstance(target, FolderPlace):
        damages |= _left_out(target)[0]
    return Copy(tuple(copied), unchanged, tuple(another), tuple(sorted(in_use)), tuple(damages.values()))


def send(source: Place, target: Place, kind: str, folder: str, files: Sizes, there: Sizes) -> None:
    """Copy one folder, then remove files that only the target has, such as the journals of a run that is finished now.

    Raises:
        FileNotFoundError: A file of the source has vanished meanwhile.
        StoreError: A place can't be read or written.
    """
    transfer(source, target, kind, folder, list(files))
    target.remove(kind, folder, there.keys() - files.keys())


def _difference(source: Place, target: Place, kind: str, folder: str, files: Sizes, there: Sizes) -> TargetContent:
    if not there:
        return "missing"
    names = [name for name in REWRITTEN if name in files and name in there]
    rewritten = source.read(kind, folder, names) != target.read(kind, folder, names)
    if not rewritten and all(there.get(file) == size for file, size in files.items()):
        return "same"
    unequal = rewritten or any(there.get(file, size) != size for file, size in files.items())
    return "another" if MANIFEST in there or (unequal and MANIFEST not in files) else "missing"


def _left_out(place: Place) -> tuple[dict[str, Damage], frozenset[str]]:
    """The damaged folders of a local store, and those that another command is writing."""
    if isinstance(place, UrlPlace):
        return {}, frozenset()
    result = check(Store(place.root))
    damages = {_folder_of(place.root, damage.path): damage for damage in result.damages}
    caches = {place for place in damages if "/" not in place or not place.startswith(KINDS)}
    return {place: damages[place] for place in damages.keys() - caches}, frozenset(
        _folder_of(place.root, path) for path in result.in_use
    )


def _folder_of(root: Path, path: Path) -> str:
    return "/".join(path.relative_to(root).parts[:2])
