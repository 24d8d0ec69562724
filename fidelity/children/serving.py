"""Supervises a server: `python -m fidelity.children.serving COMMAND...` runs it until it exits or stdin closes.

The parent keeps stdin open, so no server outlives a killed command.
"""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

LAST_BREATH_S = 20.0
"""Seconds for the server to shut down before its process group is killed."""


def keep_company(command: list[str]) -> None:
    """Run the server, and exit with its exit code."""
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - a list, no shell
    closed = threading.Event()
    ending = threading.Thread(target=_end_with_stdin, args=(server, closed), daemon=True)
    ending.start()
    code = server.wait()
    if closed.is_set():
        ending.join()  # which ends this process too
    if code < 0:  # killed by this signal
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    os._exit(code)  # whatever the other thread is doing


def _end_with_stdin(server: "subprocess.Popen[bytes]", closed: threading.Event) -> None:
    while os.read(0, 1):
        pass
    closed.set()
    server.terminate()
    with suppress(subprocess.TimeoutExpired):
        server.wait(timeout=LAST_BREATH_S)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    keep_company(sys.argv[1:])
