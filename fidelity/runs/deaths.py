"""Asking an engine that can die. What is missing is asked again, and a prompt that kills engines becomes a failure.

An engine's death concerns all prompts that it had not answered. So they are asked again together, then in halves, until
a prompt has died alone; see `docs/decisions/024-many-engines.md`.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence

from fidelity.errors import EngineError
from fidelity.records import Failure, Response

MOST_DEATHS = 3
"""The number of engines that may die on one prompt before it has failed."""
MOST_IN_A_ROW = 3
"""The number of prompts that may fail in this way without an answer in between, before the engine is at fault."""

Ask = Callable[[Sequence[int]], Iterator[tuple[int, Response]]]
"""Asks an engine for some places of a chunk, and opens one first if there is none. Yields each place once."""


def answers_despite_deaths(
    places: Sequence[int],
    ask: Ask,
    *,
    on_death: Callable[[EngineError], None],
    failure: Callable[[int, EngineError], Failure],
) -> Iterator[tuple[int, Response]]:
    """Yield an outcome for each place, from as many engines as it takes.

    Args:
        places: What to ask for.
        ask: Raises EngineError if the engine dies; outcomes until then are valid.
        on_death: Called after each death, before the next `ask`.
        failure: The outcome of a prompt on which three engines have died.

    Raises:
        EngineError: Three prompts in a row have killed the engine, so they are hardly to blame.
    """
    groups = deque([(list(places), 0)])
    failed = dict[int, Failure]()
    in_a_row = 0
    while groups:
        group, deaths = groups.popleft()
        left = dict.fromkeys(group)
        try:
            for place, outcome in ask(group):
                del left[place]
                in_a_row = 0
                yield place, outcome
        except EngineError as error:
            on_death(error)
            deaths = 1 if len(left) * 2 <= len(group) else deaths + 1  # most were answered: another start
            if not left:
                continue
            if len(left) == 1 and deaths >= MOST_DEATHS:
                (place,) = left
                failed[place] = failure(place, error)
                in_a_row += 1
                if in_a_row == MOST_IN_A_ROW:
                    raise
            else:
                groups.extendleft((half, deaths) for half in reversed(_next_groups(list(left), deaths)))
    yield from failed.items()


def _next_groups(left: list[int], deaths: int) -> list[list[int]]:
    """All together after the first death, which something else may have caused; in halves after the next."""
    if deaths < MOST_DEATHS - 1 or len(left) == 1:
        return [left]
    middle = len(left) // 2
    return [left[:middle], left[middle:]]
