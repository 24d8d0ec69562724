"""A difference between the conditions of two runs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fidelity.config import Compares

UNSET = "not set"
MOST_SHOWN = 120
"""The maximum length of a value in a sentence."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference: its field, both values, and the declarations that cover it."""

    field: str
    """The field's name in messages: `chat template`, `VLLM_MARLIN_INPUT_DTYPE`."""
    baseline: str
    candidate: str
    kinds: tuple[Compares, ...]
    """The values of `compares:` that cover it; the first one is suggested."""
    declared: bool = False
    """Whether the user declared it."""

    @property
    def sentence(self) -> str:
        """`mode is eager (the baseline's: compiled)`."""
        return f"{self.field} is {self.candidate} (the baseline's: {self.baseline})"


def compared(field: str, values: tuple[Any, Any], *kinds: Compares) -> Iterator[Difference]:
    """Return a difference (the baseline's value first) if both values are known and not equal."""
    if not alike(*values):
        yield difference(field, values, *kinds)


def difference(field: str, values: tuple[Any, Any], *kinds: Compares) -> Difference:
    """Like `known_difference`, but None counts as a value (not set)."""
    baseline, candidate = map(_shown, values)
    return Difference(field, baseline, candidate, kinds)


def alike(one: Any, other: Any) -> bool:
    """Whether two values are equal, or one is unknown."""
    return bool(one == other or one is None or other is None)


def _shown(value: Any) -> str:
    text = UNSET if value is None else str(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"
