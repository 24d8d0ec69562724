"""A child's process group: its live processes, CPU time, exit, and termination."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
ENDED = ("Z", "X")
"""The states zombie and dead, which hold no memory."""
LAST_LINES = 15
"""How much of an engine's log an error message shows."""
HINTS = {
    signal.SIGILL: "a kernel uses an instruction that this CPU lacks; try another format or option",
    signal.SIGKILL: "it was killed by a user or by the system, for example because memory ran out",
    signal.SIGSEGV: "a kernel crashed; try another format or engine option",
    signal.SIGBUS: "shared memory (/dev/shm) may be too small, or a model file was truncated while it was read",
}


def members(group: int) -> Iterator[tuple[int, float]]:
    """The live processes of a group with their CPU seconds; empty without /proc."""
    ticks = os.sysconf("SC_CLK_TCK")
    for stat in PROC.glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()  # the process name before it can contain anything
        except OSError:
            continue  # it has exited in the meantime
        if int(fields[2]) == group and fields[0] not in ENDED:
            yield int(stat.parent.name), (int(fields[11]) + int(fields[12])) / ticks


def processor_seconds(group: int) -> float:
    """CPU seconds of the live processes of a group, in all threads."""
    return sum(seconds for _, seconds in members(group))


def wait_until_gone(group: int, *, patience: float) -> bool:
    """Wait until the group has no live process, which frees the GPU's memory. Returns False on timeout."""
    until = time.monotonic() + patience
    while any(True for _ in members(group)):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def oom_kills() -> int:
    """The number of processes that the system has killed since boot because memory ran out; 0 if unknown."""
    try:
        lines = (PROC / "vmstat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


def how_it_ended(code: int, *, oom_kills_before: int) -> str:
    """An exit code in words, with possible reasons for a signal."""
    if code >= 0:
        return f"ended with exit code {code}"
    killer = signal.Signals(-code)
    hint = HINTS.get(killer)
    if killer is signal.SIGKILL and oom_kills() > oom_kills_before:
        hint = "the system ran out of memory; use a shorter context (max_model_len) or smaller batches"
    return f"was killed by {killer.name}" + (f" ({hint})" if hint else "")


def last_lines(log: Path) -> str:
    """The end of an engine's log, for an error message."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    tail = "\n".join(f"  | {line}" for line in lines[-LAST_LINES:])
    return f"\nThe engine's last lines ({log}):\n{tail}" if tail else ""


def ended(process: "subprocess.Popen[bytes]", *, patience: float, at_once: bool = False) -> None:
    """Close the pipes of a group's first process, which ends it, then kill whatever is left of the group."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()
    with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
        process.wait(timeout=0 if at_once else patience)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_until_gone(process.pid, patience=patience)
