"""Turning outside names into paths that can't leave their root."""

from pathlib import Path

from fidelity.errors import StoreError

LONGEST_NAME = 255
"""The maximum length of a file name in bytes, as in common file systems."""


def plain_name(name: str) -> str:
    """Return the name if it is valid for a single file or folder.

    Raises:
        ValueError: It is empty, `.` or `..`, too long, or has a separator or an unprintable character.
    """
    if name in ("", ".", "..") or not name.isprintable() or {"/", "\\"} & set(name):
        raise ValueError(f"{name[:80]!r} can't be the name of a file: no separators, no control characters, no '..'")
    if len(name.encode()) > LONGEST_NAME:
        raise ValueError(f"{name[:80]!r}... can't be the name of a file: it has more than {LONGEST_NAME} bytes")
    return name


def inside(root: Path, *names: str) -> Path:
    """Return the path of these names below a root. It need not exist.

    Raises:
        StoreError: A name is invalid, or a symbolic link in the path leads out of the root.
    """
    try:
        path = root.joinpath(*map(plain_name, names))
    except ValueError as error:
        raise StoreError(f"{root}: {error}") from None
    if leaves(root, path):
        raise StoreError(f"{path}: a symbolic link that leads out of {root}; put a copy in its place")
    return path


def leaves(root: Path, path: Path) -> bool:
    """Whether symbolic links lead a path below a root out of it, or nowhere."""
    try:
        return not path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # a link to itself
        return True
