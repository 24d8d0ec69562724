"""Connecting to a Ray cluster."""

import socket
from typing import Any

from fidelity.errors import EngineError, MissingPackageError

PATIENCE_S = 10.0
"""Seconds until a cluster that doesn't answer isn't there."""


def connected(address: str, *, option: str) -> Any:
    """The module `ray`, connected to a cluster: HOST:PORT, or `auto` for the one of this machine.

    Args:
        address: Where the cluster is.
        option: What asks for it on the command line, for messages.

    Raises:
        MissingPackageError: Ray is not installed.
        EngineError: There is no cluster.
    """
    try:
        import ray
    except ImportError as error:
        raise MissingPackageError("ray", extra="ray", needed_by=option) from error
    try:
        if not ray.is_initialized():
            _check_port(address)
            ray.init(address=address, log_to_driver=False, logging_level="error")
    except OSError as error:
        raise EngineError(f"{option}: no cluster ({error}); start one: ray start --head") from error
    return ray


def _check_port(address: str) -> None:
    """Fail where nothing listens, since Ray tries for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=PATIENCE_S).close()
