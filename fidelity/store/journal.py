"""The journal of a chunk: one line per finished answer, so a killed command doesn't ask for it again."""

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import BinaryIO, Self

from fidelity.files import full_disk_explained
from fidelity.outside.documents import read_json
from fidelity.records import Failure, Generation
from fidelity.store.responses import response_of

RESUMED = b'{"resumed": true}'


class Journal:
    """The outcomes of an unfinished chunk, by their positions in it. Use it as a context manager.

    A line is passed to the operating system as a whole before the next one starts, so a killed process loses none. A
    line that a crash of the machine has truncated is ignored, and its prompt is asked again.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._open: BinaryIO | None = None

    def __enter__(self) -> Self:
        with full_disk_explained(self._file):
            self.places = dict.fromkeys(place for place, _ in self.outcomes())
            """The answered prompts, in the order of `outcomes`."""
            self._open = self._file.open("ab", buffering=0)
            if self._open.tell():
                self._open.write(b"\n" + RESUMED + b"\n")  # after a line that may be truncated
        return self

    def __exit__(self, *_: object) -> None:
        assert self._open is not None
        self._open.close()

    def add(self, place: int, outcome: Generation | Failure) -> None:
        """Append one outcome."""
        assert self._open is not None
        kind = "failure" if isinstance(outcome, Failure) else "generation"
        values = {field.name: getattr(outcome, field.name) for field in fields(outcome)}  # asdict copies every token
        line = json.dumps({"place": place, kind: values}).encode() + b"\n"
        with full_disk_explained(self._file):
            if self._open.write(line) != len(line):
                raise OSError("an answer could only be written in part")
        self.places[place] = None

    def outcomes(self) -> Iterator[tuple[int, Generation | Failure]]:
        """Yield each position once, in the order of the outcomes, holding one line in memory at a time."""
        if not self._file.exists():
            return
        seen: set[int] = set()
        with self._file.open("rb") as lines:
            for line in lines:
                outcome = _outcome(line)
                if outcome and outcome[0] not in seen:
                    seen.add(outcome[0])
                    yield outcome


def count_resumptions(file: Path) -> int:
    """How often a journal was resumed."""
    if not file.exists():
        return 0
    with file.open("rb") as lines:
        return sum(line.rstrip(b"\n") == RESUMED for line in lines)


def _outcome(line: bytes) -> tuple[int, Generation | Failure] | None:
    try:
        row = read_json(line)
        values = row.get("generation") or row["failure"]
        if "failure" in row:
            values = {**values, "failure": values["reason"]}
        place = row["place"]
        return (place, response_of(values)) if type(place) is int and place >= 0 else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
