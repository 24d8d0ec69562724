"""What a study will take, from what this store has measured: the time of runs and of all engines together."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from fidelity.errors import FidelityError
from fidelity.store.runs import Run
from fidelity.store.store import Store

START = ("import", "load", "compile", "warm-up")
"""The phases of an engine before its first answer."""
SCORING = 1.0
"""Seconds of scoring the baseline's tokens per second of generating them: 5.9 s for 128,000 tokens on an H100 with a
model of Llama-3.1-8B's shape, and 6.7 s to generate them."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast this store's runs were."""

    bytes_per_second: float | None = None
    """Bytes of weights times tokens per second, the median: decoding reads all weights for every step. None if
    nothing was measured."""
    start: float = 0.0
    """Seconds until an engine answers, the median; 0 if unknown."""

    def seconds(self, tokens: int, weights: int) -> float | None:
        """The time to generate so many tokens with so many bytes of weights; None if nothing was measured."""
        return tokens * weights / self.bytes_per_second if self.bytes_per_second else None


def pace_of(store: Store) -> Pace:
    """The pace of the measured runs."""
    speeds: list[float] = []
    starts: list[float] = []
    for run in store.runs():
        try:
            _measure(run, speeds, starts)
        except FidelityError:
            continue
    return Pace(median(speeds) if speeds else None, median(starts) if starts else 0.0)


def _measure(run: Run, speeds: list[float], starts: list[float]) -> None:
    measured, size = run.measurement, run.manifest.checkpoint.bytes
    if measured and size and measured.seconds and measured.tokens:
        speeds.append(size * measured.tokens / measured.seconds)
    if measured and measured.profile and not run.manifest.control_of:  # a control finds its engine open
        starts.append(sum(measured.profile.get(phase, 0.0) for phase in START))


def makespan(engines: Iterable[tuple[int, float]], places: int) -> float:
    """Seconds until all engines have ended.

    Args:
        engines: GPUs and seconds of each.
        places: The number of GPUs. Engines begin in the pool's order: most GPUs, then longest, and none overtakes.
    """
    free = [0.0] * places
    ends = [0.0]
    for gpus, seconds in sorted(engines, reverse=True):
        needed = min(gpus, places)
        free.sort()
        begins = free[needed - 1]
        free[:needed] = [begins + seconds] * needed
        ends.append(begins + seconds)
    return max(ends)
