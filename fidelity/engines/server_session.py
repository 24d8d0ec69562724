"""A connection to a server with its event loop, and the first contact with a server that may still be loading."""

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
"""Between two attempts; doubled each time."""

T = TypeVar("T")


class ServerSession:
    """A connection, its key and the loop that it is used in."""

    def __init__(self, runner: asyncio.Runner, connection: Connection, key: Key) -> None:
        self.run = runner.run
        self.connection = connection
        self.hide = key.secrets.hide


@contextmanager
def connected(base_url: str, key: Key, requests: Requests) -> Iterator[ServerSession]:
    """A line to a server, with an event loop of its own."""
    with asyncio.Runner() as runner:
        connection = Connection(base_url, key, at_once=requests.concurrency, timeout=requests.timeout)
        try:
            yield ServerSession(runner, connection, key)
        finally:
            runner.run(connection.close())


def first_contact(line: ServerSession, model: str | None, *, deadline: float) -> Served:
    """What a server says that it is; one that is still loading its model gets `deadline` seconds.

    Raises:
        EngineError: It can't be reached, or doesn't serve the model.
    """
    return line.run(when_ready(lambda: served(line.connection, model), deadline))


async def when_ready(ask: Callable[[], Awaitable[T]], deadline: float) -> T:
    """An answer; a server that is still loading its model gets time."""
    until, wait = time.monotonic() + deadline, FIRST_WAIT_S
    while True:
        try:
            return await ask()
        except TroubleError as trouble:
            if trouble.kind != "passing" or time.monotonic() + max(wait, trouble.wait) > until:
                raise EngineError(f"the server can't be used: {trouble.reason}") from None
            wait = max(wait, trouble.wait)
        await asyncio.sleep(wait)


def backoff(attempts: int) -> float:
    """Seconds to wait after that many attempts, at least one."""
    return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** (attempts - 1))
