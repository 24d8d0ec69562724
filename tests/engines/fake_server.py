"""An OpenAI-compatible server in a thread, whose answers and faults are what a test says."""

import asyncio
import gc
import json
import ssl
import threading
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: dict[str, Any] | None

    @property
    def text(self) -> str:
        """The last message's, or the prompt's."""
        assert self.body is not None
        return self.body["prompt"] if "prompt" in self.body else self.body["messages"][-1]["content"]


@dataclass
class Reply:
    body: bytes | dict[str, Any]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    """Hang up after so many bytes of the body."""
    stall: bool = False
    """Say nothing, or no more than `cut`, for ever."""
    seconds: float = 0.0

    def head(self) -> bytes:
        headers = {"content-type": "application/json", "content-length": str(len(self.content)), **self.headers}
        lines = [f"HTTP/1.1 {self.status} {'OK' if self.status == 200 else 'Whatever'}"]
        return "\r\n".join([*lines, *(f"{k}: {v}" for k, v in headers.items()), "", ""]).encode()

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Answer = Callable[[Request], Reply | Awaitable[Reply]]


def text_reply(text: str | None = "Yes.", **more: Any) -> Reply:
    """A chat answer; `message` adds to the message, everything else to the choice."""
    message = {"role": "assistant", "content": text, **more.pop("message", {})}
    return Reply({"id": "1", "choices": [{"index": 0, "message": message, "finish_reason": "stop", **more}]})


def listing(*models: dict[str, Any]) -> Reply:
    return Reply({"object": "list", "data": list(models)})


class FakeServer:
    """Listens while it is entered; `asked` holds what was asked for, the listing of models left out."""

    def __init__(self, answer: Answer, *, models: Reply | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.models = models or listing({"id": "m", "owned_by": "somebody"})
        self.beside: dict[str, Reply] = {}
        """What lies at other paths."""
        self.asked: list[Request] = []
        self.seen: list[Request] = []
        """All requests."""
        self.port = 0
        self._tls = tls
        self._connections: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> "FakeServer":
        up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._listen(up)), daemon=True)
        self._thread.start()
        assert up.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        with warnings.catch_warnings(action="ignore", category=ResourceWarning):
            gc.collect()  # sockets that came while it was being closed: asyncio leaves them to the collector

    async def _listen(self, up: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, ssl=self._tls, backlog=500, reuse_address=True
        )
        self.port = server.sockets[0].getsockname()[1]
        up.set()
        await self._stop.wait()
        server.close()
        await asyncio.sleep(0.05)  # what was accepted before has its handler then
        writers = dict(self._connections)
        for writer, handler in writers.items():
            writer.transport.abort()
            handler.cancel()
        await asyncio.gather(*writers.values(), return_exceptions=True)
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.current_task()
        assert handler
        self._connections[writer] = handler
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError, ssl.SSLError):
            pass
        finally:
            del self._connections[writer]
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False to hang up."""
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        request = Request(first.split()[1], headers, json.loads(body) if body else None)
        self.seen.append(request)
        reply = await self._reply(request)
        await asyncio.sleep(reply.seconds)
        if reply.stall and reply.cut is None:
            await asyncio.sleep(3600)
        writer.write(reply.head() + reply.content[: reply.cut])
        await writer.drain()
        if reply.stall:
            await asyncio.sleep(3600)
        return reply.cut is None

    async def _reply(self, request: Request) -> Reply:
        if request.path == "/v1/models":
            return self.models
        if request.body is None:
            return self.beside.get(request.path, Reply({"error": {"message": "no such thing"}}, status=404))
        self.asked.append(request)
        reply = self.answer(request)
        return reply if isinstance(reply, Reply) else await reply
