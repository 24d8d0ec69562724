"""Progress of a study and of its current run."""

import threading
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
        self._totals: dict[str, int] = {}
        self._engines: dict[str, tuple[str, str]] = {}
        self._lock = threading.RLock()

    def of(self, family: str, engine: str) -> Listener:
        """The listener of one engine, if several run at once: its reports name it and what the others do."""
        return _EngineProgress(self, family, engine)

    def say(self, text: str) -> None:
        with self._lock:
            self._listener.say(text)

    def progress(self, run: str, done: int, total: int, tokens: int, seconds: float) -> None:
        with self._lock:
            self._report(self._family, "", run, done, total, tokens, seconds)

    def of_engine(self, family: str, engine: str, run: str, done: int, total: int, tokens: int, seconds: float) -> None:
        """Report an engine's progress with a run of a family."""
        with self._lock:
            others = {name: what for name, what in self._engines.items() if name != engine and what[0] != run}
            self._engines = others if done >= total else {**others, engine: (run, f"{run} {done} of {total}")}
            self._report(family, engine, run, done, total, tokens, seconds)

    def _report(self, family: str, engine: str, run: str, done: int, total: int, tokens: int, seconds: float) -> None:
        if run in self._weight:
            # prompts that an earlier command finished don't count toward the speed of this one
            self._before.setdefault(run, done)
            self._now[run], self._totals[run] = done, total
        finished = min(self._runs, sum(count >= self._totals[name] for name, count in self._now.items()))
        seconds_left = self._seconds_left()
        left = "" if seconds_left is None else f", about {in_words(seconds_left)} left in all"
        others = [f"{name}: {what}" for name, (_, what) in sorted(self._engines.items()) if name != engine]
        head = [f"{finished} of {self._runs} runs done{left}"] if self._runs else []
        own = f"{engine}: {run}" if engine else run
        self._listener.progress(" · ".join([*head, *others, own]), done, total, tokens, seconds)
        self._states[family, run] = RunState(family=family, name=run, done=done, total=total)
        self._keep(finished, seconds_left, now=done >= total, family=family)

    def begin(self, family: str) -> None:
        """Note the family that the next runs belong to; "" ends the study."""
        with self._lock:
            self._family = family
            done = sum(state.done >= state.total for state in self._states.values())
            self._keep(min(self._runs, done), None, now=True, family=family)

    def _keep(self, finished: int, seconds_left: float | None, *, now: bool, family: str) -> None:
        if not now and time.monotonic() - self._written < EVERY:
            return
        self._written = time.monotonic()
        self._write(
            StudyState(
                updated=datetime.now(UTC).isoformat(timespec="seconds"),
                family=family,
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


class _EngineProgress:
    """The listener of one engine among several."""

    def __init__(self, whole: StudyProgress, family: str, engine: str) -> None:
        self._whole, self._family, self._engine = whole, family, engine

    def say(self, text: str) -> None:
        self._whole.say(f"{self._engine}: {text}")

    def progress(self, run: str, done: int, total: int, tokens: int, seconds: float) -> None:
        self._whole.of_engine(self._family, self._engine, run, done, total, tokens, seconds)
