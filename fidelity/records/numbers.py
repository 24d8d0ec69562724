"""A column's numbers and sides in arrays, read like sequences of Python values."""

from collections.abc import Iterator, Sequence
from operator import eq
from typing import Any, Generic, Literal, SupportsIndex, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
"""An array of double-precision numbers, of any shape."""
Side = Literal["baseline", "candidate", "pair"]
"""The side that keeps a pair from being scored; "pair" if the column doesn't apply to it (no code, no JSON)."""
CODES: dict[Side | None, int] = {None: 0, "baseline": 1, "candidate": 2, "pair": 3}
"""Of each side, in arrays and in digests."""
_SIDES = tuple(CODES)
AT_ONCE = 1 << 16
"""Values that are Python objects at the same time in an iteration."""
T = TypeVar("T")


class _InArray(Sequence[T], Generic[T]):
    """Values that are made from an array's when they are read. Equal to any sequence of equal values."""

    __slots__ = ("array",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    @overload
    def __getitem__(self, place: SupportsIndex) -> T: ...

    @overload
    def __getitem__(self, place: slice) -> "_InArray[T]": ...

    def __getitem__(self, place: SupportsIndex | slice) -> "T | _InArray[T]":
        if isinstance(place, slice):
            return type(self)(self.array[place])
        return next(self._values(self.array[[place.__index__()]]))

    def __iter__(self) -> Iterator[T]:
        for start in range(0, len(self.array), AT_ONCE):
            yield from self._values(self.array[start : start + AT_ONCE])

    def __eq__(self, other: object) -> bool:
        if type(other) is type(self):
            return np.array_equal(self.array, other.array, equal_nan=self.array.dtype.kind == "f")
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    def _values(self, array: NDArray[Any]) -> Iterator[T]:
        raise NotImplementedError


class ColumnNumbers(_InArray[float | None]):
    """Numbers in double precision. NaN in the array is None."""

    __slots__ = ()
    array: Floats

    @classmethod
    def of(cls, values: Sequence[float | None]) -> "ColumnNumbers":
        """The same numbers.

        Raises:
            ValueError: One is NaN, which is no number of a column.
        """
        if isinstance(values, ColumnNumbers):
            return values
        if any(value != value for value in values):
            raise ValueError("NaN")
        return cls(np.array(values, np.float64))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.array, dtype) if copy else self.array.astype(dtype or np.float64, copy=False)

    def _values(self, array: NDArray[Any]) -> Iterator[float | None]:
        values = array.tolist()
        return (None if value != value else value for value in values) if np.isnan(array).any() else iter(values)


class Sides(_InArray[Side | None]):
    """Sides by their `CODES`, a byte each."""

    __slots__ = ()
    array: NDArray[np.int8]

    @classmethod
    def of(cls, sides: Sequence[Side | None]) -> "Sides":
        """The same sides."""
        return sides if isinstance(sides, Sides) else cls(np.array([CODES[side] for side in sides], np.int8))

    def _values(self, array: NDArray[Any]) -> Iterator[Side | None]:
        return (_SIDES[code] for code in array.tolist())
