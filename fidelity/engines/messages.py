"""What a model answered in one choice of OpenAI's formats, the same for a server's reply and a line of a file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fidelity.prompts import replace_lone_surrogates

NOT_OF_THE_CALL = {"id", "index", "type"}
"""Keys of a tool call that differ from one answer to the next, or say nothing."""
REASONING = ("reasoning_content", "reasoning", "reasoning_details")
"""Where servers put the thinking, in the order of preference."""

ServerJson = dict[str, Any]
"""A JSON object that a server sent or is sent."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A text, maybe empty, and the thinking that was given apart from it."""

    text: str
    reasoning: str | None = None


def read_answer(choice: ServerJson) -> Reply | None:
    """The answer of a chat completion's or a completion's choice; None where there is none.

    A tool call is an answer: it is the text, or follows it, as canonical JSON. Thinking without a text is an empty
    answer, which was cut off before it began.
    """
    message = choice.get("message")
    return read_message(message if isinstance(message, dict) else {"content": choice.get("text")})


def read_message(message: ServerJson) -> Reply | None:
    """The same of a message: `content` (a text or parts), `refusal`, `reasoning`, `tool_calls`."""
    content = message.get("content")
    text = text_of(content) or text_of(message.get("refusal")) or (content if content == "" else None)
    reasoning = next((thinking for key in REASONING if (thinking := text_of(message.get(key)))), _thinking_of(content))
    calls = _tool_calls(message)
    if text is None and reasoning is None and calls is None:
        return None
    texts = [text or ""] if calls is None else [piece for piece in (text, calls) if piece and piece.strip()]
    return Reply("\n\n".join(texts), reasoning)


def text_of(content: Any) -> str | None:
    """A text, or the texts of a list of parts; None where there is none."""
    if isinstance(content, list):
        pieces = [piece.get("text", piece.get("refusal")) if isinstance(piece, Mapping) else piece for piece in content]
        texts = [piece for piece in pieces if isinstance(piece, str)]
        content = "".join(texts) if texts else None
    return replace_lone_surrogates(content) if isinstance(content, str) else None


def _thinking_of(content: Any) -> str | None:
    """The thinking among a message's parts: `{"type": "thinking", "thinking": ...}`, a text or parts of its own."""
    parts = content if isinstance(content, list) else []
    texts = [text_of(part.get("thinking")) for part in parts if isinstance(part, Mapping)]
    return "".join(text for text in texts if text) or None


def _tool_calls(message: ServerJson) -> str | None:
    """What a message calls, as JSON with sorted keys; None where it calls nothing.

    Arguments are read where they are JSON, so that spaces and the order of keys make no difference.
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
    """What a model wrote is often no JSON, and is compared as it is then."""
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
