"""Messages and progress of generating, for the command line, a log or a test."""

import time
from typing import Protocol

from fidelity.engines import Progress
from fidelity.store.measurements import ChunkTime


class Listener(Protocol):
    """Receives messages and progress. The command line prints them."""

    def say(self, text: str) -> None:
        """Report one message."""
        ...

    def progress(self, run: str, done: int, total: int, tokens: int, seconds: float) -> None:
        """Report a run's progress: answers done of total, and tokens and seconds since this command started on it."""
        ...


class RunProgress:
    """Converts an engine's progress within a chunk to the progress of the whole run."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def start(self, run: str, *, done: int, total: int) -> None:
        """Begin with a run, of which `done` answers are there already."""
        self._run, self._done, self._total, self._tokens, self._seconds = run, done, total, 0, 0.0
        self.reports: list[ChunkTime] = []
        """The engine's reports since the start, about one per second."""
        self._listener.progress(run, done, total, 0, 0.0)
        self._since = time.monotonic()

    def on_progress(self, progress: Progress) -> None:
        """Receive an engine's report within a chunk."""
        if progress.note:
            self._listener.say(f"{self._run}: {progress.note}")
        seconds = time.monotonic() - self._since
        done, tokens = self._done + progress.prompts, self._tokens + progress.tokens
        self.reports.append(ChunkTime(prompts=progress.prompts, tokens=progress.tokens, seconds=seconds))
        self._listener.progress(self._run, done, self._total, tokens, seconds)

    def resumed(self, prompts: int) -> None:
        """Count the answers of a chunk that are already on disk."""
        self._done += prompts
        self._listener.progress(self._run, self._done, self._total, self._tokens, self._seconds)

    def chunk_finished(self, prompts: int, tokens: int) -> None:
        """Count a chunk's answers."""
        self._done += prompts
        self._tokens += tokens
        self._seconds = time.monotonic() - self._since
        self._listener.progress(self._run, self._done, self._total, self._tokens, self._seconds)
