"""Reading the answer from one choice of OpenAI's formats, for servers' replies and batch files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fidelity.engines.trouble import TroubleError
from fidelity.outside.strings import replace_lone_surrogates
from fidelity.prompts.media import media_in
from fidelity.records import ToolCall

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
    tool_calls: tuple[ToolCall, ...] = ()
    """The calls of tools, which the text ends with as JSON."""


def read_answer(choice: ServerJson) -> Reply | None:
    """The answer in a choice of a chat completion or a completion; None if there is none.

    A tool call is an answer: it is stored as data, and its canonical JSON is the text, or is appended to it. Thinking
    without a text is an empty answer, which was cut off before it started.
    """
    message = choice.get("message")
    return read_message(message if isinstance(message, dict) else {"content": choice.get("text")})


def read_message(message: ServerJson) -> Reply | None:
    """The answer in a message: `content` (a text or parts), `refusal`, `reasoning`, `tool_calls`.

    Raises:
        TroubleError: It has an image, audio or a file.
    """
    if kind := next(
        media_in([message]), "audio" if message.get("audio") else "images" if message.get("images") else ""
    ):
        raise TroubleError(f"the answer has more than text ({kind}), which fidelity doesn't compare", "withheld")
    content = message.get("content")
    text = text_of(content) or text_of(message.get("refusal")) or (content if content == "" else None)
    reasoning = next((thinking for key in REASONING if (thinking := text_of(message.get(key)))), _thinking_of(content))
    calls = _tool_calls(message)
    if text is None and reasoning is None and not calls:
        return None
    return Reply(with_calls(text or "", calls), reasoning, tuple(map(_data, calls)))


def with_calls(text: str, calls: Sequence[ServerJson]) -> str:
    """An answer's text with its tool calls at the end, as JSON with sorted keys.

    Arguments that are JSON are parsed, so spaces and the order of keys make no difference.
    """
    if not calls:
        return text
    plain = json.dumps({"tool_calls": [_call(call) for call in calls]}, sort_keys=True, ensure_ascii=False)
    return "\n\n".join(piece for piece in (text, replace_lone_surrogates(plain)) if piece.strip())


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


def _tool_calls(message: ServerJson) -> list[ServerJson]:
    """A message's tool calls in their order."""
    calls = message.get("tool_calls")
    if not calls and isinstance(message.get("function_call"), Mapping):  # the older form, of one call
        calls = [{"function": message["function_call"]}]
    if not isinstance(calls, list) or not all(isinstance(call, Mapping) for call in calls):
        return []
    return calls


def _data(call: ServerJson) -> ToolCall:
    """The name and the arguments of a call, as its model wrote them."""
    function = call.get("function")
    given = function if isinstance(function, Mapping) else call
    name, arguments = given.get("name"), given.get("arguments")
    text = arguments if isinstance(arguments, str) else "" if arguments is None else json.dumps(arguments)
    return ToolCall(*map(replace_lone_surrogates, (name if isinstance(name, str) else "", text)))


def _call(call: ServerJson) -> ServerJson:
    function = call.get("function")
    if isinstance(function, Mapping):
        return {**function, "arguments": _arguments(function.get("arguments"))}
    given = {key: value for key, value in call.items() if key not in NOT_OF_THE_CALL}
    return given | ({"arguments": _arguments(given["arguments"])} if "arguments" in given else {})


def _arguments(arguments: Any) -> Any:
    """Parse a model's arguments. If they aren't JSON, they are compared as text."""
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
