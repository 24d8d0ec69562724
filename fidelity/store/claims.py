"""One command at a time writes a store at a URL: it holds a claim there, an object that only one can create.

Object storage has no locks that end with their process. So a claim shows signs of life, and one without any for
`EXPIRES_S` is superseded by the next number, which again only one command can create.
"""

import json
import os
import platform
import secrets
import time
from collections.abc import Callable

from fidelity.errors import StoreError
from fidelity.outside.documents import read_json
from fidelity.outside.strings import one_line
from fidelity.store.places import UrlPlace

CLAIMS = "claims"
LIFE_SIGN_S = 30.0
"""Seconds between signs of life."""
EXPIRES_S = 150.0
"""Seconds without one, by the clock of the command that waits, until a claim counts as a dead command's."""
LOOK_S = 5.0


class StoreClaim:
    """A claim on the store at a URL."""

    def __init__(self, place: UrlPlace) -> None:
        self._place = place
        self._token = secrets.token_hex(8)
        self._number = 0
        self._signs = 0

    def take(self, on_wait: Callable[[str], None] = lambda holder: None) -> None:
        """Wait until no other command holds the store, then hold it. `on_wait` gets the holder's machine and process.

        Raises:
            StoreError: The place can't be reached, or can't create a file that only one command can create.
        """
        seen, since, reported = b"", time.monotonic(), ""
        while True:
            number, content = self._latest()
            if content != seen:
                seen, since = content, time.monotonic()
            if not number or time.monotonic() - since > EXPIRES_S:
                if self._create(number + 1):
                    self._number = number + 1
                    return
                continue
            if (holder := _holder(content)) != reported:
                on_wait(holder)
                reported = holder
            time.sleep(LOOK_S)

    def show_life(self) -> None:
        """Write a sign of life.

        Raises:
            StoreError: Another command holds the store now, since this one has shown none for too long.
        """
        number, content = self._latest()
        if number != self._number or _token(content) != self._token:
            raise StoreError(f"{self._place}: another command has taken it over ({_holder(content)})")
        self._signs += 1
        with self._place.explained():
            self._place.fs.pipe_file(self._path(self._number), self._content())

    def release(self) -> None:
        """End the claim, and remove those that it has superseded."""
        with self._place.explained():
            numbers = [number for number in self._numbers() if number <= self._number]
            for number in sorted(numbers):  # its own last, so that nobody takes a superseded one for the latest
                self._place.fs.rm_file(self._path(number))

    def _create(self, number: int) -> bool:
        try:
            with self._place.explained():
                self._place.fs.pipe_file(self._path(number), self._content(), mode="create")
        except FileExistsError:
            return False
        return True

    def _latest(self) -> tuple[int, bytes]:
        """The number of the latest claim, 0 if there is none, and its content."""
        numbers = self._numbers()
        if not numbers:
            return 0, b""
        with self._place.explained():
            try:
                return max(numbers), self._place.fs.cat_file(self._path(max(numbers)))
            except FileNotFoundError:  # released meanwhile
                return 0, b""

    def _numbers(self) -> list[int]:
        with self._place.explained():
            try:
                files = self._place.fs.find(self._place.path(CLAIMS))
            except FileNotFoundError:
                return []
        stems = [path.rpartition("/")[2].partition(".")[0] for path in files]
        return [int(stem) for stem in stems if stem.isdecimal()]

    def _path(self, number: int) -> str:
        return self._place.path(CLAIMS, f"{number:06}.json")

    def _content(self) -> bytes:
        host = platform.node()
        return json.dumps({"token": self._token, "host": host, "process": os.getpid(), "signs": self._signs}).encode()


def _holder(content: bytes) -> str:
    data = _claim_data(content)
    return one_line(f"process {data.get('process')} on {data.get('host')}")


def _token(content: bytes) -> str:
    return str(_claim_data(content).get("token"))


def _claim_data(content: bytes) -> dict[str, object]:
    try:
        data = read_json(content)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}
