"""Reading the answer from one choice of OpenAI's formats, for servers' replies and batch files."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fidelity.outside.strings import replace_lone_surrogates

NOT_OF_THE_CALL = {"id", "index", "type"}
"""Keys of a tool call that are random or redundant."""
REASONING = ("reasoning_content", "reasoning", "reasoning_details")
"""Keys that servers use for the thinking, in the order of preference."""

ServerJson = dict[str, Any]
"""A JSON object from or for a server."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A text, possibly empty, and the separate thinking."""

    text: str
    reasoning: str | None = None


def read_answer(choice: ServerJson) -> Reply | None:
    """The answer in a choice of a chat completion or a completion; None if there is none.

    A tool call is an answer: its canonical JSON is the text, or is appended to it. Thinking without a text is an empty
    answer, which was cut off before it started.
    """
    message = choice.get("message")
    return read_message(message if isinstance(message, dict) else {"content": choice.get("text")})


def read_message(message: ServerJson) -> Reply | None:
    """The answer in a message: `content` (a text or parts), `refusal`, `reasoning`, `tool_calls`."""
    content = message.get("content")
    text = text_of(content) or text_of(message.get("refusal")) or (content if content == "" else None)
    reasoning = next((thinking for key in REASONING if (thinking := text_of(message.get(key)))), _thinking_of(content))
    calls = _tool_calls(message)
    if text is None and reasoning is None and calls is None:
        return None
    texts = [text or ""] if calls is None else [piece for piece in (text, calls) if piece and piece.strip()]
    return Reply("\n\n".join(texts), reasoning)


def text_of(content: Any) -> str | None:
    """A text, or the texts of a list of parts; None if there is none."""
    if isinstance(content, list):
        pieces = [piece.get("text", piece.get("refusal")) if isinstance(piece, Mapping) else piece for piece in content]
        texts = [piece for piece in pieces if isinstance(piece, str)]
        content = "".join(texts) if texts else None
    return replace_lone_surrogates(content) if isinstance(content, str) else None


def _thinking_of(content: Any) -> str | None:
    """The thinking among a message's parts: `{"type": "thinking", "thinking": ...}`, a text or parts of its own."""
    pieces = content if isinstance(content, list) else []
    texts = [text_of(piece.get("thinking")) for piece in pieces if isinstance(piece, Mapping)]
    return "".join(text for text in texts if text) or None


def _tool_calls(message: ServerJson) -> str | None:
    """A message's tool calls as JSON with sorted keys; None if there are none.

    Arguments that are JSON are parsed, so spaces and the order of keys make no difference.
    """
    calls = message.get("tool_calls")
    if not calls and isinstance(message.get("function_call"), Mapping):  # the older form, of one call
        calls = [{"function": message["function_call"]}]
    if not isinstance(calls, list) or not calls or not all(isinstance(call, Mapping) for call in calls):
        return None
    plain = {"tool_calls": [_call(call) for call in calls]}
    return replace_lone_surrogates(json.dumps(plain, sort_keys=True, ensure_ascii=False))


def _call(call: ServerJson) -> ServerJson:
    function = call.get("function")
    if not isinstance(function, Mapping):
        return {key: value for key, value in call.items() if key not in NOT_OF_THE_CALL}
    return {**function, "arguments": _arguments(function.get("arguments"))}


def _arguments(arguments: Any) -> Any:
    """Parse a model's arguments. If they aren't JSON, they are compared as text."""
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
