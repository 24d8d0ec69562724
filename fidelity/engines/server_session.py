"""A connection to a server with its event loop, and the first requests to a server that is still loading."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from fidelity.config import Requests
from fidelity.engines.connection import Connection, Key
from fidelity.engines.dialects import Served, served
from fidelity.engines.trouble import TroubleError
from fidelity.errors import EngineError

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
"""Seconds between the first attempts; doubled each time."""
MOST_DOUBLINGS = 10
"""More of them would not fit into a float after a day of refusals."""

T = TypeVar("T")


class ServerSession:
    """A connection, its key and its event loop."""

    def __init__(self, runner: asyncio.Runner, connection: Connection, key: Key) -> None:
        self.run = runner.run
        self.connection = connection
        self.hide = key.secrets.hide


@contextmanager
def connected(base_url: str, key: Key, requests: Requests) -> Iterator[ServerSession]:
    """Open a connection to a server, with its own event loop."""
    with asyncio.Runner() as runner:
        connection = Connection(base_url, key, at_once=requests.concurrency, timeout=requests.timeout)
        try:
            yield ServerSession(runner, connection, key)
        finally:
            runner.run(connection.close())


def first_contact(line: ServerSession, model: str | None, *, deadline: float) -> Served:
    """The server's kind and model. A server that is still loading its model gets `deadline` seconds.

    Raises:
        EngineError: The server can't be reached, or doesn't serve the model.
    """
    return line.run(when_ready(lambda: served(line.connection, model), deadline))


async def when_ready(ask: Callable[[], Awaitable[T]], deadline: float) -> T:
    """A reply, waiting for a server that is still loading its model."""
    until, wait = time.monotonic() + deadline, FIRST_WAIT_S
    while True:
        try:
            return await ask()
        except TroubleError as trouble:
            if trouble.kind != "passing" or time.monotonic() + max(wait, trouble.wait) > until:
                asked = f"; it asks for a wait of {trouble.wait:,.0f} s" if trouble.wait > deadline else ""
                raise EngineError(f"the server is unusable: {trouble.reason}{asked}") from None
            wait = max(wait, trouble.wait)
        await asyncio.sleep(wait)


def backoff(attempts: int) -> float:
    """Seconds to wait after a number of attempts (at least one)."""
    return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(attempts - 1, MOST_DOUBLINGS))
