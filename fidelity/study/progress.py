"""Progress of a study and of its current run."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from fidelity.runs.listener import Listener
from fidelity.store.studies import RunState, StudyState, in_words

EVERY = 1.0
"""Seconds between two written states."""


class StudyProgress:
    """Prefixes each progress line with the number of finished runs and the estimated time left.

    A prompt is weighted by its model's bytes, since decoding reads all weights for every token.
    """

    def __init__(
        self,
        listener: Listener,
        work: Sequence[tuple[str, int, float]],
        write: Callable[[StudyState], None] = lambda _: None,
    ) -> None:
        """Start with the runs to do: name, number of prompts, and weight of a prompt. `write` gets the states."""
        self._listener, self._write = listener, write
        self._family, self._states, self._written = "", dict[tuple[str, str], RunState](), 0.0
        self._weight = {name: weight for name, _, weight in work}
        self._total = sum(prompts * weight for _, prompts, weight in work)
        self._runs, self._began = len(work), time.monotonic()
        self._before: dict[str, int] = {}
        self._now: dict[str, int] = {}

    def say(self, text: str) -> None:
        self._listener.say(text)

    def progress(self, run: str, done: int, total: int, tokens: int, seconds: float) -> None:
        if run in self._weight:
            self._before.setdefault(
                run, done
            )  # prompts that an earlier command finished don't count toward the speed of this one
            self._now[run] = done
        finished = min(self._runs, sum(1 for name, prompts in self._now.items() if name != run or prompts >= total))
        seconds_left = self._seconds_left()
        left = "" if seconds_left is None else f", about {in_words(seconds_left)} left in all"
        head = f"{finished} of {self._runs} runs done{left}" if self._runs else ""
        self._listener.progress(f"{head} · {run}" if head else run, done, total, tokens, seconds)
        self._states[self._family, run] = RunState(family=self._family, name=run, done=done, total=total)
        self._keep(finished, seconds_left, now=done >= total)

    def begin(self, family: str) -> None:
        """Note the family that the next runs belong to; "" ends the study."""
        self._family = family
        done = sum(state.done >= state.total for state in self._states.values())
        self._keep(min(self._runs, done), None, now=True)

    def _keep(self, finished: int, seconds_left: float | None, *, now: bool) -> None:
        if not now and time.monotonic() - self._written < EVERY:
            return
        self._written = time.monotonic()
        self._write(
            StudyState(
                updated=datetime.now(UTC).isoformat(timespec="seconds"),
                family=self._family,
                runs=tuple(self._states.values()),
                finished=finished,
                total=self._runs,
                seconds_left=seconds_left,
            )
        )

    def _seconds_left(self) -> float | None:
        weight = self._weight.get
        fresh = sum((done - self._before[run]) * weight(run, 0.0) for run, done in self._now.items())
        before = sum(self._before[run] * weight(run, 0.0) for run in self._now)
        left = self._total - before - fresh
        if fresh <= 0 or left <= 0:
            return None
        return (time.monotonic() - self._began) / fresh * left
