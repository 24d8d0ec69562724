"""One color and one shape for each format, the same in the matrix's headings and in all charts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

COLORS = ("#0072B2", "#D55E00", "#008F68", "#B8629A", "#A87800", "#2F8CC4", "#8C6D31", "#74749A")
"""Okabe and Ito's colors, some darker: each has a contrast of 3 or more to the light and the dark background."""
SHAPES: Mapping[str, str] = {
    "circle": "M0-4.5A4.5 4.5 0 1 1 0 4.5A4.5 4.5 0 1 1 0-4.5Z",
    "square": "M-4-4H4V4H-4Z",
    "triangle-up": "M0-5L5 4H-5Z",
    "diamond": "M0-5.5L4.5 0L0 5.5L-4.5 0Z",
    "cross": "M-5-1.7H-1.7V-5H1.7V-1.7H5V1.7H1.7V5H-1.7V1.7H-5Z",
    "triangle-down": "M0 5L5-4H-5Z",
    "triangle-right": "M5 0L-4 5V-5Z",
    "triangle-left": "M-5 0L4 5V-5Z",
}
"""Vega's shapes, and the same as SVG paths."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a format is drawn."""

    color: str
    shape: str

    @property
    def path(self) -> str:
        return SHAPES[self.shape]


def looks_of(formats: Sequence[str]) -> dict[str, Look]:
    """A look for each format, in order: up to 64 differ in color or shape."""
    shapes, size = list(SHAPES), len(COLORS)
    return {
        name: Look(COLORS[number % size], shapes[(number + number // size) % len(shapes)])
        for number, name in enumerate(dict.fromkeys(formats))
    }
