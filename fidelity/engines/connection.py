"""The line to a server: requests through the `openai` package, and every way in which one can fail, sorted."""

import asyncio
import os
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any, Literal
from urllib.parse import urlsplit

from fidelity.errors import ConfigError, EngineError, MissingPackageError

SHOWN = 300
"""Characters of what a server wrote that an error shows."""
SECRET = 8
"""Fewer characters are a placeholder that local servers take (`EMPTY`, `none`), and may stand in any text."""
PASSING = frozenset({408, 409, 425, 429})
"""With these a server asks for patience, as with 500 and above."""
NEVER_PASSING = frozenset({501, 505})
FOR_EVERY_PROMPT = frozenset({401, 402})
"""Nothing will be answered with this key."""


TroubleKind = Literal["refused", "passing", "nonsense", "unreachable"]
"""Asking again won't help; it may; the answer was none; nothing is there at the address."""


class TroubleError(Exception):
    """Why one attempt gave no answer."""

    def __init__(self, reason: str, kind: TroubleKind, *, status: int | None = None, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind
        self.status = status
        self.wait = wait
        """Seconds after which the server wants to be asked again."""


class Key:
    """A key from the environment; whatever leaves this layer goes through `hide` first."""

    def __init__(self, variable: str | None) -> None:
        """Read it.

        Raises:
            ConfigError: The variable isn't set, or holds what no HTTP header can carry.
        """
        self._value = "" if variable is None else os.environ.get(variable, "").strip()
        if variable is None:
            return
        if not self._value:
            raise ConfigError(f"api_key_env: the environment variable {variable} isn't set; put the server's key there")
        if not re.fullmatch(r"[\x21-\x7e]+", self._value):
            raise ConfigError(f"api_key_env: what the environment variable {variable} holds can't be a key")

    def hide(self, text: str) -> str:
        """The text without the key."""
        return text.replace(self._value, "[the key]") if len(self._value) >= SECRET else text

    def hide_in(self, body: bytes) -> bytes:
        """The same of what a server sent."""
        return body.replace(self._value.encode(), b"[the key]") if len(self._value) >= SECRET else body

    def headers(self) -> dict[str, str]:
        """What a request is signed with; nothing without a key."""
        return {"Authorization": f"Bearer {self._value}"} if self._value else {}


class Connection:
    """A server's address, and what it takes to ask there; used within one event loop."""

    def __init__(self, base_url: str, key: Key, *, at_once: int, timeout: float) -> None:
        """Nothing is sent yet.

        Args:
            base_url: As the openai package takes it.
            key: Goes to this address and nowhere else.
            at_once: The most requests under way.
            timeout: Seconds that a request may take, its answer included.

        Raises:
            MissingPackageError: `openai` is not installed.
        """
        try:
            import openai
        except ImportError as error:
            raise MissingPackageError("openai", extra="openai", needed_by=f"the server at {base_url}") from error
        self._openai = openai
        self.address = base_url
        self._key = key
        self._timeout = timeout
        nothing = openai.Omit()  # else the package sends what it finds in the environment
        signed = key.headers() or {"Authorization": nothing}
        self._headers = {**signed, "OpenAI-Organization": nothing, "OpenAI-Project": nothing}
        self._client = openai.AsyncOpenAI(
            base_url=base_url,
            api_key="unused",
            max_retries=0,  # who asks decides, with the patience that the user gave
            http_client=openai.DefaultAsyncHttpxClient(
                follow_redirects=False,  # a key would go along
                trust_env=not is_loopback(base_url),  # no proxy stands between this machine and itself
                timeout=openai.Timeout(timeout, connect=min(timeout, 30.0)),
                limits=_limits(openai, at_once),
            ),
        )

    def beside(self, path: str) -> str:
        """The URL of what a server has outside OpenAI's protocol, which it mostly speaks below `/v1`."""
        return self.address.removesuffix("/v1") + path

    async def close(self) -> None:
        """Hang up."""
        await self._client.close()

    async def get(self, path: str) -> bytes:
        """The body that lies there; `path` is relative to the address, or a whole URL on the same machine.

        Raises:
            TroubleError: There was no answer, or one that says no.
            EngineError: This server will answer nobody: it leads elsewhere, or its certificate doesn't fit.
        """
        return await self._send(self._client.get, path)

    async def post(self, path: str, body: Mapping[str, object]) -> bytes:
        """The body of the answer to a request.

        Raises:
            TroubleError: There was no answer, or one that says no.
            EngineError: This server will answer nobody: it leads elsewhere, its certificate doesn't fit, or it doesn't
                take the key.
        """
        return await self._send(self._client.post, path, body=dict(body))

    async def _send(self, method: Any, path: str, **arguments: Any) -> bytes:
        try:
            async with asyncio.timeout(self._timeout):
                answer = await method(
                    path,
                    cast_to=self._openai.HttpxBinaryResponseContent,
                    options={"headers": self._headers},
                    **arguments,
                )
            return self._key.hide_in(answer.content)
        except TimeoutError:
            raise TroubleError(f"no answer within {self._timeout:.4g} s", "passing") from None
        except self._openai.OpenAIError as error:
            raise self._sorted(error) from None  # its own text may hold the request, and that the key

    def _sorted(self, error: Any) -> TroubleError | EngineError:
        if isinstance(error, self._openai.APIStatusError):
            return self._status(error)
        causes = list(_chain(error))
        detail = self._key.hide(str(causes[-1]))[:SHOWN] or type(causes[-1]).__name__
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
            return EngineError(f"{self.address}: its certificate doesn't fit ({detail}); nothing was sent")
        if any(isinstance(cause, ssl.SSLError) for cause in causes):
            return EngineError(f"{self.address}: no encrypted connection comes about ({detail}); is it https?")
        connecting = any(type(cause).__name__ in ("ConnectError", "ConnectTimeout") for cause in causes)
        if connecting:
            return TroubleError(f"nothing can be reached at {self.address} ({detail})", "unreachable")
        if isinstance(error, self._openai.APITimeoutError):
            return TroubleError(f"no answer within {self._timeout:.4g} s", "passing")
        return TroubleError(f"the connection broke off ({detail})", "passing")

    def _status(self, error: Any) -> TroubleError | EngineError:
        status, detail = error.status_code, self._key.hide(_message(error))
        if 300 <= status < 400:
            elsewhere = self._key.hide(error.response.headers.get("location", "an address that it doesn't name"))
            return EngineError(
                f"{self.address}: it leads elsewhere (HTTP {status}, {elsewhere}); that isn't followed, since the "
                f"prompts and the key would go along: write the other address as base_url if it is meant"
            )
        if status in FOR_EVERY_PROMPT or error.code == "insufficient_quota":
            return EngineError(
                f"{self.address}: it takes no requests with this key, or without one (HTTP {status}: {detail}); see "
                f"api_key_env; what was answered is kept"
            )
        passes = status in PASSING or (status >= 500 and status not in NEVER_PASSING)
        wait = _seconds(error.response.headers.get("retry-after"))
        return TroubleError(f"HTTP {status}: {detail}", "passing" if passes else "refused", status=status, wait=wait)


def is_loopback(address: str) -> bool:
    """Whether it names this very machine."""
    host = urlsplit(address).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _limits(openai: Any, at_once: int) -> Any:
    """As many connections as are needed, all kept open."""
    limits = openai.DEFAULT_CONNECTION_LIMITS
    return type(limits)(max_connections=max(at_once, 1), max_keepalive_connections=max(at_once, 1))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and what led to it, the last being the first to happen."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _message(error: Any) -> str:
    """What the server wrote, in one line."""
    body = error.body
    message = body.get("message") or body if isinstance(body, dict) else body
    return " ".join(str(message or error.response.reason_phrase).split())[:SHOWN]


def _seconds(retry_after: str | None) -> float:
    """What `Retry-After` says, which is a number of seconds or a date; 0 where it says neither."""
    if retry_after is None:
        return 0.0
    if re.fullmatch(r"\s*\d{1,9}(\.\d+)?\s*", retry_after):
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0
