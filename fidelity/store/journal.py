"""Answers as they come, a line each: what was there when a command was killed is not asked for again."""

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import BinaryIO, Self

from fidelity.files import full_disk_explained
from fidelity.records import Failure, Generation
from fidelity.store.responses import response_of

RESUMED = b'{"resumed": true}'


class Journal:
    """The outcomes of a chunk that isn't whole yet, by their places in it; used as a context manager.

    A line goes to the operating system in one piece before the next is begun, so that a killed process loses none; a
    line that the end of the machine itself has torn is not an outcome, and its prompt is asked again.
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
                self._open.write(b"\n" + RESUMED + b"\n")  # after a line that may be torn
        return self

    def __exit__(self, *_: object) -> None:
        assert self._open is not None
        self._open.close()

    def add(self, place: int, outcome: Generation | Failure) -> None:
        """Keep one outcome."""
        assert self._open is not None
        kind = "failure" if isinstance(outcome, Failure) else "generation"
        values = {field.name: getattr(outcome, field.name) for field in fields(outcome)}  # asdict copies every token
        line = json.dumps({"place": place, kind: values}).encode() + b"\n"
        with full_disk_explained(self._file):
            if self._open.write(line) != len(line):
                raise OSError("only a part of an answer could be written")
        self.places[place] = None

    def outcomes(self) -> Iterator[tuple[int, Generation | Failure]]:
        """Each place once, in the order in which the outcomes came; one line is held at a time."""
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
    """How often a journal was taken up again."""
    if not file.exists():
        return 0
    with file.open("rb") as lines:
        return sum(line.rstrip(b"\n") == RESUMED for line in lines)


def _outcome(line: bytes) -> tuple[int, Generation | Failure] | None:
    try:
        row = json.loads(line)
        values = row.get("generation") or row["failure"]
        if "failure" in row:
            values = {**values, "failure": values["reason"]}
        place = row["place"]
        return (place, response_of(values)) if type(place) is int and place >= 0 else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
