"""Results that are remembered by text: each baseline's answer is compared several times, and read once."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Concatenate, ParamSpec, TypeVar, cast

MOST_TEXTS = 4_096
"""More than the texts of a chunk of pairs, with several candidates and controls."""
LONGEST_TEXT = 16_384
"""Characters. Longer texts are read each time, so that what is remembered takes 64 MB at most, 256 with emojis."""
T = TypeVar("T")
P = ParamSpec("P")


def remembered(read: Callable[Concatenate[str, P], T]) -> Callable[Concatenate[str, P], T]:
    """A function of a text and how to read it, which depends on nothing else, with its last results remembered.

    Its results are shared, so they must not be changed.
    """
    remember = cast("Callable[Concatenate[str, P], T]", lru_cache(maxsize=MOST_TEXTS)(read))

    @wraps(read)
    def reading(text: str, /, *args: P.args, **kwargs: P.kwargs) -> T:
        known = remember if len(text) <= LONGEST_TEXT else read
        return known(text, *args, **kwargs)

    return reading
