"""The load of the machine during a measurement. Timings on a busy machine are not reliable."""

import os
import time

from fidelity.engines.processes import PROC, processor_seconds
from fidelity.records import MachineLoad


class MachineWatch:
    """Counts from its creation; `group` is the engine's process group, which isn't counted as other work."""

    def __init__(self, group: int) -> None:
        self._group = group
        self._began, self._before, self._own_before = time.monotonic(), _busy_seconds(), self._own_seconds()

    def load(self) -> MachineLoad:
        """The load since creation."""
        elapsed, busy = time.monotonic() - self._began, _busy_seconds()
        others = None
        if busy is not None and self._before is not None and elapsed > 0:
            others = max(0.0, (busy - self._before - (self._own_seconds() - self._own_before)) / elapsed)
        average = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        return MachineLoad(os.cpu_count() or 1, others, average)

    def _own_seconds(self) -> float:
        return processor_seconds(self._group) + time.process_time()


def _busy_seconds() -> float | None:
    """Busy seconds of all CPUs since boot: everything but idle and I/O wait, including stolen time."""
    try:
        fields = (PROC / "stat").read_text().partition("\n")[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _idle, _waiting, irq, softirq, steal = map(int, fields[:8])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
