"""Pairs scored by many metrics: in chunks, which are the unit of work of one process or of several."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeAlias

import numpy as np

from fidelity.comparison.lengths import score_within_limits
from fidelity.errors import StoreError
from fidelity.metrics import EncoderMetric, Metric
from fidelity.records import Column, ColumnNumbers, Pair, Sides
from fidelity.spool import Spool
from fidelity.store.comparisons import Comparison

PAIRS_OF_A_CHUNK = 512
CHARACTERS_OF_A_CHUNK = 1 << 20
"""Of the longer side's texts: long answers come in smaller chunks, so that all chunks take about as long."""
Scored: TypeAlias = list[list[list[Column]]]
"""The columns of each metric and each of its tables of pairs."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The pairs whose columns are stored together."""

    comparison: Comparison
    signature: str
    pairs: Sequence[Pair]


@dataclass(frozen=True, slots=True)
class MetricJob:
    """A metric, and the pairs that it hasn't scored yet."""

    metric: Metric
    batches: tuple[Batch, ...]


@dataclass(frozen=True, slots=True)
class PairChunk:
    """Some pairs of every batch: the same places in each, which mostly are the same prompts."""

    metrics: Sequence[tuple[Metric, Sequence[int]]]
    """Each metric with the numbers of the tables of pairs that it scores."""
    tables: Sequence[Sequence[Pair]]

    def score(self) -> Scored:
        """The columns of each metric and each of its tables. A metric reads all of them in one call."""
        return [list(self._of_metric(metric, numbers)) for metric, numbers in self.metrics]

    def _of_metric(self, metric: Metric, numbers: Sequence[int]) -> Iterator[list[Column]]:
        tables = [self.tables[number] for number in numbers]
        if len({len(table) for table in tables}) == 1 and not isinstance(metric, EncoderMetric):
            # The pairs of one place have texts in common, of which metrics remember what they read last.
            columns = score_within_limits(metric, list(chain.from_iterable(zip(*tables, strict=True))))
            yield from (
                [_sliced(column, slice(n, None, len(tables))) for column in columns] for n in range(len(tables))
            )
            return
        columns = score_within_limits(metric, list(chain.from_iterable(tables)))
        start = 0
        for table in tables:
            yield [_sliced(column, slice(start, start + len(table))) for column in columns]
            start += len(table)


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be scored."""

    jobs: Sequence[MetricJob]

    @property
    def places(self) -> int:
        """The number of pairs of the longest batch."""
        return max((len(batch.pairs) for job in self.jobs for batch in job.batches), default=0)

    def chunks(self) -> Iterator[PairChunk]:
        """All pairs, in order, in chunks."""
        metrics, tables = self._metrics_and_tables()
        return (PairChunk(metrics, rows) for rows in _in_chunks(tables))

    def whole(self) -> Iterator[PairChunk]:
        """All pairs in one chunk."""
        yield PairChunk(*self._metrics_and_tables())

    def _metrics_and_tables(self) -> tuple[list[tuple[Metric, list[int]]], list[Sequence[Pair]]]:
        """Batches of the same pairs share a table, so that each text is read once."""
        tables = {id(batch.pairs): batch.pairs for job in self.jobs for batch in job.batches}
        numbers = {key: number for number, key in enumerate(tables)}
        metrics = [(job.metric, [numbers[id(batch.pairs)] for batch in job.batches]) for job in self.jobs]
        return metrics, list(tables.values())

    def store(self, scored: Iterable[Scored]) -> None:
        """Store the columns of all chunks, given in order; those of one batch are in memory then."""
        pieces = [[Spool[list[Column]]() for _ in job.batches] for job in self.jobs]
        for chunk in scored:
            for of_job, into_job in zip(chunk, pieces, strict=True):
                for of_batch, into_batch in zip(of_job, into_job, strict=True):
                    into_batch.append([packed(column) for column in of_batch])
        for job, by_batch in zip(self.jobs, pieces, strict=True):
            for batch, of_chunks in zip(job.batches, by_batch, strict=True):
                columns = range(len(of_chunks[0]) if of_chunks else 0)
                joined = [joined_columns([chunk[number] for chunk in of_chunks]) for number in columns]
                batch.comparison.add_columns(batch.signature, joined or job.metric.score([]))


def packed(column: Column) -> Column:
    """The same column in arrays.

    Raises:
        StoreError: A value is NaN.
    """
    weights, sides = column.weights, column.sides
    try:
        return replace(
            column,
            values=ColumnNumbers.of(column.values),
            weights=None if weights is None else ColumnNumbers.of(weights),
            sides=None if sides is None else Sides.of(sides),
        )
    except ValueError:
        raise StoreError(f"the column {column.name!r} holds NaN; a pair that can't be scored is None") from None


def joined_columns(columns: Sequence[Column]) -> Column:
    """One column of the pairs of several, in their order."""
    several = [packed(column) for column in columns]
    weights = [ColumnNumbers.of(column.weights).array for column in several if column.weights is not None]
    sides = [Sides.of(one.sides or ()).array if one.sides else np.zeros(len(one.values), np.int8) for one in several]
    joined = Sides(np.concatenate(sides)) if any(side.any() for side in sides) else None
    return replace(
        columns[0],
        values=ColumnNumbers(np.concatenate([ColumnNumbers.of(column.values).array for column in several])),
        weights=ColumnNumbers(np.concatenate(weights)) if weights else None,
        sides=joined,
    )


def _in_chunks(tables: Sequence[Sequence[Pair]]) -> Iterator[list[list[Pair]]]:
    """The same places of every table, until there are enough pairs or characters. A shorter table ends before."""
    rows: list[list[Pair]] = [[] for _ in tables]
    characters = 0
    iterators = [iter(table) for table in tables]
    for _ in range(max(map(len, tables), default=0)):
        for own, pairs in zip(rows, iterators, strict=True):
            if pair := next(pairs, None):
                own.append(pair)
                characters += max(len(pair.baseline.text), len(pair.candidate.text))
        if characters >= CHARACTERS_OF_A_CHUNK or max(map(len, rows)) >= PAIRS_OF_A_CHUNK:
            yield rows
            rows, characters = [[] for _ in tables], 0
    if any(rows):
        yield rows


def _sliced(column: Column, own: slice) -> Column:
    weights = None if column.weights is None else column.weights[own]
    sides = column.sides[own] if column.sides and any(column.sides[own]) else None
    return replace(column, values=column.values[own], weights=weights, sides=sides)
