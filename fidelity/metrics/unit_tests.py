"""Unit tests of answers' code, in a subprocess with limits.

The limits stop runaway code. They are no boundary against code that attacks: run fidelity in a container for that.
"""

import os
import secrets
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

BYTES_OF_MEMORY = 1 << 30
BYTES_OF_FILES = 1 << 20
PROGRAM = """
import ctypes, os, resource, sys
seconds, memory, files = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
resource.setrlimit(resource.RLIMIT_FSIZE, (files, files))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
try:
    ctypes.CDLL(None).unshare(0x10000000 | 0x40000000)  # CLONE_NEWUSER | CLONE_NEWNET: no network
except (AttributeError, OSError):
    pass
resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
passed, test, code = sys.stdin.read().split("\\0", 2)
names = {"__name__": "answer"}
exec(compile(code, "answer", "exec"), names)
exec(compile(test, "test", "exec"), names)
os.write(3, passed.encode())
"""
"""Reads the word that reports success, the test and the code from its standard input. The word is unknown to the code
as long as that doesn't look for it, so that leaving early, as by os._exit(0), isn't a pass."""


def passes(code: str, test: str, *, seconds: float) -> bool:
    """Whether a test runs to its end after an answer's code, within limits of time, memory and files.

    It has no network where the kernel allows user namespaces, an empty environment, an empty directory and no input.
    Everything else is wrong: an exception, the end of the time, a limit, an output that is no Python.
    """
    if "\0" in code or "\0" in test:
        return False
    passed = secrets.token_hex(16)
    limits = [str(max(1, round(seconds + 0.5))), str(BYTES_OF_MEMORY), str(BYTES_OF_FILES)]
    with tempfile.TemporaryDirectory() as folder:
        reads, writes = os.pipe()
        try:
            return _report(limits, f"{passed}\0{test}\0{code}", Path(folder), reads, writes, seconds) == passed
        finally:
            os.close(reads)


def _report(limits: list[str], given: str, folder: Path, reads: int, writes: int, seconds: float) -> str:
    """What the program reports; empty if it ended without."""
    try:
        child = subprocess.Popen(  # noqa: S603 - a Python of this machine with fixed arguments
            [sys.executable, "-I", "-S", "-c", _with_pipe(writes), *limits],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={"PYTHONHASHSEED": "0"},
            pass_fds=[writes],
            start_new_session=True,
        )
    finally:
        os.close(writes)
    try:
        child.communicate(given.encode("utf-8", "replace"), timeout=seconds)
        os.set_blocking(reads, False)
        with suppress(BlockingIOError):
            return os.read(reads, 64).decode(errors="replace") if child.returncode == 0 else ""
    except subprocess.TimeoutExpired:
        pass
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    return ""


def _with_pipe(writes: int) -> str:
    return PROGRAM.replace("os.write(3,", f"os.write({writes},")
