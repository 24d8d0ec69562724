"""Cached reads for the pages. An entry is valid as long as its manifest is unchanged."""

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import TimeoutError
from functools import partial
from pathlib import Path
from typing import TypeVar

import pandas as pd
import streamlit as st

from fidelity.dashboard import GATE, STORE
from fidelity.dashboard.background import ahead, columns_worker, worker
from fidelity.dashboard.catalog import CatalogEntry, Shelf, attempt, mark_of, read_shelf, stamp_of
from fidelity.dashboard.pair_table import (
    KEYS,
    OpenPair,
    answers_of,
    containing,
    find_pair,
    read_columns,
    read_keys,
    read_pair,
)
from fidelity.dashboard.summaries import MOST_RESAMPLED, ColumnSummary, drafted_gate, rows_of, verdict_on
from fidelity.gate import Gate, Verdict, load_gate
from fidelity.report import shown_in_table
from fidelity.store.reviews import FOLDER, KEY_BYTES, Review, latest, order_key, read_reviews, review_files
from fidelity.store.runs import Run
from fidelity.text.conflicts import Conflict, compare_texts

DEMO = "demo-recordings"
"""A store inside the store with the demo's recordings. It is shown only while the store is empty."""
MOST_CHECKED = 24
"""Comparisons with answers that are hashed before they are opened."""
METRICS_FIRST = 2
"""Metrics that are computed ahead before anything else is."""
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
    by_path: dict[Path, dict[str, ColumnSummary] | str] = {}
    for paths, key in _asked(shelf, ids, names, lows=lows):
        by_path |= ahead().now(key, partial(rows_of, paths, names, lows=lows))
    return {id_: by_path[path_of(shelf, id_)] for id_ in ids}


def computed_once(shelf: Shelf, ids: Sequence[str], what: str, work: Callable[[list[Path]], T]) -> T:
    """The result of `work` on these comparisons, cached until they change."""
    paths = [path_of(shelf, id_) for id_ in ids]
    return ahead().now(_key(paths, what), lambda: work(paths))


def read_ahead(shelf: Shelf, ids: Sequence[str], names: Sequence[str], *, after: float = 0.0) -> None:
    """Compute in the background what pages will need next, one thing every `after` seconds.

    Two other metrics come first: what a pair needs takes a second of processor time, and nobody opens one so early.
    """
    for number, name in enumerate(names):
        if number == METRICS_FIRST:
            _prepare_pairs(shelf, ids, after=after)
        for paths, key in _asked(shelf, ids, [name], lows=False):
            ahead().later(after, key, partial(rows_of, paths, [name], lows=False))
    if len(names) <= METRICS_FIRST:
        _prepare_pairs(shelf, ids, after=after)


def _prepare_pairs(shelf: Shelf, ids: Sequence[str], *, after: float) -> None:
    ahead().later(after, "texts", partial(compare_texts, "Not 1 of these.", "All of those."))
    for id_ in ids[:MOST_CHECKED]:
        if entry := shelf.entry(id_):
            for run in (entry.baseline_id, entry.candidate_id):
                ahead().later(0.0, f"answers {run}", partial(_check_answers, shelf.root / "runs" / run))


def _check_answers(run: Path) -> None:
    """Hash a run's answers, which is done once per process before they are read."""
    attempt(lambda: Run(run).read(["repeat"]))


def _asked(shelf: Shelf, ids: Sequence[str], names: Sequence[str], *, lows: bool) -> Iterator[tuple[list[Path], str]]:
    """The comparisons that are summed together, and the key that their numbers are cached under.

    Small ones share their resamples. A large one is on its own, so that every page can use its numbers.
    """
    entries = {id_: shelf.entry(id_) for id_ in ids}
    large = [id_ for id_, entry in entries.items() if entry and entry.prompts > MOST_RESAMPLED]
    small = [id_ for id_ in entries if id_ not in large]
    for together in ([small] if small else []) + [[id_] for id_ in large]:
        paths = [path_of(shelf, id_) for id_ in together]
        yield paths, _key(paths, lows, *names)


def _key(paths: Sequence[Path], *what: object) -> str:
    return repr([*what, *((str(path), _mark(path)) for path in paths)])


def pairs(shelf: Shelf, id_: str, names: Sequence[str]) -> tuple[pd.DataFrame | None, str]:
    """See `pair_table.read_columns`, or why it can't be read. The table is shared: copy it before changing it."""
    path = path_of(shelf, id_)
    if not names:
        return attempt(lambda: _pair_keys(str(path), _mark(path)))
    return attempt(lambda: _pairs(str(path), _mark(path), tuple(sorted(set(names)))))


