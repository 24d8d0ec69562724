"""The one place where a name from outside becomes a path, which can't leave its root."""

from pathlib import Path

from fidelity.errors import StoreError

LONGEST_NAME = 255
"""Bytes of a file's name: what common file systems take."""


def plain_name(name: str) -> str:
    """The name itself, if it can be that of one file or folder.

    Raises:
        ValueError: It is empty, `.` or `..`, too long, or has a separator or a character that can't be printed.
    """
    if name in ("", ".", "..") or not name.isprintable() or {"/", "\\"} & set(name):
        raise ValueError(f"{name[:80]!r} can't be the name of a file: no separators, no control characters, no '..'")
    if len(name.encode()) > LONGEST_NAME:
        raise ValueError(f"{name[:80]!r}... can't be the name of a file: it has more than {LONGEST_NAME} bytes")
    return name


def inside(root: Path, *names: str) -> Path:
    """What has these names below a root, a folder for each but the last; it need not exist.

    Raises:
        StoreError: A name isn't plain, or a symbolic link on the way leads out of the root.
    """
    try:
        path = root.joinpath(*map(plain_name, names))
    except ValueError as error:
        raise StoreError(f"{root}: {error}") from None
    if leaves(root, path):
        raise StoreError(f"{path}: a symbolic link that leads out of {root}; put a copy in its place")
    return path


def leaves(root: Path, path: Path) -> bool:
    """Whether a path below a root leads out of it, or nowhere, through symbolic links."""
    try:
        return not path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # a link to itself
        return True
