"""The tools that a prompt offers, in OpenAI's schema."""

import json
import re
from typing import Any

from fidelity.errors import ConfigError
from fidelity.outside.documents import cleaned, read_json
from fidelity.prompts.rows import JsonRow
from fidelity.prompts.tool_schemas import wrong_schema

NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
CHOICES = ("auto", "none", "required")
SHOWN = 80
"""Characters of a wrong value in a message."""


def parse_tools(row: JsonRow, *, where: str) -> tuple[str | None, str | None]:
    """The `tools` and the `tool_choice` of a row, or of the `body` of a batch's request, as JSON text.

    `tools` can also be JSON text, as in CSV files and data sets. An empty list is none.

    Raises:
        ConfigError: They are not as OpenAI's API defines them.
    """
    body = row.get("body")
    given = body if isinstance(body, dict) and "tools" not in row else row
    tools, choice = _parsed(given.get("tools"), where), given.get("tool_choice")
    if tools in (None, []):
        if choice not in (None, "none", "auto"):
            raise ConfigError(f"{where}: 'tool_choice' without 'tools'; add the tools, or remove it")
        return None, None
    if not isinstance(tools, list):
        raise ConfigError(f"{where}: 'tools' must be a list of tools, got {_shown(tools)}")
    names = [_check(tool, f"{where}: tools[{n}]") for n, tool in enumerate(tools)]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"{where}: 'tools' has two functions named {twice!r}; rename one")
    return _written(tools), _choice(choice, names, where)


def _parsed(tools: Any, where: str) -> Any:
    if not isinstance(tools, str):
        return tools
    try:
        return read_json(tools) if tools.strip() else None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: 'tools' must be a list of tools or its JSON text ({error})") from None


def _check(tool: Any, where: str) -> str:
    """The name of a tool's function."""
    if isinstance(tool, dict) and "name" in tool and "function" not in tool:
        raise ConfigError(
            f'{where}: wrap it as OpenAI\'s API does: {{"type": "function", "function": {{"name": ...}}}}'
        )
    match tool:
        case {"type": "function", "function": dict() as function}:
            pass
        case {"type": str() as kind} if kind != "function":
            raise ConfigError(f"{where}: the type {kind[:SHOWN]!r} is not supported; only 'function' is")
        case _:
            raise ConfigError(f"{where}: a tool needs 'type': 'function' and a 'function', got {_shown(tool)}")
    where = f"{where}.function"
    name = function.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ConfigError(
            f"{where}: 'name' must have 1 to 64 letters, digits, underscores, periods or dashes, got {_shown(name)}"
        )
    if not isinstance(function.get("description", ""), str):
        raise ConfigError(f"{where} ({name}): 'description' must be a text, got {_shown(function['description'])}")
    if (parameters := function.get("parameters")) is not None and (why := wrong_schema(parameters)):
        raise ConfigError(f"{where} ({name}): 'parameters' is not a JSON Schema: {why}")
    return name


def _choice(choice: Any, names: list[str], where: str) -> str | None:
    match choice:
        case None:
            return None
        case str() if choice in CHOICES:
            return _written(choice)
        case {"type": "function", "function": {"name": str() as name}} if name in names:
            return _written(choice)
        case {"type": "function", "function": {"name": str() as name}}:
            raise ConfigError(f"{where}: 'tool_choice' names {name[:SHOWN]!r}, but the tools are {', '.join(names)}")
    raise ConfigError(
        f"{where}: 'tool_choice' must be {', '.join(map(repr, CHOICES))} or "
        f'{{"type": "function", "function": {{"name": ...}}}}, got {_shown(choice)}'
    )


def _written(value: Any) -> str:
    return json.dumps(cleaned(_without_nulls(value)), ensure_ascii=False)


def _without_nulls(value: Any) -> Any:
    """Parquet gives every object all keys that any of them has, with null for the missing ones."""
    match value:
        case dict():
            return {key: _without_nulls(one) for key, one in value.items() if one is not None}
        case list():
            return [_without_nulls(one) for one in value]
    return value


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:SHOWN]