@st.cache_resource(max_entries=4, show_spinner="Reading the pairs ...")
def _pairs(path: str, mark: int, names: tuple[str, ...]) -> pd.DataFrame:
    return read_columns(Path(path), names, keys=_pair_keys(path, mark))


@st.cache_resource(max_entries=4, show_spinner=False)
def _pair_keys(path: str, mark: int) -> pd.DataFrame:
    return read_keys(Path(path))


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


@st.cache_resource(max_entries=8, show_spinner="Searching ...")
def matches(path: str, mark: int, words: str, is_regex: bool, _pairs: pd.DataFrame) -> tuple[pd.Series | None, str]:
    """See `pair_table.containing`, or why it can't be searched."""
    return attempt(lambda: containing(Path(path), _pairs, words, is_regex=is_regex))


def prompts(run: Path, rows: Sequence[int]) -> tuple[list[str] | None, str]:
    """See `Run.prompt_texts`, or why they can't be read."""
    return attempt(lambda: _prompts(str(run), _mark(run), tuple(rows)))


@st.cache_resource(max_entries=4, show_spinner=False)
def _prompts(path: str, mark: int, rows: tuple[int, ...]) -> list[str]:
    return Run(Path(path)).prompt_texts(rows)


@st.cache_resource(max_entries=200, show_spinner=False)
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


@st.cache_resource(max_entries=8, show_spinner=False)
def blind_key(root: Path) -> bytes:
    """See `reviews.order_key`; another one for this process where the store can't be written."""
    key, _ = attempt(lambda: order_key(root))
    return key or secrets.token_bytes(KEY_BYTES)


def answers_in_one_unit(runs: Sequence[Run]) -> tuple[list[pd.DataFrame], str]:
    """See `pair_table.answers_of`, and the unit of length that all have: tokens, or else characters."""
    in_tokens = [answers(run) for run in runs]
    if all(own["tokens"].notna().all() for own in in_tokens):
        return in_tokens, "tokens"
    return [answers(run, characters=True) for run in runs], "characters"


def answers(run: Run, *, characters: bool = False) -> pd.DataFrame:
    """See `pair_table.answers_of`."""
    return _answers(str(run.path), _mark(run.path), characters)


@st.cache_resource(max_entries=8, show_spinner=False)
def _answers(path: str, mark: int, characters: bool) -> pd.DataFrame:
    return answers_of(Run(Path(path)), characters=characters)


@st.cache_resource(max_entries=50, show_spinner="Drafting a gate ...")
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
    finding = worker().ask(_key([comparison], what), work)
    try:
        return finding.result(timeout=AT_ONCE)
    except TimeoutError:
        return None


def finished_computations() -> int:
    """A counter that increases with every finished computation."""
    return worker().finished + columns_worker().finished


def rows_so_far(
    shelf: Shelf, entry: CatalogEntry, *, first: Sequence[str]
) -> tuple[dict[str, ColumnSummary] | str, int]:
    """All columns of a comparison, and how many are still being computed. The `first` ones are always there.

    With many pairs the others, and the chance levels of the first, are computed in the background, one after another.
    """
    if entry.prompts <= MOST_RESAMPLED:
        return rows(shelf, [entry.id], entry.columns)[entry.id], 0
    first_rows = rows(shelf, [entry.id], [name for name in first if name in entry.columns], lows=False)[entry.id]
    if isinstance(first_rows, str):
        return first_rows, 0
    path, known = path_of(shelf, entry.id), dict(first_rows)
    futures = {
        name: columns_worker().ask(_key([path], name), partial(_one_row, path, name))
        for name in dict.fromkeys([*first_rows, *entry.columns])
    }
    for future in futures.values():
        if future.done():
            known |= future.result()
    in_order = {name: known[name] for name in entry.columns if name in known}
    return in_order, sum(not future.done() for future in futures.values())


def _one_row(path: Path, name: str) -> dict[str, ColumnSummary]:
    row = rows_of([path], [name])[path]
    return row if isinstance(row, dict) else {}


def metrics_in(shelf: Shelf) -> list[str]:
    """The columns of all comparisons that a table shows, the most frequent first."""
    counts: dict[str, int] = {}
    for entry in shelf.readable:
        for name in filter(shown_in_table, entry.columns):
            counts[name] = counts.get(name, 0) + 1
    return sorted(counts, key=lambda name: -counts[name])


def _mark(path: Path) -> int:
    return mark_of(path / "manifest.json")
