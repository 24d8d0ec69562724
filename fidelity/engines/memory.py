"""Measuring the peak memory of an engine's processes from outside."""

import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence

from fidelity.engines.processes import PROC, members
from fidelity.store.measurements import MemoryUse

SHORTEST_WAIT_S = 0.2
"""Seconds between two samples."""
SHARE_OF_A_PROCESSOR = 0.03
"""The share of time that sampling can take while memory grows: longer samples are followed by longer waits."""
LISTED_S = 2.0
"""Seconds that the list of processes stays valid, since creating it reads all of /proc."""
GPU_WAIT_S = 5.0
"""Seconds between two queries to the driver. Its count hardly changes after loading."""
KIB, MIB = 1 << 10, 1 << 20
GROWTH = 8 * MIB
"""The growth of resident memory after which PSS is read again, which takes the kernel 6 ms per GB."""


class MemoryWatch:
    """Samples a process group in a separate thread, from its creation until it is stopped."""

    def __init__(self, group: int, *, gpus: Sequence[str] = ()) -> None:
        """Start sampling; `gpus` are those that the group uses (default: all)."""
        self._group = group
        self._which = [f"--id={','.join(gpus)}"] if gpus else []
        self._pss = self._rss = self._own = self._rss_at_pss = 0
        self._pids: list[int] = []
        self._listed = -LISTED_S
        self._gpu, self._gpu_by = 0, "process"
        self._gpu_asked = -GPU_WAIT_S
        self._gpu_before = self._gpu_total() if shutil.which("nvidia-smi") else None
        self._stopped = threading.Event()
        self._looking = threading.Lock()
        self._thread = threading.Thread(target=self._look_on, name="memory", daemon=True)
        self._thread.start()

    def peak(self) -> MemoryUse:
        """The peak so far, after one more sample."""
        self._look(ask_driver=True)
        gpu = None if self._gpu_before is None else self._gpu
        own = self._own and self._own + sum(map(_data_files, self._pids))
        return MemoryUse(
            pss=self._pss or None,
            rss=self._rss or None,
            own=own or None,
            gpu=gpu,
            gpu_by=self._gpu_by if gpu else None,
        )

    def stop(self) -> None:
        """Stop the thread. The peak remains available."""
        self._stopped.set()
        self._thread.join()

    def _look_on(self) -> None:
        wait = 0.0
        while not self._stopped.wait(wait):
            began = time.thread_time()
            self._look()
            wait = max(SHORTEST_WAIT_S, (time.thread_time() - began) / SHARE_OF_A_PROCESSOR)

    def _look(self, *, ask_driver: bool = False) -> None:
        with self._looking:
            if time.monotonic() - self._listed > LISTED_S:
                self._pids, self._listed = [pid for pid, _ in members(self._group)], time.monotonic()
            resident = [_status(pid) for pid in self._pids]
            now = sum(rss for rss, _ in resident)
            if now > self._rss_at_pss + GROWTH:
                self._rss_at_pss = now
                shares = [_shares(pid) for pid in self._pids]
                self._pss = max(self._pss, sum(share.get("Pss", 0) for share in shares))
                own = [share.get("Pss_Anon", 0) + share.get("Pss_Shmem", 0) for share in shares]
                self._own = max(self._own, sum(own))
            highest = resident[0][1] if len(resident) == 1 else now
            self._rss = max(self._rss, highest)
            if self._gpu_before is not None and (ask_driver or time.monotonic() - self._gpu_asked > GPU_WAIT_S):
                self._ask_driver(set(self._pids), self._gpu_before)

    def _ask_driver(self, pids: set[int], before: int) -> None:
        self._gpu_asked = time.monotonic()
        listed = _query("--query-compute-apps=pid,used_memory")
        own = [
            int(cells[1]) * MIB
            for cells in listed
            if len(cells) == 2 and cells[1].isdecimal() and int(cells[0]) in pids
        ]
        if own:
            self._gpu, self._gpu_by = max(self._gpu if self._gpu_by == "process" else 0, sum(own)), "process"
        elif not self._gpu or self._gpu_by == "total":
            self._gpu, self._gpu_by = max(self._gpu, self._gpu_total() - before), "total"

    def _gpu_total(self) -> int:
        """The memory in use on the group's GPUs, in bytes."""
        rows = _query("--query-gpu=memory.used", *self._which)
        return sum(int(cells[0]) * MIB for cells in rows if cells[0].isdecimal())


def _status(pid: int) -> tuple[int, int]:
    """Current and peak resident memory in bytes; 0 for a process that has exited."""
    try:
        text = (PROC / str(pid) / "status").read_text()
    except OSError:
        return 0, 0
    fields = dict(line.split(":", 1) for line in text.splitlines() if line.startswith(("VmRSS", "VmHWM")))
    now, highest = (int(fields.get(name, "0 kB").split()[0]) * KIB for name in ("VmRSS", "VmHWM"))
    return now, highest


def _shares(pid: int) -> dict[str, int]:
    """A process's proportional set size in bytes, as a whole and by kind; empty if it has exited."""
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return {}
    rows = (line.split() for line in lines if line.startswith("Pss"))
    return {name.rstrip(":"): int(size) * KIB for name, size, _ in rows}


def _data_files(pid: int) -> int:
    """The bytes of mapped files without code, such as weights; 0 for a process that has exited.

    A file that is executable anywhere in the process is a program or a library.
    """
    try:
        maps = (PROC / str(pid) / "smaps").read_text(errors="replace")
    except OSError:
        return 0
    files = list(_mapped_files(maps))
    programs = {file for file, executable, _ in files if executable}
    return sum(size for file, _, size in files if file not in programs)


def _mapped_files(maps: str) -> Iterator[tuple[str, bool, int]]:
    """Path, whether it is executable there, and bytes in memory of each mapped file of an `smaps`."""
    for mapping in _MAPPING.finditer(maps):
        sizes = dict(re.findall(r"^(Pss|Anonymous): +(\d+) kB$", mapping["sizes"], re.MULTILINE))
        if mapping["inode"] != "0" and not mapping["path"].startswith(_MEMORY):
            in_file = int(sizes.get("Pss", 0)) - int(sizes.get("Anonymous", 0))  # what was written isn't the file's
            yield mapping["path"], mapping["mode"][2] == "x", max(0, in_file) * KIB


_MAPPING = re.compile(
    r"^[0-9a-f]+-[0-9a-f]+ (?P<mode>\S{4}) \S+ \S+ (?P<inode>\d+) *(?P<path>.*)\n(?P<sizes>(?:[A-Z]\w+:.*\n?)*)",
    re.MULTILINE,
)
_MEMORY = ("/dev/shm/", "/memfd:", "/SYSV", "/dev/zero")  # noqa: S108 - names in a list, opened by nobody
"""Files that are memory, which `Pss_Shmem` has."""


def _query(*what: str) -> list[list[str]]:
    """The rows of nvidia-smi's output; empty if it fails."""
    try:
        output = subprocess.run(  # noqa: S603 - a list, no shell
            ["nvidia-smi", *what, "--format=csv,noheader,nounits"],  # noqa: S607 - on the PATH of whoever installed the driver
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [[cell.strip() for cell in line.split(",")] for line in output.splitlines() if line.strip()]
