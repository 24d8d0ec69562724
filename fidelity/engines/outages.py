"""Whether a server fails at one prompt or at all of them: only the first is the prompt's own failure."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from fidelity.engines.trouble import TroubleError, TroubleKind

CONFIRMED: Mapping[TroubleKind, int] = {"refused": 3, "nonsense": 5}
"""How often a prompt is refused, or answered with nonsense, with other prompts answered in between, until that is a
failure. Nonsense is hardly ever about the prompt."""
AT_WORK_S = 5.0
"""A request that is under way for longer is taken to be worked on: the server may be slow, and isn't away."""
FIRST_NOTE_S, NEXT_NOTE_S = 3.0, 30.0
"""How long nothing is answered until it is reported, and how often after that."""


@dataclass(slots=True)
class Refusals:
    """How often one prompt was refused while the server answered others."""

    enough: int
    confirmed: int = 0
    last: float = 0.0

    def add(self, traffic: "Traffic") -> None:
        """Count a refusal; one after which no other request was begun and answered adds nothing."""
        if not self.confirmed or traffic.answered_since(self.last):
            self.confirmed += 1
            self.last = time.monotonic()

    @property
    def are_enough(self) -> bool:
        """Whether they are the prompt's own failure."""
        return self.confirmed >= self.enough


PromptRefusals: TypeAlias = Mapping[TroubleKind, Refusals]
"""Of one prompt, by kind."""


class Traffic:
    """What a server does with the requests of a run, and since when it answers none of them."""

    def __init__(self, note: Callable[[str], None]) -> None:
        """Nothing is under way yet; `note` is called with reports of an outage while it lasts."""
        self._note = note
        self._under_way: dict[int, float] = {}
        self._number = 0
        self._answered_from = 0.0
        """When the latest request that was answered was begun."""
        self._answered = 0.0
        self._failing_since: float | None = None
        self._refusing_since: float | None = None
        self._noted = 0.0

    def begin(self) -> int:
        """A request is sent; the number to end it with."""
        self._number += 1
        self._under_way[self._number] = time.monotonic()
        return self._number

    def answered(self, request: int) -> None:
        """It was answered."""
        self._answered_from = max(self._answered_from, self._under_way.pop(request))
        self._answered = time.monotonic()
        if self._noted and self._failing_since is not None:
            self._note(f"the server answers again, after {self._answered - self._failing_since:.0f} s")
        self._failing_since = self._refusing_since = None
        self._noted = 0.0

    def dropped(self, request: int) -> None:
        """It was given up, as when the run is interrupted."""
        self._under_way.pop(request, None)

    def failed(self, request: int, trouble: TroubleError) -> None:
        """It wasn't answered."""
        self._under_way.pop(request)
        now = time.monotonic()
        self._failing_since = now if self._failing_since is None else self._failing_since
        if trouble.kind == "passing":
            self._refusing_since = None
        elif self._refusing_since is None:
            self._refusing_since = now
        silent = now - self._failing_since
        if silent > FIRST_NOTE_S and now - self._noted > NEXT_NOTE_S and not self._at_work:
            self._noted = now
            self._note(f"no answer for {silent:.0f} s ({trouble.reason}); asking again")

    def answered_since(self, moment: float) -> bool:
        """Whether a request that was begun after this moment was answered."""
        return self._answered_from > moment

    def answered_after(self, moment: float) -> bool:
        """Whether anything was answered after this moment, whenever it was begun."""
        return self._answered > moment

    @property
    def refusing_s(self) -> float:
        """Seconds of refusals, nonsense and unanswered calls; 0 while a request may be worked on."""
        return 0.0 if self._refusing_since is None or self._at_work else time.monotonic() - self._refusing_since

    @property
    def _at_work(self) -> bool:
        return any(time.monotonic() - began > AT_WORK_S for began in self._under_way.values())
