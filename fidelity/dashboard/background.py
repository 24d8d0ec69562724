"""Threads for slow computations, and their results."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from queue import SimpleQueue
from typing import Any, TypeVar

import streamlit as st

MOST_RESULTS = 2_000
"""Results that a thread remembers."""
LONGEST_WAIT = 10.0
"""Seconds that a computation waits for pages at most."""
T = TypeVar("T")


class _Pages:
    """How many pages are being drawn."""

    def __init__(self) -> None:
        self._changed, self._drawn = threading.Condition(), 0

    @contextmanager
    def drawing(self) -> Iterator[None]:
        with self._changed:
            self._drawn += 1
        try:
            yield
        finally:
            with self._changed:
                self._drawn -= 1
                self._changed.notify_all()

    def wait(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._drawn, timeout=LONGEST_WAIT)


_PAGES = _Pages()


def drawing() -> AbstractContextManager[None]:
    """While a page is drawn in this context, workers that wait for pages begin nothing, which would slow it down."""
    return _PAGES.drawing()


class Worker:
    """One thread for slow computations, so neither pages nor Ctrl-C wait for them."""

    def __init__(self, *, waits_for_pages: bool = False) -> None:
        self._waits_for_pages = waits_for_pages
        self._lock, self._asked = threading.Lock(), dict[str, Future[Any]]()
        self._queue: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.finished = 0
        # When the dashboard ends, Python would wait for a pool's threads and everything in their queue.
        threading.Thread(target=self._work, name="worker", daemon=True).start()

    def _work(self) -> None:
        while True:
            work = self._queue.get()
            if self._waits_for_pages:
                _PAGES.wait()
            work()

    def ask(self, key: str, work: Callable[[], T]) -> "Future[T]":
        """The running or finished computation of this key."""
        with self._lock:
            if key not in self._asked:
                future = self._remember(key)
                self._queue.put(lambda: _fulfil(future, work) if future.set_running_or_notify_cancel() else None)
            return self._asked[key]

    def later(self, seconds: float, key: str, work: Callable[[], Any]) -> None:
        """Run it in its turn and after the delay, unless `now` has run it before."""

        def wait_and_do() -> None:
            if key not in self._asked:
                time.sleep(seconds)
                self._done(key, work)

        if key not in self._asked:
            self._queue.put(wait_and_do)

    def now(self, key: str, work: Callable[[], T]) -> T:
        """The running or finished computation of this key; one that is still waiting is run now."""
        return self._done(key, work).result()

    def _done(self, key: str, work: Callable[[], T]) -> "Future[T]":
        with self._lock:
            done: Future[T] | None = self._asked.get(key)
            mine = done is None or done.cancel()
            if mine or done is None:
                done = self._remember(key)
                done.set_running_or_notify_cancel()
        if mine:
            _fulfil(done, work)
        return done

    def _remember(self, key: str) -> "Future[Any]":
        while len(self._asked) > MOST_RESULTS:
            self._asked.pop(next(iter(self._asked)))
        future = self._asked[key] = Future()
        future.add_done_callback(self._count)
        return future

    def _count(self, _: "Future[Any]") -> None:
        self.finished += 1


def _fulfil(future: "Future[T]", work: Callable[[], T]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)


@st.cache_resource(show_spinner=False)
def worker() -> Worker:
    """The thread for what pages ask for."""
    return Worker()


@st.cache_resource(show_spinner=False)
def columns_worker() -> Worker:
    """The thread for the columns of a page that is shown without them so far."""
    return Worker(waits_for_pages=True)


@st.cache_resource(show_spinner=False)
def ahead() -> Worker:
    """The thread for what pages will ask for."""
    return Worker(waits_for_pages=True)
