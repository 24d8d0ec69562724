"""Cached reads for the pages. An entry is valid as long as its manifest is unchanged."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, TimeoutError
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

import pandas as pd
import streamlit as st

from fidelity.dashboard import GATE, STORE
from fidelity.dashboard.catalog import CatalogEntry, Shelf, attempt, mark_of, read_shelf, stamp_of
from fidelity.dashboard.pair_table import (
    KEYS,
    OpenPair,
    answers_of,
    containing,
    find_pair,
    read_columns,
    read_pair,
)
from fidelity.dashboard.summaries import MOST_RESAMPLED, ColumnSummary, drafted_gate, rows_of, verdict_on
from fidelity.gate import Gate, Verdict, load_gate
from fidelity.report import shown_in_table
from fidelity.store.reviews import FOLDER, Review, latest, read_reviews, review_files
from fidelity.store.runs import Run
from fidelity.text.conflicts import Conflict, compare_texts

DEMO = "demo-recordings"
"""A store inside the store with the demo's recordings. It is shown only while the store is empty."""
AT_ONCE = 0.25
"""Seconds that a page waits for a result, such as a verdict, before it shows a placeholder."""
T = TypeVar("T")


def store_root() -> Path:
    """The configured store, which need not exist."""
    return Path(os.environ.get(STORE) or "fidelity-store").resolve()


def shelf() -> Shelf:
    """The store, or the demo's recordings while it has no comparison."""
    root = store_root()
    opened = _shelf(str(root), stamp_of(root))
    demo = root / DEMO
    if not opened.entries and not opened.studies and demo.is_dir():
        return _shelf(str(demo), stamp_of(demo))
    return opened


@st.cache_resource(max_entries=2, show_spinner=False)
def _shelf(root: str, stamp: str) -> Shelf:
    return read_shelf(Path(root))


def path_of(shelf: Shelf, id_: str) -> Path:
    return shelf.root / "comparisons" / id_


def rows(
    shelf: Shelf, ids: Sequence[str], names: Sequence[str], *, lows: bool = True
) -> dict[str, dict[str, ColumnSummary] | str]:
    """See `summaries.rows_of`; by the comparison's id."""
    paths, key = _asked(shelf, ids, names, lows=lows)
    by_path = _ahead().now(key, lambda: rows_of(paths, names, lows=lows))
    return {id_: by_path[path] for id_, path in zip(ids, paths, strict=True)}


def computed_once(shelf: Shelf, ids: Sequence[str], what: str, work: Callable[[list[Path]], T]) -> T:
    """The result of `work` on these comparisons, cached until they change."""
    paths, key = _asked(shelf, ids, [what], lows=False)
    return _ahead().now(key, lambda: work(paths))


def read_ahead(shelf: Shelf, ids: Sequence[str], names: Sequence[str], *, after: float = 0.0) -> None:
    """Compute in the background what `rows` will need next, one column every `after` seconds."""
    for name in names:
        paths, key = _asked(shelf, ids, [name], lows=False)
        _ahead().later(after, key, partial(rows_of, paths, [name], lows=False))


def _asked(shelf: Shelf, ids: Sequence[str], names: Sequence[str], *, lows: bool) -> tuple[list[Path], str]:
    """The comparisons, and the key that their numbers are cached under."""
    paths = [path_of(shelf, id_) for id_ in ids]
    return paths, repr([lows, *names, *((str(path), _mark(path)) for path in paths)])


def pairs(shelf: Shelf, id_: str, names: Sequence[str]) -> tuple[pd.DataFrame | None, str]:
    """See `pair_table.read_columns`, or why it can't be read. The table is shared: copy it before changing it."""
    path = path_of(shelf, id_)
    return attempt(lambda: _pairs(str(path), _mark(path), tuple(sorted(set(names)))))


@st.cache_resource(max_entries=4, show_spinner="Reading the pairs ...")
def _pairs(path: str, mark: int, names: tuple[str, ...]) -> pd.DataFrame:
    return read_columns(Path(path), names)


def open_pair(comparison: Path, row: pd.Series) -> tuple[OpenPair | None, str]:
    """See `pair_table.read_pair`, or why it can't be read."""
    return attempt(lambda: _open_pair(str(comparison), _mark(comparison), tuple(row[KEYS]), row))


@st.cache_resource(max_entries=8, show_spinner=False)
def _open_pair(comparison: str, mark: int, key: tuple[str, int], _row: pd.Series) -> OpenPair:
    return read_pair(Path(comparison), _row)


def pair_of(shelf: Shelf, id_: str, prompt_id: str, repeat: int) -> tuple[OpenPair | None, str]:
    """See `pair_table.find_pair`, or why it can't be read."""
    path = path_of(shelf, id_)
    return attempt(lambda: _pair_of(str(path), _mark(path), prompt_id, repeat))


@st.cache_resource(max_entries=64, show_spinner=False)
def _pair_of(path: str, mark: int, prompt_id: str, repeat: int) -> OpenPair | None:
    return find_pair(Path(path), prompt_id, repeat)


@st.cache_data(max_entries=8, show_spinner="Searching ...")
def matches(path: str, mark: int, words: str, is_regex: bool, _pairs: pd.DataFrame) -> tuple[pd.Series | None, str]:
    """See `pair_table.containing`, or why it can't be searched."""
    return attempt(lambda: containing(Path(path), _pairs, words, is_regex=is_regex))


