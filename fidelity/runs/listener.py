"""Reporting how far generating is: to the command line, a log, or a test."""

import time
from typing import Protocol

from fidelity.engines import Progress
from fidelity.runs.measure import Done


class Listener(Protocol):
    """Who is told how it goes; the command line prints it."""

    def say(self, text: str) -> None:
        """One line that is worth keeping."""
        ...

    def progress(self, run: str, done: int, total: int, tokens: int, seconds: float) -> None:
        """How far a run is: answers done of total, tokens generated and seconds gone since this command took it up."""
        ...


class RunProgress:
    """Turns an engine's progress within a chunk into that of a whole run."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def start(self, run: str, *, done: int, total: int) -> None:
        """Begin with a run, of which `done` answers are there already."""
        self._run, self._done, self._total, self._tokens, self._seconds = run, done, total, 0, 0.0
        self.reports: list[Done] = []
        """What the engine reported since the start, about every second."""
        self._listener.progress(run, done, total, 0, 0.0)
        self._since = time.monotonic()

    def on_progress(self, progress: Progress) -> None:
        """What an engine reports within a chunk."""
        seconds = time.monotonic() - self._since
        done, tokens = self._done + progress.prompts, self._tokens + progress.tokens
        self.reports.append(Done(progress.prompts, progress.tokens, seconds))
        self._listener.progress(self._run, done, self._total, tokens, seconds)

    def resumed(self, prompts: int) -> None:
        """Count the answers of a chunk that were on disk already."""
        self._done += prompts
        self._listener.progress(self._run, self._done, self._total, self._tokens, self._seconds)

    def chunk_finished(self, prompts: int, tokens: int) -> None:
        """Count a chunk's answers."""
        self._done += prompts
        self._tokens += tokens
        self._seconds = time.monotonic() - self._since
        self._listener.progress(self._run, self._done, self._total, self._tokens, self._seconds)
