"""Prompts."""

import json
from dataclasses import dataclass, field
from typing import Any

from fidelity.records.expected import ExpectedAnswer
from fidelity.records.tool_calls import ToolCall


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat, in the roles of the OpenAI chat format."""

    role: str
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    """Calls in an earlier turn of the assistant. Their ids are `call_0`, `call_1`, ... within the chat."""
    tool_call_id: str | None = None
    """The call that a turn of the role `tool` answers."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt of a set. A text is one user message to a chat model, and plain text to a model without a template."""

    id: str
    content: str | tuple[Message, ...]
    category: str | None = None
    tools: str | None = None
    """The tools that the model may call: JSON text of OpenAI's list `tools`; None without tools."""
    tool_choice: str | None = None
    """JSON text of OpenAI's `tool_choice`: `"auto"`, `"none"`, `"required"` or one function; None is "auto"."""
    expected: ExpectedAnswer | None = field(default=None, hash=False)
    """What makes an answer right; never shown to a model."""

    @property
    def messages(self) -> tuple[Message, ...]:
        """The prompt as a chat."""
        return (Message("user", self.content),) if isinstance(self.content, str) else self.content

    @property
    def text(self) -> str:
        """The turns joined as text, for display and for models without a chat template."""
        return self.content if isinstance(self.content, str) else "\n\n".join(m.content for m in self.content)

    @property
    def chat(self) -> list[dict[str, Any]]:
        """The prompt as `messages` of the OpenAI chat format."""
        calls = 0
        chat = []
        for message in self.messages:
            turn: dict[str, Any] = {"role": message.role, "content": message.content}
            if message.tool_calls:
                turn["tool_calls"] = [
                    {"id": f"call_{calls + n}", "type": "function", "function": call._asdict()}
                    for n, call in enumerate(message.tool_calls)
                ]
                calls += len(message.tool_calls)
            if message.tool_call_id is not None:
                turn["tool_call_id"] = message.tool_call_id
            chat.append(turn)
        return chat

    @property
    def offer(self) -> dict[str, Any]:
        """`tools` and `tool_choice` of a request, as far as the prompt has them."""
        given = {"tools": self.tools, "tool_choice": self.tool_choice}
        return {key: json.loads(text) for key, text in given.items() if text is not None}


def plain_turns(prompt: Prompt) -> list[list[Any]]:
    """The prompt's turns as JSON lists: role and content, and with tool calls a third element."""
    return [
        [m.role, m.content, *([[m.tool_calls, m.tool_call_id]] if m.tool_calls or m.tool_call_id else [])]
        for m in prompt.messages
    ]


def messages_of(turns: list[list[Any]]) -> tuple[Message, ...]:
    """The inverse of `plain_turns`, after JSON."""
    return tuple(
        Message(
            role, content, tuple(ToolCall(*call) for call in more[0][0]) if more else (), more[0][1] if more else None
        )
        for role, content, *more in turns
    )