@st.cache_resource(max_entries=4, show_spinner=False)
def prompts(path: str, mark: int) -> list[str]:
    """See `Run.prompt_texts`."""
    return Run(Path(path)).prompt_texts()


@st.cache_data(max_entries=200, show_spinner=False)
def conflicts(baseline: str, candidate: str) -> tuple[Conflict, ...]:
    """The conflicts of two texts."""
    return compare_texts(baseline, candidate).conflicts


def reviews(shelf: Shelf, id_: str) -> tuple[Review, ...]:
    """The newest vote of each reviewer on each pair of a comparison."""
    folder = shelf.root / FOLDER / id_
    return _reviews(str(shelf.root), id_, mark_of(folder), len(review_files(folder)))


@st.cache_resource(max_entries=8, show_spinner=False)
def _reviews(root: str, id_: str, mark: int, files: int) -> tuple[Review, ...]:
    return tuple(latest(read_reviews(Path(root), id_)[0]))


def answers(run: Run) -> pd.DataFrame:
    """See `pair_table.answers_of`."""
    return _answers(str(run.path), mark_of(run.path / "manifest.json"))


@st.cache_resource(max_entries=8, show_spinner=False)
def _answers(path: str, mark: int) -> pd.DataFrame:
    return answers_of(Run(Path(path)))


@st.cache_data(max_entries=50, show_spinner="Drafting a gate ...")
def drafted(path: str, mark: int, names: tuple[str, ...]) -> tuple[str | None, str]:
    """See `summaries.drafted_gate`, or why there is none."""
    return attempt(lambda: drafted_gate(Path(path), names))


def given_gate() -> tuple[Gate | None, str]:
    """The gate that the dashboard was started with, or None, and why it can't be read."""
    path = os.environ.get(GATE)
    return attempt(lambda: load_gate(Path(path))) if path else (None, "")


def verdict(shelf: Shelf, id_: str, gate: Gate, *, candidates: int = 1) -> Verdict | str | None:
    """The verdict, why there is none, or None while it is being computed (seconds for many pairs).

    See `verdicts` for `candidates`.
    """
    path = path_of(shelf, id_)
    what = f"{candidates} {gate.model_dump_json()}"
    judged = computed_in_background(what, path, lambda: attempt(lambda: verdict_on(path, gate, candidates=candidates)))
    return judged and (judged[1] or judged[0])


def computed_in_background(what: str, comparison: Path, work: Callable[[], T]) -> T | None:
    """The result of `work` on a comparison, cached until it changes; None while it is being computed."""
    finding = _worker().ask(f"{comparison}|{_mark(comparison)}|{what}", work)
    try:
        return finding.result(timeout=AT_ONCE)
    except TimeoutError:
        return None


def finished_computations() -> int:
    """A counter that increases with every finished computation."""
    return _worker().finished


def rows_so_far(
    shelf: Shelf, entry: CatalogEntry, *, first: Sequence[str]
) -> tuple[dict[str, ColumnSummary] | str, int]:
    """All columns of a comparison, and how many are still being computed. The `first` ones are always complete.

    With many pairs the others are computed in the background, one after another.
    """
    if entry.prompts <= MOST_RESAMPLED:
        return rows(shelf, [entry.id], entry.columns)[entry.id], 0
    first_rows = rows(shelf, [entry.id], [name for name in first if name in entry.columns])[entry.id]
    if isinstance(first_rows, str):
        return first_rows, 0
    path, known = path_of(shelf, entry.id), dict(first_rows)
    asked = [name for name in entry.columns if name not in known and name not in first]
    futures = {n: _worker().ask(f"{path}|{_mark(path)}|{n}", partial(_one_row, path, n)) for n in asked}
    for future in futures.values():
        if future.done():
            known |= future.result()
    in_order = {name: known[name] for name in entry.columns if name in known}
    return in_order, sum(not future.done() for future in futures.values())


def _one_row(path: Path, name: str) -> dict[str, ColumnSummary]:
    row = rows_of([path], [name])[path]
    return row if isinstance(row, dict) else {}


class _Worker:
    """One thread for slow computations, so neither pages nor Ctrl-C wait for them."""

    def __init__(self) -> None:
        self._lock, self._asked = threading.Lock(), dict[str, Future[Any]]()
        self._queue: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.finished = 0
        # When the dashboard ends, Python would wait for a pool's threads and everything in their queue.
        threading.Thread(target=self._work, name="worker", daemon=True).start()

    def _work(self) -> None:
        while True:
            self._queue.get()()

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
        while len(self._asked) > 2_000:
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
def _worker() -> _Worker:
    return _Worker()


@st.cache_resource(show_spinner=False)
def _ahead() -> _Worker:
    return _Worker()


def metrics_in(shelf: Shelf) -> list[str]:
    """The columns of all comparisons that a table shows, the most frequent first."""
    counts: dict[str, int] = {}
    for entry in shelf.readable:
        for name in filter(shown_in_table, entry.columns):
            counts[name] = counts.get(name, 0) + 1
    return sorted(counts, key=lambda name: -counts[name])


def _mark(path: Path) -> int:
    return mark_of(path / "manifest.json")
