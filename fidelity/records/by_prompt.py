"""Values by prompt id in arrays, read like mappings: a million prompts take a few bytes each, not objects."""

from collections.abc import ItemsView, Iterator, Mapping, Sequence, ValuesView
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from fidelity.records.numbers import AT_ONCE, Floats
from fidelity.records.texts import PackedTexts, are_distinct

T = TypeVar("T")


class PromptIds:
    """The ids of some pairs' prompts, each once, in the order of their first pair."""

    def __init__(self, of_pairs: Sequence[str]) -> None:
        self.ids = PackedTexts.of(of_pairs)
        self.rows: NDArray[np.int64] | None = None
        """For each pair its prompt's place; None if each prompt has one pair."""
        if not are_distinct(self.ids):
            self.ids = PackedTexts(dict.fromkeys(of_pairs))
            self.rows = np.array([self.places[one] for one in of_pairs], np.int64)

    @cached_property
    def places(self) -> Mapping[str, int]:
        """The place of each id."""
        return {one: place for place, one in enumerate(self.ids)}

    def take(self, chosen: NDArray[np.bool_]) -> "PromptIds":
        """Some of the prompts."""
        return self if chosen.all() else PromptIds([self.ids[place] for place in np.flatnonzero(chosen).tolist()])

    def places_of(self, others: "PromptIds") -> NDArray[np.int64] | None:
        """For each of the other prompts its place here, -1 without one; None if they are the same in the same order."""
        if self is others or self.ids == others.ids:
            return None
        return np.array([self.places.get(one, -1) for one in others.ids], np.int64)


class _InArrays(Mapping[str, T], Generic[T]):
    """Values that are made from arrays when they are read."""

    prompts: PromptIds

    def __len__(self) -> int:
        return len(self.prompts.ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self.prompts.ids)

    def __contains__(self, prompt_id: object) -> bool:
        return prompt_id in self.prompts.places

    def __getitem__(self, prompt_id: str) -> T:
        place = self.prompts.places[prompt_id]
        return next(self._values(slice(place, place + 1)))

    def items(self) -> ItemsView[str, T]:
        return _Items(self)

    def values(self) -> ValuesView[T]:
        return _Values(self)

    def in_order(self) -> Iterator[T]:
        """The values in the order of the prompts."""
        for start in range(0, len(self), AT_ONCE):
            yield from self._values(slice(start, start + AT_ONCE))

    def _values(self, places: slice) -> Iterator[T]:
        raise NotImplementedError


class _Items(ItemsView[str, T]):
    _mapping: _InArrays[T]

    def __iter__(self) -> Iterator[tuple[str, T]]:
        return zip(self._mapping, self._mapping.in_order(), strict=True)


class _Values(ValuesView[T]):
    _mapping: _InArrays[T]

    def __iter__(self) -> Iterator[T]:
        return self._mapping.in_order()


@dataclass(frozen=True, eq=False)
class PromptNumbers(_InArrays[float | None]):
    """A number for each prompt, or None."""

    prompts: PromptIds
    array: Floats
    """NaN for None."""

    @property
    def known(self) -> "PromptNumbers":
        """Those that are numbers."""
        known = ~np.isnan(self.array)
        return self if known.all() else PromptNumbers(self.prompts.take(known), self.array[known])

    def at(self, prompts: PromptIds) -> Floats:
        """The numbers of some prompts; NaN where there is none."""
        places = self.prompts.places_of(prompts)
        return self.array if places is None else np.append(self.array, np.nan)[places]

    def _values(self, places: slice) -> Iterator[float | None]:
        values = self.array[places].tolist()
        return (None if value != value else value for value in values)


class PromptValue(NamedTuple):
    """A prompt's value in one column: the mean over its repeats, with the sum of their weights (1 without weights)."""

    value: float
    weight: float
    n_worst: int = 0
    """The number of its answers that could not be scored and count as the column's worst value."""


@dataclass(frozen=True, eq=False)
class PromptValues(_InArrays[PromptValue | None]):
    """A column by prompt. Where there is no value, weights and counts have no meaning."""

    prompts: PromptIds
    array: Floats
    """The values; NaN for None."""
    weights: Floats
    n_worst: NDArray[np.int64]

    @classmethod
    def of(cls, values: Mapping[str, PromptValue | None]) -> Self:
        """The same values."""
        if isinstance(values, cls):
            return values
        rows = [value or PromptValue(np.nan, 1.0) for value in values.values()]
        table = np.array(rows, np.float64).reshape(-1, 3)
        return cls(PromptIds(tuple(values)), table[:, 0], table[:, 1], table[:, 2].astype(np.int64))

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Whether each prompt has a value."""
        return ~np.isnan(self.array)

    def at(self, prompts: PromptIds) -> "PromptValues":
        """The values of some prompts; None where there is none."""
        places = self.prompts.places_of(prompts)
        if places is None:
            return self
        array = np.append(self.array, np.nan)[places]  # the last for those that are not there
        return PromptValues(prompts, array, np.append(self.weights, 0.0)[places], np.append(self.n_worst, 0)[places])

    def _values(self, places: slice) -> Iterator[PromptValue | None]:
        rows = (numbers[places].tolist() for numbers in (self.array, self.weights, self.n_worst))
        return (None if row[0] != row[0] else PromptValue(*row) for row in zip(*rows, strict=True))
