"""What the command line prints: nothing that models, servers or files wrote acts on a terminal or in a CI's log."""

import sys
from typing import TYPE_CHECKING, TextIO

from fidelity.outside.strings import inert, visible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderResult

WIDE = 10_000
"""Columns of a terminal that wraps nothing."""


def echo(text: object, *, to: TextIO | None = None, end: str = "\n") -> None:
    """Print text to stdout, or to another stream."""
    print(inert(str(text)), end=end, file=to or sys.stdout, flush=True)


def open_console(**settings: int) -> "Console":
    """A console of rich: its own colors stay, and characters that nobody sees become signs."""
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

        for segment in console.render(self._renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)
