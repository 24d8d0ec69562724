"""An engine's log: what a child process and its libraries print, without the secrets that they were given."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fidelity.outside.paths import open_own
from fidelity.outside.secrets import Secrets

LONGEST_LINE = 1 << 20
"""Bytes after which a line is written though it goes on."""


@contextmanager
def log_stream(log: Path, secrets: Secrets) -> Iterator[IO[bytes]]:
    """Where a child process writes: the end of the log itself, or a pipe to it if there is anything to hide.

    To be closed here once the child is started; a thread copies what comes until the last process with it ends.
    """
    with open_own(log, append=True) as file:
        if not secrets:
            yield file
            return
    reading, writing = os.pipe()
    threading.Thread(target=_copy, args=(reading, log, secrets), daemon=True).start()
    with os.fdopen(writing, "wb", buffering=0) as pipe:
        yield pipe


def _copy(reading: int, log: Path, secrets: Secrets) -> None:
    with os.fdopen(reading, "rb", buffering=0) as pipe, open_own(log, append=True) as file:
        waiting = b""
        while block := pipe.read(1 << 16):
            whole, newline, waiting = (waiting + block).rpartition(b"\n")
            if newline:
                file.write(secrets.hide_in(whole) + newline)
            if len(waiting) > LONGEST_LINE:
                file.write(secrets.hide_in(waiting))
                waiting = b""
        file.write(secrets.hide_in(waiting))
