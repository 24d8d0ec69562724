"""Scoring on several cores. Each chunk of pairs goes to one of the processes, and its columns come back in order.

Metrics are pure, so the number of processes, and who scores which chunk, change no number.
"""

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from typing import TypeAlias

from fidelity.comparison.batches import MetricJob, PairChunk, Scored, Work
from fidelity.comparison.cluster import scored_on_cluster
from fidelity.errors import FidelityError
from fidelity.metrics.base import EncoderMetric

WORTH_SECONDS = 20.0
"""The time that is left to one process from which on others help: each takes a second or two to start."""
DEATHS = 3
"""As often a chunk is scored again after the death of a process."""
Workers: TypeAlias = int | str
"""Who scores: so many processes of this machine, or the Ray cluster at an address."""


def available_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def score_jobs(jobs: Iterable[MetricJob], *, workers: Workers) -> None:
    """Score what isn't scored yet, and store it.

    Raises:
        FidelityError: The processes died again and again, or there is no cluster.
    """
    due = [job for job in jobs if job.batches]
    movable = [job for job in due if _can_move(job)]
    for job in due:
        if job not in movable:
            work = Work([job])
            work.store(chunk.score() for chunk in work.whole())
    work = Work(movable)
    work.store(_scored(work, workers))


def _can_move(job: MetricJob) -> bool:
    """Whether other processes can score it: not with an opened encoder, and not with a class of a notebook."""
    try:
        return not isinstance(job.metric, EncoderMetric) and bool(pickle.dumps(job.metric))
    except (pickle.PicklingError, AttributeError, TypeError):
        return False


def _scored(work: Work, workers: Workers) -> Iterator[Scored]:
    """The columns of each chunk; from other processes as soon as that is worth their start."""
    chunks, done, start = work.chunks(), 0, time.monotonic()
    for chunk in chunks:
        yield chunk.score()
        done += max(map(len, chunk.tables))
        left = (time.monotonic() - start) / done * (work.places - done)
        if workers != 1 and left > WORTH_SECONDS:
            if isinstance(workers, str):
                yield from scored_on_cluster(chunks, workers)
            else:
                yield from scored_by_processes(chunks, workers)


def scored_by_processes(chunks: Iterator[PairChunk], workers: int) -> Iterator[Scored]:
    """The columns of each chunk, in order. Twice as many chunks as processes are in memory.

    Raises:
        FidelityError: Processes died while no chunk was finished.
    """
    window = deque[PairChunk]()
    deaths = 0
    while deaths < DEATHS:
        try:
            with _pool(workers) as pool:
                futures = deque(pool.submit(chunk.score) for chunk in window)
                while True:
                    for chunk in islice(chunks, 2 * workers - len(window)):
                        window.append(chunk)
                        futures.append(pool.submit(chunk.score))
                    if not window:
                        return
                    scored = futures.popleft().result()
                    window.popleft()
                    deaths = 0
                    yield scored
        except BrokenProcessPool:
            deaths += 1
    pair = next(pair for table in window[0].tables for pair in table)
    raise FidelityError(
        f"scoring: processes were killed {DEATHS} times, at prompt {pair.prompt.id!r} or soon after it; if the machine "
        f"is out of memory, use fewer --workers"
    )


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with this one, however it ends, and leave Ctrl-C to it."""
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_begin)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
