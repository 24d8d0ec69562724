"""Why a server gave no answer, sorted by whether asking again can help."""

from typing import Literal

TroubleKind = Literal["withheld", "refused", "passing", "nonsense", "unreachable"]
"""A filter holds the answer back; no; not now; the answer was none; nothing is there at the address."""


class TroubleError(Exception):
    """Why one attempt gave no answer."""

    def __init__(self, reason: str, kind: TroubleKind, *, status: int | None = None, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind
        self.status = status
        self.wait = wait
        """Seconds after which the server wants to be asked again."""
