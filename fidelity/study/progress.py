"""Progress of a study and of its current run."""

import time
from collections.abc import Sequence

from fidelity.runs.listener import Listener


class StudyProgress:
    """Prefixes each progress line with the number of finished runs and the estimated time left.

    A prompt is weighted by its model's bytes, since decoding reads all weights for every token.
    """

    def __init__(self, listener: Listener, work: Sequence[tuple[str, int, float]]) -> None:
        """Start with the runs to do: name, number of prompts, and weight of a prompt."""
        self._listener = listener
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
        finished = sum(1 for name, prompts in self._now.items() if name != run or prompts >= total)
        head = f"{min(finished, self._runs)} of {self._runs} runs done{self._left()}" if self._runs else ""
        self._listener.progress(f"{head} · {run}" if head else run, done, total, tokens, seconds)

    def _left(self) -> str:
        weight = self._weight.get
        fresh = sum((done - self._before[run]) * weight(run, 0.0) for run, done in self._now.items())
        before = sum(self._before[run] * weight(run, 0.0) for run in self._now)
        left = self._total - before - fresh
        if fresh <= 0 or left <= 0:
            return ""
        return f", about {in_words((time.monotonic() - self._began) / fresh * left)} left in all"


def in_words(seconds: float) -> str:
    """A duration in a suitable unit: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
