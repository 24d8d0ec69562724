"""What the system tells of a child's process group: who is alive, and how much processor time it has used."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
ENDED = ("Z", "X")
"""Dead and not yet collected, dead: neither holds memory, on the GPU or off it."""


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
