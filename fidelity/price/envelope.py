"""Where one format becomes cheaper than another along a measured curve, without extrapolation."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import fmean
from typing import TypeAlias

from fidelity.stats import Ratio, paired_ratio

ByTurn: TypeAlias = Mapping[int, float]
"""The cost of a query by turn, in hours of the machine times 3600, that is in seconds."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A range of the horizontal axis in which one run is the cheapest."""

    run: str
    start: float
    end: float
    """Equal to `start` at a single measured place; infinite if it includes all requests at once."""
    sure: bool = True
    """Whether the run is certainly cheaper than the previous stretch's at the next measured place, and certainly dearer
    at the one before: both 95% intervals over turns exclude 1."""


def cheapest_along(lines: Mapping[str, Mapping[float, ByTurn]]) -> Iterator[Stretch]:
    """Yield the stretches of the cheapest run, from left to right.

    Args:
        lines: Costs by run, place on the axis and turn. Only places that all runs have are used. Between two finite
            places costs are interpolated linearly; an infinite place is a stretch of its own.
    """
    shared = set.intersection(*(set(line) for line in lines.values())) if lines else set()
    places = sorted(place for place in shared if _turns(lines, place))
    means = {run: {place: _mean(lines, run, place) for place in places} for run in lines}
    stretches: list[Stretch] = []
    for stretch in _pieces(means, places):
        if stretches and stretches[-1].run == stretch.run:
            stretches[-1] = replace(stretches[-1], end=stretch.end)
            continue
        sure = not stretches or _is_sure(lines, places, stretches[-1].run, stretch)
        stretches.append(replace(stretch, sure=sure))
    yield from stretches


def _pieces(means: Mapping[str, Mapping[float, float]], places: list[float]) -> Iterator[Stretch]:
    """The lower envelope of the lines: piece by piece between adjacent places, then the infinite place."""
    finite = [place for place in places if place < math.inf]
    if len(finite) == 1:
        yield Stretch(min(means, key=lambda run: means[run][finite[0]]), finite[0], finite[0])
    for left, right in pairwise(finite):
        begins = min(means, key=lambda run: (means[run][left], means[run][right]))
        at = left
        while at < right:
            crossings = [(_crossing(means[begins], means[run], left, right), run) for run in means if run != begins]
            later = [(place, means[run][right], run) for place, run in crossings if place is not None and place > at]
            end, _, follows = min(later, default=(right, 0.0, begins))
            yield Stretch(begins, at, end)
            at, begins = end, follows
    if places and places[-1] == math.inf:
        yield Stretch(min(means, key=lambda run: means[run][math.inf]), math.inf, math.inf)


def _crossing(line: Mapping[float, float], other: Mapping[float, float], left: float, right: float) -> float | None:
    """Where the other line becomes the lower one between two places; None if it doesn't."""
    before, after = other[left] - line[left], other[right] - line[right]
    if before < 0 or after >= 0:
        return None
    return left + (right - left) * before / (before - after)


def _is_sure(lines: Mapping[str, Mapping[float, ByTurn]], places: list[float], previous: str, stretch: Stretch) -> bool:
    before = max(place for place in places if place < stretch.start or place == places[0])
    after = min(place for place in places if place >= stretch.start and place > before)
    return _surely_cheaper(lines, previous, stretch.run, before) and _surely_cheaper(
        lines, stretch.run, previous, after
    )


def ratio_over_turns(above: ByTurn, below: ByTurn) -> Ratio | None:
    """The ratio of two costs over the turns in common; None without one."""
    both = [turn for turn in above if turn in below]
    return paired_ratio([above[turn] for turn in both], [below[turn] for turn in both])


def _surely_cheaper(lines: Mapping[str, Mapping[float, ByTurn]], run: str, other: str, place: float) -> bool:
    ratio = ratio_over_turns(lines[run][place], lines[other][place])
    return ratio is not None and ratio.high is not None and ratio.high < 1


def _turns(lines: Mapping[str, Mapping[float, ByTurn]], place: float) -> set[int]:
    return set.intersection(*(set(line[place]) for line in lines.values()))


def _mean(lines: Mapping[str, Mapping[float, ByTurn]], run: str, place: float) -> float:
    return fmean(lines[run][place][turn] for turn in _turns(lines, place))
