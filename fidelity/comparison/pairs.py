"""The pairs of two runs, which are read when they are used: their texts may be more than memory holds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import eq
from typing import SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

from fidelity.comparison.answers import Answers
from fidelity.records import Generation, Pair, Prompt

RowNumbers = NDArray[np.int64]


class LazySequence(Sequence[Pair]):
    """Pairs that are made again each time that they are read."""

    def pair(self, place: int) -> Pair:
        """The pair at a place from 0."""
        raise NotImplementedError

    @overload
    def __getitem__(self, place: SupportsIndex) -> Pair: ...

    @overload
    def __getitem__(self, place: slice) -> list[Pair]: ...

    def __getitem__(self, place: SupportsIndex | slice) -> Pair | list[Pair]:
        if isinstance(place, slice):
            return [self.pair(number) for number in range(len(self))[place]]
        return self.pair(range(len(self))[place])

    def __iter__(self) -> Iterator[Pair]:
        return map(self.pair, range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class StoredPairs(LazySequence):
    """The pairs of two runs in the store, by the rows of their answers and of their prompts."""

    prompts: Sequence[Prompt]
    baseline: Answers
    candidate: Answers
    prompt_rows: RowNumbers
    """Of each pair's prompt in `prompts`."""
    baseline_rows: RowNumbers
    """Ascending."""
    candidate_rows: RowNumbers
    repeats: Sequence[Sequence[int]] | None = None
    """With several repeats: the places of all pairs of a prompt, by the prompt's row."""

    def __len__(self) -> int:
        return len(self.prompt_rows)

    def pair(self, place: int) -> Pair:
        """The pair at a place from 0."""
        pair = Pair(self.prompts[self.prompt_rows[place]], *self._generations(place))
        if self.repeats is None:
            return pair
        own = [self._generations(other) for other in self.repeats[self.prompt_rows[place]]]
        return replace(pair, baselines=tuple(one for one, _ in own), candidates=tuple(other for _, other in own))

    def _generations(self, place: int) -> tuple[Generation, Generation]:
        sides = self.baseline[self.baseline_rows[place]], self.candidate[self.candidate_rows[place]]
        assert isinstance(sides[0], Generation)
        assert isinstance(sides[1], Generation)
        return sides[0], sides[1]


@dataclass(frozen=True, eq=False)
class WithBaselinesOf(LazySequence):
    """Pairs with the baselines of other pairs."""

    pairs: Sequence[Pair]
    others: RowNumbers
    """For each pair, the place of the one that gives its baseline."""

    def __len__(self) -> int:
        return len(self.pairs)

    def pair(self, place: int) -> Pair:
        """The pair at a place from 0."""
        other = self.pairs[self.others[place]]
        return replace(self.pairs[place], baseline=other.baseline, baselines=other.baselines)


def beside(pairs: Sequence[Pair], others: Sequence[Pair]) -> RowNumbers:
    """For each pair the place of the one in `others` with the same answer of the same baseline; -1 without one."""
    if isinstance(pairs, StoredPairs) and isinstance(others, StoredPairs):
        places = np.searchsorted(others.baseline_rows, pairs.baseline_rows)
        at = np.minimum(places, len(others) - 1)
        return np.where(others.baseline_rows[at] == pairs.baseline_rows, at, -1)
    known = {(other.prompt.id, other.baseline.repeat): place for place, other in enumerate(others)}
    return np.array([known.get((pair.prompt.id, pair.baseline.repeat), -1) for pair in pairs], np.int64)
