"""One engine for all jobs of a configuration, opened when it is first needed."""

from contextlib import ExitStack
from pathlib import Path

from fidelity.config import RunConfig
from fidelity.engines import Engine, open_engine
from fidelity.runs.jobs import Job
from fidelity.runs.listener import Listener, RunProgress


class SharedEngine:
    """Opens a job's engine when it is first needed. Jobs with the same config share it."""

    def __init__(self, stack: ExitStack, listener: Listener, *, keep_failures: bool = False) -> None:
        self.listener = listener
        self.keep_failures = keep_failures
        self.progress = RunProgress(listener)
        self._stack = stack
        self._opened: tuple[RunConfig, Engine] | None = None

    def of(self, job: Job, log: Path) -> Engine:
        """The job's engine; what it prints is appended to `log`.

        Raises:
            EngineError: It can't be opened.
        """
        if self._opened is None or self._opened[0] is not job.config:
            self.close()
            self.listener.say(f"{job.name}: opening {job.config.engine.kind} ...")
            opening = open_engine(
                job.config, log=log, on_progress=self.progress.on_progress, keep_failures=self.keep_failures
            )
            self._opened = job.config, self._stack.enter_context(opening)
        return self._opened[1]

    def close(self) -> None:
        """Close the open engine."""
        self._opened = None
        self._stack.close()
