"""A child's process group: who is alive, how much processor time it has used, how it ended, and ending it."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
ENDED = ("Z", "X")
"""Dead and not yet collected, dead: neither holds memory, on the GPU or off it."""
LAST_LINES = 15
"""How much of an engine's log an error shows."""
HINTS = {
    signal.SIGILL: "a kernel uses an instruction that this processor lacks; another format or option may avoid it",
    signal.SIGKILL: "somebody or the system ended it, which it also does when memory runs out",
    signal.SIGSEGV: "a kernel crashed; another format or engine option may avoid it",
    signal.SIGBUS: "shared memory may be too small (/dev/shm), or a file of the model was cut while it was read",
}


def members(group: int) -> Iterator[tuple[int, float]]:
    """The live processes of a group with the processor seconds each has used; none where there is no /proc."""
    ticks = os.sysconf("SC_CLK_TCK")
    for stat in PROC.glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()  # the name before it may hold anything
        except OSError:
            continue  # ended meanwhile
        if int(fields[2]) == group and fields[0] not in ENDED:
            yield int(stat.parent.name), (int(fields[11]) + int(fields[12])) / ticks


def processor_seconds(group: int) -> float:
    """What the live processes of a group have used, in all threads."""
    return sum(seconds for _, seconds in members(group))


def wait_until_gone(group: int, *, patience: float) -> bool:
    """Wait until no process of the group lives: only then is the GPU's memory surely free. False if time ran out."""
    until = time.monotonic() + patience
    while any(True for _ in members(group)):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def oom_kills() -> int:
    """How many processes the system has killed since it started because memory ran out; 0 where it doesn't say."""
    try:
        lines = (PROC / "vmstat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


def how_it_ended(code: int, *, oom_kills_before: int) -> str:
    """An exit code in words, with what a signal may mean."""
    if code >= 0:
        return f"ended with exit code {code}"
    killer = signal.Signals(-code)
    hint = HINTS.get(killer)
    if killer is signal.SIGKILL and oom_kills() > oom_kills_before:
        hint = "the system ran out of memory; a shorter context (max_model_len) or a smaller chunk needs less"
    return f"was killed by {killer.name}" + (f" ({hint})" if hint else "")


def last_lines(log: Path) -> str:
    """The end of an engine's log, for an error."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    tail = "\n".join(f"  | {line}" for line in lines[-LAST_LINES:])
    return f"\nThe engine's last lines ({log}):\n{tail}" if tail else ""


def ended(process: "subprocess.Popen[bytes]", *, patience: float, at_once: bool = False) -> None:
    """Close the pipes of a group's first process, which ends it; then make sure that nothing of the group is left."""
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
