"""Profiles: how a similarity changes along the output, in tenths of the baseline's length."""

from collections.abc import Sequence

from fidelity.records import Column, Side

DECILES = 10


def decile_bounds(length: int) -> list[int]:
    """The bounds of the deciles: decile d, from 1, has the positions from bounds[d - 1] to bounds[d].

    A baseline shorter than ten has empty deciles.
    """
    return [-(-length * d // DECILES) for d in range(DECILES + 1)]


def decile_columns(name: str, rows: Sequence[Sequence[float | Side]]) -> list[Column]:
    """The columns `name[decile=1]` to `name[decile=10]` from one row of ten values (or sides) per pair."""
    return [Column.of(f"{name}[decile={d + 1}]", [row[d] for row in rows]) for d in range(DECILES)]
