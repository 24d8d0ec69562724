"""What the command line prints: nothing that models, servers or files wrote acts on a terminal or in a CI's log."""

import sys
from typing import TYPE_CHECKING, TextIO

from fidelity.outside.strings import inert

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderResult

WIDE = 10_000
"""Columns of a terminal that wraps nothing."""


def echo(text: object, *, to: TextIO | None = None, end: str = "\n") -> None:
    """Print text to stdout, or to another stream."""
    print(inert(str(text)), end=end, file=to or sys.stdout, flush=True)


def open_console(**settings: int) -> "Console":
    """A console of rich: its own colors stay, and what models, servers or files wrote is `inert`."""
    from rich.console import Console, RenderHook

    class VisibleText(RenderHook):
        def process_renderables(self, renderables: "list[ConsoleRenderable]") -> "list[ConsoleRenderable]":
            return [_Visible(renderable) for renderable in renderables]

    console = Console(**settings)  # type: ignore[arg-type]
    console.push_render_hook(VisibleText())
    return console


class _Visible:
    def __init__(self, renderable: "ConsoleRenderable") -> None:
        self._renderable = renderable

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.segment import Segment

        line = ""
        for segment in console.render(self._renderable, options):
            if segment.control:
                yield segment
                continue
            before, line = line, line + segment.text
            yield Segment(inert(line)[len(inert(before)) :], segment.style)  # a command can be in several segments
            line = line.rpartition("\n")[2]
