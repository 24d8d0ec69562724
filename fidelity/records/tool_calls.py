"""Calls of tools, as data."""

from typing import NamedTuple


class ToolCall(NamedTuple):
    """A call of a function, in the OpenAI chat format's terms."""

    name: str
    arguments: str
    """JSON text as the model wrote it, which may be invalid."""
