"""Results that are remembered by text: each baseline's answer is compared several times, and read once."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

MOST_TEXTS = 4_096
"""More than the texts of a chunk of pairs, with several candidates and controls."""
LONGEST_TEXT = 16_384
"""Characters. Longer texts are read each time, so that what is remembered takes 64 MB at most, 256 with emojis."""
T = TypeVar("T")


def remembered(read: Callable[[str], T]) -> Callable[[str], T]:
    """A function of one text, which must depend on nothing else, with its results for the last texts remembered."""
    known = lru_cache(maxsize=MOST_TEXTS)(read)

    @wraps(read)
    def reading(text: str) -> T:
        return known(text) if len(text) <= LONGEST_TEXT else read(text)

    return reading
