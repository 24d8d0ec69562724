"""Many short texts, such as the ids of a million prompts, in one piece of memory."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from operator import eq
from typing import Self, SupportsIndex, overload

import numpy as np


class PackedTexts(Sequence[str]):
    """Texts that are read like a tuple's. One takes its bytes in UTF-8 and 8 more; as a `str` it takes 60."""

    __slots__ = ("encoded", "ends")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        encoded, ends = bytearray(), array("q", [0])
        for text in texts:
            encoded += text.encode("utf-8", "surrogatepass")
            ends.append(len(encoded))
        self.encoded = bytes(encoded)
        """All texts, one after another."""
        self.ends = ends
        """Where each text ends in `encoded`, after a 0."""

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """The same texts."""
        return texts if isinstance(texts, cls) else cls(texts)

    def __len__(self) -> int:
        return len(self.ends) - 1

    @overload
    def __getitem__(self, place: SupportsIndex) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[str, ...]: ...

    def __getitem__(self, place: SupportsIndex | slice) -> str | tuple[str, ...]:
        if isinstance(place, slice):
            return tuple(map(self._text, range(len(self))[place]))
        return self._text(range(len(self))[place])

    def __iter__(self) -> Iterator[str]:
        return map(self._text, range(len(self)))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, PackedTexts):
            return self.encoded == other.encoded and self.ends == other.ends
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    def __hash__(self) -> int:
        return hash(self.encoded)  # not a tuple's: ids are keys of caches, and bytes remember their hash

    def __repr__(self) -> str:
        return f"PackedTexts({tuple(self)!r})"

    def _text(self, number: int) -> str:
        return self.encoded[self.ends[number] : self.ends[number + 1]].decode("utf-8", "surrogatepass")


def are_distinct(texts: Sequence[str]) -> bool:
    """Whether none is there twice."""
    hashes = np.fromiter(map(hash, texts), np.int64, len(texts))
    hashes.sort()
    return not (hashes[1:] == hashes[:-1]).any() or len(set(texts)) == len(texts)
