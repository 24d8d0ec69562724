"""One row as a prompt: the names that data sets use for prompts and chats."""

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from fidelity.errors import ConfigError
from fidelity.outside.documents import read_json
from fidelity.outside.strings import replace_lone_surrogates
from fidelity.prompts.ids import LONGEST_NAME, MadeIds, own_id
from fidelity.prompts.media import refuse_embeddings, refuse_media
from fidelity.prompts.rows import JsonRow
from fidelity.prompts.tools import parse_tools
from fidelity.records import EXPECTED, ExpectedAnswer, Message, Prompt, ToolCall

ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "system": "system",
}
"""ShareGPT's names of roles, and the OpenAI chat format's."""
ANSWER_KEYS = ("content", "value", "tool_calls", "function_call", "refusal", "reasoning_content")
"""Keys of an answer in a turn of the assistant."""
MOST_NAMES = 10
"""Names of nested keys in a message."""
FORMS = "'prompt', 'messages', 'conversations', 'turns', 'question', 'instruction' (with 'input') or 'text'"


def parse_prompt(row: JsonRow, *, where: str, made: MadeIds | None = None) -> Prompt:
    """Turn one row into a prompt.

    The prompt is in the first of these keys that the row has: `prompt` (a text or chat messages), `messages`,
    `conversations` (ShareGPT), `turns` (MT-Bench, whose first question is asked), `question`, `instruction` (with
    `input`), `text`; or in the `body` of an OpenAI batch's request. Answers of the assistant at the end of `messages`
    and `conversations` are not a part of the prompt.

    Args:
        row: The row.
        where: Its place, for errors.
        made: Gives the ids of rows without one; the same object for all rows of a set.

    Raises:
        ConfigError: It has no prompt, or an id or category of the wrong type, invalid tools, or more than text.
    """
    refuse_media(row, where=where)
    refuse_embeddings(row, where=where)
    id_ = own_id(row, where=where)
    content = prompt_content(row, where=where)
    if content is None:
        shown = ", ".join(list(row)[:10]) or "nothing"
        raise ConfigError(f"{where}: no prompt among the keys ({shown}); rename one to {FORMS}")
    tools, choice = parse_tools(row, where=where)
    prompt = Prompt("", content, _category(row, where), tools, choice, expected_answer(row, where=where))
    return replace(prompt, id=id_ or (made or MadeIds()).next(prompt))


