"""Who may open the dashboard: this machine's names only, over HTTP and over the WebSocket, and in no other's page."""

import asyncio
import base64
import socket

import pytest
from starlette.websockets import WebSocketDisconnected

from fidelity.dashboard.server import SecurityHeaders
from tests.dashboard.test_browser import served, terminals

__all__ = ["served", "terminals"]  # fixtures
STREAM = "/_stcore/stream"


@pytest.fixture(scope="module")
def port(served, tmp_path_factory):
    return int(served(tmp_path_factory.mktemp("served")).rpartition(":")[2])


def answer(port, path, *, host, origin=None, websocket=False):
    """Status line and headers for a request that is written out, as no browser would let a page write it."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {host.format(port=port)}"]
    if origin:
        lines.append(f"Origin: {origin.format(port=port)}")
    if websocket:
        key = base64.b64encode(bytes(16)).decode()
        lines += ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}"]
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = connection.recv(65536).decode("latin-1").partition("\r\n\r\n")[0]
    status, *headers = head.split("\r\n")
    return int(status.split()[1]), {
        name.lower(): value for name, _, value in (line.partition(": ") for line in headers)
    }


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_this_machines_names_are_served(port, name):
    assert answer(port, "/", host=f"{name}:{{port}}")[0] == 200
    own = f"{name}:{{port}}"
    assert answer(port, STREAM, host=own, origin=f"http://{own}", websocket=True)[0] == 101


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil.example"]
)
def test_a_name_that_leads_here_is_refused(port, host):
    """DNS rebinding: the address of a stranger's name is changed to this machine's; Host and Origin fit each other."""
    assert answer(port, "/", host=host)[0] == 400
    for origin in (f"http://{host}", None):
        assert answer(port, STREAM, host=host, origin=origin, websocket=True)[0] in (400, 403)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1.evil.example:{port}"])
def test_a_foreign_page_opens_no_websocket(port, origin):
    assert answer(port, STREAM, host="127.0.0.1:{port}", origin=origin, websocket=True)[0] == 403


def test_no_other_page_may_frame_it(port):
    headers = answer(port, "/", host="127.0.0.1:{port}")[1]
    assert headers["x-frame-options"] == "SAMEORIGIN"
    assert "frame-ancestors 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("kind", ["websocket", "http"])
def test_a_closed_page_leaves_no_traceback(kind):
    async def closed(scope, receive, send):
        raise WebSocketDisconnected("closed")

    request = SecurityHeaders(closed)({"type": kind}, None, None)
    if kind == "websocket":
        asyncio.run(request)
    else:
        with pytest.raises(WebSocketDisconnected):
            asyncio.run(request)
