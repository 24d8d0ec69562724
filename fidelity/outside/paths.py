"""Turning outside names into paths that can't leave their root, and opening only what is a file."""

import errno
import os
import stat
from io import BufferedReader, FileIO
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


def open_regular(file: Path) -> BufferedReader:
    """Open a file for reading. A pipe, which would be waited for, and a device, which can be endless, are refused.

    Raises:
        OSError: It is not a regular file, or can't be opened.
    """
    try:
        opened = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as error:  # a NUL in its name
        raise OSError(errno.EINVAL, str(error), str(file)) from None
    return os.fdopen(_regular(opened, file), "rb")


def check_regular(file: Path) -> None:
    """Check that `open_regular` opens a file."""
    open_regular(file).close()


def read_regular(file: Path, *, most: int | None = None) -> bytes:
    """The bytes of a file that `open_regular` opens.

    Raises:
        OSError: It can't be opened, or has more than `most` bytes.
    """
    with open_regular(file) as stream:
        size = os.fstat(stream.fileno()).st_size  # reading up to a limit reserves memory for all of it
        data = stream.read() if most is None else stream.read(min(most, size) + 1)
    if most is not None and len(data) > most:
        raise OSError(errno.EFBIG, f"larger than {most:,} bytes", str(file))
    return data


def open_own(file: Path, *, append: bool = False) -> FileIO:
    """Open a file of a store for writing, unbuffered; it is made if need be, and never emptied.

    Raises:
        OSError: It is a symbolic link, which could lead out of the store, or no regular file.
    """
    more = os.O_APPEND if append else 0
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | more
    try:
        opened = os.open(file, flags, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise OSError(errno.ELOOP, "a symbolic link; remove it", str(file)) from None
    return os.fdopen(_regular(opened, file), "ab" if append else "r+b", buffering=0)


def _regular(opened: int, file: Path) -> int:
    kind = os.fstat(opened).st_mode
    if stat.S_ISREG(kind):
        return opened
    os.close(opened)
    raise OSError(errno.EISDIR if stat.S_ISDIR(kind) else errno.EINVAL, "it is not a file", str(file))
