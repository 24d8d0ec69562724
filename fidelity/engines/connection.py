"""The connection to a server: requests through the `openai` package, and a classification of their failures."""

import asyncio
import os
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from fidelity.engines.bodies import LARGEST, bound, largest
from fidelity.engines.trouble import TroubleError
from fidelity.errors import ConfigError, EngineError, MissingPackageError
from fidelity.outside.secrets import Secrets
from fidelity.outside.strings import one_line

SHOWN = 300
"""The maximum length of a server's text in an error message."""
PASSING = frozenset({408, 409, 425, 429})
"""HTTP statuses that mean "try again later", like 500 and above."""
NEVER_PASSING = frozenset({501, 505})
FOR_EVERY_PROMPT = frozenset({401, 402})
"""HTTP statuses that mean that the key is refused."""


class Key:
    """A key from the environment; whatever leaves this layer goes through `secrets` first."""

    def __init__(self, variable: str | None) -> None:
        """Read the key.

        Raises:
            ConfigError: The variable isn't set, or its value is invalid in an HTTP header.
        """
        self._value = "" if variable is None else os.environ.get(variable, "").strip()
        self.secrets = Secrets([self._value])
        if variable is None:
            return
        if not self._value:
            raise ConfigError(f"api_key_env: the environment variable {variable} isn't set; put the server's key there")
        if not re.fullmatch(r"[\x21-\x7e]+", self._value):
            raise ConfigError(f"api_key_env: the value of the environment variable {variable} is not a valid key")

    def headers(self) -> dict[str, str]:
        """The authorization header; empty without a key."""
        return {"Authorization": f"Bearer {self._value}"} if self._value else {}


class Connection:
    """A connection to a server's address, used within one event loop."""

    def __init__(self, base_url: str, key: Key, *, at_once: int, timeout: float) -> None:
        """Prepare the connection. Nothing is sent yet.

        Args:
            base_url: The base URL, as for the openai package.
            key: The key, which is only sent to this address.
            at_once: The maximum number of requests in flight.
            timeout: The time limit of a request and its answer, in seconds.

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
        nothing = openai.Omit()  # else the package would send a key from the environment
        signed = key.headers() or {"Authorization": nothing}
        self._headers = {**signed, "OpenAI-Organization": nothing, "OpenAI-Project": nothing}
        self._client = openai.AsyncOpenAI(
            base_url=base_url,
            api_key="unused",
            max_retries=0,  # the caller retries, with the user's patience
            http_client=openai.DefaultAsyncHttpxClient(
                follow_redirects=False,  # a redirect would get the key
                trust_env=not is_loopback(base_url),  # no proxy for this machine itself
                event_hooks={"response": [bound]},
                timeout=openai.Timeout(timeout, connect=min(timeout, 30.0)),
                limits=_limits(openai, at_once),
            ),
        )

    def beside(self, path: str) -> str:
        """The URL of an endpoint outside OpenAI's protocol, which is usually below `/v1`."""
        return self.address.removesuffix("/v1") + path

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()

    async def get(self, path: str) -> bytes:
        """GET a body. `path` is relative to the address, or a full URL on the same machine.

        Raises:
            TroubleError: There was no answer, or an error.
            EngineError: The server is unusable: it redirects, or its certificate is invalid.
        """
        largest.set(LARGEST)
        return await self._send(self._client.get, path)

    async def post(self, path: str, body: Mapping[str, object], *, most: int = LARGEST) -> bytes:
        """The body of the answer to a request, of so many bytes at most.

        Raises:
            TroubleError: There was no answer, or an error.
            EngineError: The server is unusable: it redirects, its certificate is invalid, or it refuses the key.
        """
        largest.set(most)
        return await self._send(self._client.post, path, body=dict(body))

    async def _send(self, method: Any, path: str, **arguments: Any) -> bytes:
        try:
            async with asyncio.timeout(self._timeout):
                answer = await method(
                    path,
                    cast_to=self._openai.HttpxBinaryResponseContent,
                    options={"headers": {**self._headers, "Accept-Encoding": "gzip, deflate"}},
                    **arguments,
                )
            return self._key.secrets.hide_in(answer.content)
        except TimeoutError:
            raise TroubleError(f"no answer within {self._timeout:.4g} s", "passing") from None
        except self._openai.OpenAIError as error:
            raise self._sorted(error) from None  # its text can contain the request, and thereby the key

    def _sorted(self, error: Any) -> TroubleError | EngineError:
        if isinstance(error, self._openai.APIStatusError):
            return self._status(error)
        causes = list(_chain(error))
        for cause in causes:
            if isinstance(cause, TroubleError):
                return cause
        detail = one_line(self._key.secrets.hide(str(causes[-1])), most=SHOWN) or type(causes[-1]).__name__
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
            return EngineError(f"{self.address}: its certificate is invalid ({detail}); nothing was sent")
        if any(isinstance(cause, ssl.SSLError) for cause in causes):
            return EngineError(
                f"{self.address}: no encrypted connection is possible ({detail}); check that the server uses https"
            )
        connecting = any(type(cause).__name__ in ("ConnectError", "ConnectTimeout") for cause in causes)
        if connecting:
            return TroubleError(f"{self.address} can't be reached ({detail})", "unreachable")
        if isinstance(error, self._openai.APITimeoutError):
            return TroubleError(f"no answer within {self._timeout:.4g} s", "passing")
        return TroubleError(f"the connection was interrupted ({detail})", "passing")

    def _status(self, error: Any) -> TroubleError | EngineError:
        status, detail = error.status_code, one_line(self._key.secrets.hide(_message(error)), most=SHOWN)
        if 300 <= status < 400:
            location = error.response.headers.get("location", "to an unknown address")
            elsewhere = one_line(self._key.secrets.hide(location), most=SHOWN)
            return EngineError(
                f"{self.address}: leads elsewhere (HTTP {status}, {elsewhere}); redirects aren't followed, since the "
                f"other server would get the prompts and the key: write that address as base_url if you trust it"
            )
        if status in FOR_EVERY_PROMPT or error.code == "insufficient_quota":
            return EngineError(
                f"{self.address}: refuses the key, or needs one (HTTP {status}: {detail}); set api_key_env; finished "
                f"answers are saved"
            )
        passes = status in PASSING or (status >= 500 and status not in NEVER_PASSING)
        wait = _seconds(error.response.headers.get("retry-after"))
        return TroubleError(f"HTTP {status}: {detail}", "passing" if passes else "refused", status=status, wait=wait)


def is_loopback(address: str) -> bool:
    """Whether the host is this machine."""
    host = urlsplit(address).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _limits(openai: Any, at_once: int) -> Any:
    """Connection limits: as many as needed, all of them reused."""
    limits = openai.DEFAULT_CONNECTION_LIMITS
    return type(limits)(max_connections=max(at_once, 1), max_keepalive_connections=max(at_once, 1))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and its causes, the root cause last."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _message(error: Any) -> str:
    """The server's text, on one line."""
    body = error.body
    message = body.get("message") or body if isinstance(body, dict) else body
    return str(message or error.response.reason_phrase)


def _seconds(retry_after: str | None) -> float:
    """The seconds of `Retry-After`, which is a number or a date; 0 if it is neither."""
    if retry_after is None:
        return 0.0
    if re.fullmatch(r"\s*\d{1,9}(\.\d+)?\s*", retry_after):
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0
