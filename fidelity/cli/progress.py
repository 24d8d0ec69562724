"""Progress of a command, on stderr."""

import argparse
import sys
import time

from fidelity.outside.strings import inert


class ProgressBar:
    """Progress on stderr: a line that is rewritten on a terminal, a line every ten seconds elsewhere."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        """Take `--quiet` and `--verbose` from the command's arguments."""
        self._quiet: bool = chosen.quiet
        self._began = time.monotonic() if chosen.verbose else None
        self._live = sys.stderr.isatty()
        self._due = time.monotonic() + (0 if self._live else 10)
        self._before = 0

    def say(self, text: str) -> None:
        self._print(text, end="\n")

    def progress(self, run: str, done: int, total: int, tokens: int, seconds: float) -> None:
        finished = done >= total
        if not seconds:
            self._before = done  # prompts that an earlier command finished don't count toward the speed of this one
        if not finished and time.monotonic() < self._due:
            return
        self._due = time.monotonic() + (0.5 if self._live else 10)
        rate = f", {tokens / seconds:.0f} tokens/s" if seconds > 1 else ""
        fresh = done - self._before
        left = f", about {seconds / fresh * (total - done):.0f} s left" if fresh and not finished else ""
        self._print(f"{run}: {done} of {total} prompts{rate}{left}", end="\n" if finished or not self._live else "")

    def _print(self, text: str, *, end: str) -> None:
        if self._quiet:
            return
        if self._began is not None:
            text = f"{time.monotonic() - self._began:8.1f} s  {text}"
        clear = "\r\x1b[K" if self._live else ""
        print(f"{clear}{inert(text)}", end=end, file=sys.stderr, flush=True)