def expected_answer(row: JsonRow, *, where: str) -> ExpectedAnswer | None:
    """The expected answer of a row, None without the key `expected`.

    A text, a list of texts or a number is short for `{kind: text, answer: ...}` or `{kind: number, ...}`. A text that
    is a JSON object with a `kind`, as in a cell of a CSV file, is read as that object.

    Raises:
        ConfigError: It is none of the kinds.
    """
    given = row.get("expected")
    if isinstance(given, str) and given.lstrip().startswith("{") and '"kind"' in given:
        with suppress(ValueError):
            given = read_json(given)
    match given:
        case None:
            return None
        case str():
            given = {"kind": "text", "answer": replace_lone_surrogates(given)}
        case list():
            given = {"kind": "text", "answer": given}
        case int() | float() if not isinstance(given, bool):
            given = {"kind": "number", "answer": given}
    try:
        return EXPECTED.validate_python(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        names = [str(name) for name in first["loc"][1:] if isinstance(name, int) or name.isidentifier()]
        place = ".".join(["expected", *names[:MOST_NAMES]])
        why = first["msg"].removeprefix("Value error, ")
        raise ConfigError(
            f"{where}: {place}: {why}; write a text, a number, or an object such as "
            f'{{"kind": "choices", "answer": "B"}} (docs/expected.md)'
        ) from error


def prompt_content(row: JsonRow, *, where: str) -> str | tuple[Message, ...] | None:
    """The content of a row's prompt; None if it has none of the keys.

    Raises:
        ConfigError: It has one of the keys, but no prompt in it.
    """
    match row:
        case {"prompt": str() as content}:
            return _text(content, "prompt", where)
        case {"prompt": [_, *_] as turns}:
            return _chat(turns, where)
        case {"prompt": content} if content is not None:
            given = json.dumps(content, ensure_ascii=False, default=str)[:80]
            raise ConfigError(f"{where}: 'prompt' must be a text or a list of chat messages, got {given}")
        case {"messages": [_, *_] as turns}:
            return _asked(turns, "messages", where)
        case {"conversations": [_, *_] as turns}:
            chat, system = _asked(turns, "conversations", where), row.get("system")
            if isinstance(system, str) and system.strip() and chat[0].role != "system":
                return (Message("system", replace_lone_surrogates(system)), *chat)
            return chat
        case {"turns": [str() as content, *_]}:  # a later one follows the model's own answer, which differs by run
            return _text(content, "turns", where)
        case {"body": {"messages": asked} | {"prompt": asked}}:
            return prompt_content({"prompt": asked}, where=where)
        case {"question": str() as content}:
            return _text(content, "question", where)
        case {"instruction": str() as content}:
            context = row.get("input")
            text = _text(content, "instruction", where)
            return f"{text}\n\n{replace_lone_surrogates(context)}" if isinstance(context, str) and context else text
        case {"text": str() as content}:
            return _text(content, "text", where)
    return None


def is_open(turn: Any) -> bool:
    """Whether a turn of the assistant has neither a text nor calls, so that a model is to answer it."""
    return isinstance(turn, dict) and _role(turn) == "assistant" and not any(turn.get(key) for key in ANSWER_KEYS)


def last_answer(row: JsonRow) -> JsonRow | None:
    """The assistant's message at the end of a row's chat; None if the chat ends otherwise."""
    turns = row.get("messages") or row.get("conversations")
    turn = turns[-1] if isinstance(turns, list) and turns else None
    if not isinstance(turn, dict) or _role(turn) != "assistant":
        return None
    return {"content": turn["value"]} if "from" in turn else dict(turn)


def _text(content: str, key: str, where: str) -> str:
    if not content.strip():
        raise ConfigError(f"{where}: the {key!r} is empty; write a prompt, or remove the row")
    return replace_lone_surrogates(content)


def _asked(turns: list[Any], key: str, where: str) -> tuple[Message, ...]:
    """The turns before the assistant's answer at the end."""
    end = len(turns)
    while end and _role(turns[end - 1]) == "assistant":
        end -= 1
    chat = _chat(turns[:end], where)
    if all(turn.role == "system" for turn in chat):
        raise ConfigError(f"{where}: {key!r} has no turn of a user to answer")
    return chat


def _role(turn: Any) -> str | None:
    """The role of a turn in the OpenAI chat format's names; None if it is unknown."""
    role = (turn.get("role") or turn.get("from")) if isinstance(turn, dict) else None
    return ROLES.get(role) if isinstance(role, str) else None


def _chat(turns: list[Any], where: str) -> tuple[Message, ...]:
    """The messages of a chat. Ids of tool calls become `call_0`, `call_1`, ..., as in `Prompt.chat`."""
    ids = [call.get("id") for turn in turns if isinstance(turn, dict) for call in _calls_in(turn, where)]
    names = {id_: f"call_{n}" for n, id_ in enumerate(ids) if isinstance(id_, str)}
    return tuple(_message(turn, names, where) for turn in turns)


def _calls_in(turn: dict[str, Any], where: str) -> list[dict[str, Any]]:
    calls = turn.get("tool_calls") or []
    for call in calls if isinstance(calls, list) else [None]:
        match call:
            case {"function": {"name": str(), "arguments": str() | dict()}}:
                continue
        given = json.dumps(call or calls, ensure_ascii=False, default=str)[:80]
        raise ConfigError(
            f"{where}: a call in 'tool_calls' needs a 'function' with 'name' and 'arguments', got {given}"
        )
    return list(calls)


def _message(turn: Any, names: dict[str, str], where: str) -> Message:
    if is_open(turn) and turn.get("content") is None and turn.get("value") is None:
        raise ConfigError(
            f"{where}: a turn of the assistant has no content; fill it with the baseline's answer: fidelity fill-chats"
        )
    match turn:
        case {"role": "assistant", "tool_calls": [_, *_]} if not turn.get("content") or isinstance(
            turn["content"], str
        ):
            calls = tuple(_call(call["function"]) for call in turn["tool_calls"])
            return Message("assistant", replace_lone_surrogates(turn.get("content") or ""), calls)
        case {"role": "tool", "content": str() as content, "tool_call_id": str() as id_}:
            if id_ not in names:
                raise ConfigError(f"{where}: 'tool_call_id' is {id_[:80]!r}, but no earlier call has this 'id'")
            return Message("tool", replace_lone_surrogates(content), tool_call_id=names[id_])
        case {"role": "user", "content": str() as content} | {"from": "human" | "user", "value": str() as content} if (
            not content.strip()
        ):
            raise ConfigError(f"{where}: a turn of the user is empty; write a text, or remove the row")
        case {"role": str() as role, "content": str() as content}:
            return Message(role, replace_lone_surrogates(content))
        case {"role": str() as role, "content": [_, *_] as pieces} if all(map(_is_text, pieces)):
            return Message(role, replace_lone_surrogates("".join(piece["text"] for piece in pieces)))
        case {"from": str() as role, "value": str() as content} if role in ROLES:
            return Message(ROLES[role], replace_lone_surrogates(content))
        case {"from": role, "value": _}:
            raise ConfigError(f"{where}: the role {role!r} of a turn is unknown; use human, gpt or system")
    raise ConfigError(
        f"{where}: a chat message needs 'role' and 'content' (or ShareGPT's 'from' and 'value'), both texts; "
        f"got {str(turn)[:200]}"
    )


def _call(function: dict[str, Any]) -> ToolCall:
    arguments = function["arguments"]
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return ToolCall(replace_lone_surrogates(function["name"]), replace_lone_surrogates(text))


def _is_text(piece: Any) -> bool:
    return isinstance(piece, dict) and piece.get("type", "text") == "text" and isinstance(piece.get("text"), str)


def _category(row: JsonRow, where: str) -> str | None:
    match row.get("category"):
        case None:
            return None
        case str() as category if len(category) > LONGEST_NAME:
            raise ConfigError(f"{where}: 'category' has more than {LONGEST_NAME:,} characters; shorten it")
        case str() as category:
            return category
        case int() as number if not isinstance(number, bool):
            return str(number)
        case category:
            raise ConfigError(f"{where}: 'category' must be a text, got {category!r}")
