"""One condition under which two runs were not generated alike."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fidelity.config import Compares

UNSET = "not set"
MOST_SHOWN = 120
"""Characters of a value in a sentence."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs, on both sides, and what a comparison would be about that declares it."""

    field: str
    """What it is, in words: `chat template`, `VLLM_MARLIN_INPUT_DTYPE`."""
    baseline: str
    candidate: str
    kinds: tuple[Compares, ...]
    """Each of these, declared, covers it; the one to suggest comes first."""
    declared: bool = False
    """Whether the user said that the comparison is about this."""

    @property
    def sentence(self) -> str:
        """`mode is eager (the baseline's: compiled)`."""
        return f"{self.field} is {self.candidate} (the baseline's: {self.baseline})"


def compared(field: str, values: tuple[Any, Any], *kinds: Compares) -> Iterator[Difference]:
    """A difference of two values, the baseline's first, if both are known and not equal."""
    if not alike(*values):
        yield difference(field, values, *kinds)


def difference(field: str, values: tuple[Any, Any], *kinds: Compares) -> Difference:
    """The same, where None is a value too: something that is not set."""
    baseline, candidate = map(_shown, values)
    return Difference(field, baseline, candidate, kinds)


def alike(one: Any, other: Any) -> bool:
    """Equal, or unknown on one side."""
    return bool(one == other or one is None or other is None)


def _shown(value: Any) -> str:
    text = UNSET if value is None else str(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"
