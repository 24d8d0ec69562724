"""Records that may be too many for memory: few are held, more are in a temporary file and read one at a time."""

import pickle
import weakref
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import SpooledTemporaryFile, gettempdir
from threading import Lock
from typing import Generic, SupportsIndex, TypeVar, overload

from fidelity.files import full_disk_explained

MOST_IN_MEMORY = 1 << 22
"""Bytes from which on records are in a file."""
MOST_AS_OBJECTS = 1 << 20
"""Bytes from which on each access makes another object: as objects they take up to a dozen times as many."""
T = TypeVar("T")


class Spool(Sequence[T], Generic[T]):
    """A sequence that records are appended to. They must not be changed: an access may give the same object again.

    The file has no name, so nobody else reads or writes it, and it is gone with the process. It is in `TMPDIR`.
    """

    def __init__(self, records: Iterable[T] = ()) -> None:
        self._file = SpooledTemporaryFile(max_size=MOST_IN_MEMORY)  # noqa: SIM115 - closed with this object
        weakref.finalize(self, self._file.close)
        self._ends = array("q", [0])
        self._lock = Lock()
        self._objects: list[T] | None = []
        """As long as they are few."""
        for record in records:
            self.append(record)

    def append(self, record: T) -> None:
        """Add a record at the end.

        Raises:
            StoreError: The disk is full.
        """
        written = pickle.dumps(record, protocol=pickle.HIGHEST_PROTOCOL)
        with self._lock, full_disk_explained(Path(gettempdir())):
            self._file.seek(self._ends[-1])
            self._file.write(written)
            self._ends.append(self._ends[-1] + len(written))
            self._objects = self._objects if self._ends[-1] <= MOST_AS_OBJECTS else None
            if self._objects is not None:
                self._objects.append(record)

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, place: SupportsIndex) -> T: ...

    @overload
    def __getitem__(self, place: slice) -> list[T]: ...

    def __getitem__(self, place: SupportsIndex | slice) -> T | list[T]:
        if isinstance(place, slice):
            return [self._record(number) for number in range(len(self))[place]]
        return self._record(range(len(self))[place])

    def _record(self, number: int) -> T:
        if (objects := self._objects) is not None:
            return objects[number]
        start, end = self._ends[number], self._ends[number + 1]
        with self._lock:
            self._file.seek(start)
            written = self._file.read(end - start)
        record: T = pickle.loads(written)  # noqa: S301 - no other process can write the file
        return record
