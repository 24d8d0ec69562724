"""How much of an answer is read: a body without end, or one that grows when it is unpacked, ends here."""

import zlib
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from typing import Any

from fidelity.engines.trouble import TroubleError

LARGEST = 32 << 20
"""Bytes of an answer, unpacked: a hundred times what the longest answers take, token ids and logprobs included."""
largest: ContextVar[int] = ContextVar("largest", default=LARGEST)
"""For the requests of the current task, of which some ask for more, such as every token's alternatives."""
UNPACKED = ("gzip", "x-gzip", "deflate")
BLOCK = 1 << 16
"""Bytes that are unpacked at a time."""


async def bound(response: Any) -> None:
    """An event hook for responses of httpx, which unpacks a block whatever it grows to.

    https://www.python-httpx.org/advanced/event-hooks/
    """
    names = response.headers.pop("content-encoding", "").split(",")
    encodings = [name.strip().lower() for name in names if name.strip().lower() not in ("", "identity")]
    response.stream = _bounded(response.stream, encodings, largest.get())


def _bounded(stream: Any, encodings: list[str], most: int) -> Any:
    """A stream of the same library: openai's versions come with httpx or its successor."""
    (base,) = (kind for kind in type(stream).__mro__ if kind.__name__ == "AsyncByteStream")

    class BoundedStream(base):  # type: ignore[misc, valid-type]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            left, unpack = most, _unpacker(encodings)
            async for block in stream:
                for piece in unpack(block):
                    left -= len(piece)
                    if left < 0:
                        raise TroubleError(f"the server answered with more than {most >> 20} MiB", "nonsense")
                    yield piece

        async def aclose(self) -> None:
            await stream.aclose()

    return BoundedStream()


def _unpacker(encodings: list[str]) -> Any:
    """A function that gives a block of a body, unpacked piece by piece."""
    if not encodings:
        return lambda block: [block]
    if len(encodings) > 1 or encodings[0] not in UNPACKED:
        raise TroubleError(f"the server answered in {', '.join(encodings)[:80]}, which wasn't asked for", "nonsense")
    packed = zlib.decompressobj(wbits=47)  # gzip and zlib, by the header

    def pieces(block: bytes) -> Iterator[bytes]:
        try:
            while block and not packed.eof:
                yield packed.decompress(block, BLOCK)
                block = packed.unconsumed_tail
        except zlib.error as error:
            raise TroubleError(f"the server answered with a damaged {encodings[0]} ({error})", "nonsense") from None

    return pieces
