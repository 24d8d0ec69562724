"""One engine for all jobs of a configuration, opened when it is first needed."""

from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import TypeVar

from fidelity.config import OpenAIEngine, RunConfig
from fidelity.engines import Engine, Opener, open_engine
from fidelity.errors import EngineDied, EngineError
from fidelity.runs.deaths import MOST_DEATHS
from fidelity.runs.jobs import Job
from fidelity.runs.listener import Listener, RunProgress

Result = TypeVar("Result")


class SharedEngine:
    """Opens a job's engine when it is first needed. Jobs with the same config share it."""

    def __init__(
        self,
        stack: ExitStack,
        listener: Listener,
        *,
        keep_failures: bool = False,
        opener: Opener = open_engine,
        replaces_dead: bool = False,
    ) -> None:
        """Start without an engine.

        Args:
            stack: Closes the engine at its end.
            listener: Receives the runs' progress.
            keep_failures: As in `open_engine`.
            opener: Opens the engines.
            replaces_dead: Whether to open another engine if one dies. Else its error ends the run.
        """
        self.listener = listener
        self.keep_failures = keep_failures
        self.progress = RunProgress(listener)
        self.deaths = 0
        """How many engines have died so far."""
        self._opener = opener
        self._replaces_dead = replaces_dead
        self._stack = stack
        self._opened: tuple[RunConfig, Engine] | None = None

    def replaces_dead(self, job: Job) -> bool:
        """Whether another engine is opened if this job's dies. A server that somebody else started can't be."""
        return self._replaces_dead and not isinstance(job.config.engine, OpenAIEngine)

    def of(self, job: Job, log: Path) -> Engine:
        """The job's engine; what it prints is appended to `log`.

        Raises:
            EngineError: It can't be opened.
        """
        if self._opened is None or self._opened[0] is not job.config:
            self.close()
            self._opened = job.config, self._open(job, log)
        return self._opened[1]

    def died(self, job: Job, error: EngineError) -> None:
        """Forget an engine that died; the next call of `of` opens another one."""
        self.deaths += 1
        self.close()
        self.listener.say(f"{job.name}: {first_line(error)}; another engine takes over")

    def retried(self, job: Job, action: Callable[[], Result]) -> Result:
        """The result of something that an engine of this job does; repeated with another engine if one dies.

        Raises:
            EngineError: As many engines died as may, or they aren't replaced.
        """
        for deaths in count(1):
            try:
                return action()
            except EngineError as error:
                if deaths == MOST_DEATHS or not self.replaces_dead(job):
                    raise
                self.died(job, error)
        raise AssertionError("the last attempt returns or raises")

    def close(self) -> None:
        """Close the open engine."""
        self._opened = None
        self._stack.close()

    def _open(self, job: Job, log: Path) -> Engine:
        for start in count(1):
            self.listener.say(f"{job.name}: opening {job.config.engine.kind} ...")
            try:
                return self._stack.enter_context(
                    self._opener(
                        job.config, log=log, on_progress=self.progress.on_progress, keep_failures=self.keep_failures
                    )
                )
            except EngineDied as error:
                if start == MOST_DEATHS or not (error.killed and self.replaces_dead(job)):
                    raise
                self.died(job, error)
        raise AssertionError("the last start returns or raises")


def first_line(error: EngineError) -> str:
    """An engine's error without its log lines and advice."""
    return str(error).partition("\n")[0].removesuffix("; finished answers are saved, run the command again to continue")
