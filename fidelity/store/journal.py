"""The journal of a chunk: one line per finished answer, so a killed command doesn't ask for it again."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import BinaryIO, Self
from zlib import crc32

from fidelity.files import full_disk_explained, whole_file
from fidelity.outside.documents import read_json
from fidelity.outside.paths import open_own, open_regular
from fidelity.records import Failure, Response
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
            self._open = open_own(self._file, append=True)
            if self._open.tell():
                self.note_resumption()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._open is not None
        self._open.close()

    def write(self, outcomes: Mapping[int, Response]) -> None:
        """Start the journal again with these outcomes, by place."""
        with whole_file(self._file) as draft:
            draft.write_bytes(b"".join(_line(place, outcome) for place, outcome in outcomes.items()))

    def note_resumption(self) -> None:
        """Note that another engine continues."""
        assert self._open is not None
        self._open.write(b"\n" + RESUMED + b"\n")  # after a line that may be truncated

    def add(self, place: int, outcome: Response) -> None:
        """Keep one outcome."""
        assert self._open is not None
        line = _line(place, outcome)
        with full_disk_explained(self._file):
            if self._open.write(line) != len(line):
                raise OSError("an answer could only be written in part")
        self.places[place] = None

    def outcomes(self) -> Iterator[tuple[int, Response]]:
        """Each place once, in the order in which the outcomes came; one line is held at a time."""
        if not self._file.exists():
            return
        seen: set[int] = set()
        with open_regular(self._file) as lines:
            for line in lines:
                outcome = _outcome(line)
                if outcome and outcome[0] not in seen:
                    seen.add(outcome[0])
                    yield outcome


def _line(place: int, outcome: Response) -> bytes:
    """JSON and, after a tab, its checksum: a flipped bit is no outcome either."""
    kind = "failure" if isinstance(outcome, Failure) else "generation"
    values = {field.name: getattr(outcome, field.name) for field in fields(outcome)}  # asdict copies every token
    written = json.dumps({"place": place, kind: values}).encode()
    return written + f"\t{crc32(written):08x}\n".encode()


def count_resumptions(file: Path) -> int:
    """How often a journal was resumed."""
    if not file.exists():
        return 0
    with open_regular(file) as lines:
        return sum(line.rstrip(b"\n") == RESUMED for line in lines)


def broken_lines(file: Path) -> list[int]:
    """The numbers, from 1, of the lines without an outcome: truncated, or changed after they were written."""
    with open_regular(file) as lines:
        return [number for number, line in enumerate(lines, 1) if not _is_whole(line)]


def drop_broken_lines(file: Path) -> None:
    """Keep only the other lines, so the prompts of the broken ones are asked again."""
    with whole_file(file) as draft, open_regular(file) as lines, draft.open("wb") as written:
        written.writelines(line for line in lines if _is_whole(line))


def _is_whole(line: bytes) -> bool:
    return line.rstrip(b"\n") in (b"", RESUMED) or _outcome(line) is not None


def _outcome(line: bytes) -> tuple[int, Response] | None:
    try:
        written, tab, checksum = line.rstrip(b"\n").partition(b"\t")
        if tab and checksum != f"{crc32(written):08x}".encode():
            return None
        row = read_json(written)
        values = row.get("generation") or row["failure"]
        if "failure" in row:
            values = {**values, "failure": values["reason"]}
        place = row["place"]
        return (place, response_of(values)) if type(place) is int and place >= 0 else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
