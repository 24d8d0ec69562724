"""Calls of tools, compared as data: in order, by name and by arguments."""

import json
from functools import lru_cache
from typing import NamedTuple

from fidelity.prompts.tool_schemas import MAX_ARGUMENTS, valid_against
from fidelity.records import Generation, Prompt, ToolCall
from fidelity.text.documents import DocumentValue, Members, parse_json
from fidelity.text.values import normal_value

BEGINNING = '{"tool_calls": ['
"""Of the JSON that an answer's text ends with if it calls tools; runs of older versions have only that."""
NO_ARGUMENTS = ("", "null")
"""What some models write for a function without parameters; servers read it as `{}`."""


class OfferedFunctions(NamedTuple):
    """The functions that a prompt offers: JSON texts of their parameters' schemas by name."""

    schemas: dict[str, str]

    def allow(self, call: ToolCall) -> bool:
        """Whether a call names one of them, with arguments that are a JSON object and fit its schema.

        Without any functions (tools that only the server was configured with), the arguments only need to be JSON.
        """
        parsed = parse_arguments(call.arguments)
        if parsed is None or (self.schemas and call.name not in self.schemas):
            return False
        schema = self.schemas.get(call.name)
        try:
            return schema is None or valid_against(schema, json.loads(_written(call.arguments)))
        except ValueError:  # an integer of more digits than Python reads
            return False


def offered_functions(prompt: Prompt) -> OfferedFunctions:
    """The functions of a prompt's tools."""
    return _functions(prompt.tools)


@lru_cache(maxsize=256)
def _functions(tools: str | None) -> OfferedFunctions:
    functions = [tool["function"] for tool in json.loads(tools)] if tools else []
    return OfferedFunctions({f["name"]: json.dumps(f.get("parameters") or {}) for f in functions})


def calls_of(generation: Generation, prompt: Prompt) -> tuple[ToolCall, ...] | None:
    """The calls of an answer; None if it is unknown whether the model called any of the prompt's tools."""
    if generation.tool_calls is not None:
        return generation.tool_calls
    _, beginning, rest = generation.text.rpartition(BEGINNING)
    if beginning:
        return _stored_calls(beginning + rest)
    return None if prompt.tools else ()


def _stored_calls(text: str) -> tuple[ToolCall, ...]:
    """The calls in the JSON that older versions stored; none if it is something else."""
    try:
        calls = json.loads(text)["tool_calls"]
        return tuple(ToolCall(call["name"], _argument_text(call["arguments"])) for call in calls)
    except (ValueError, RecursionError, LookupError, TypeError):
        return ()


def _argument_text(arguments: object) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def parse_arguments(text: str) -> Members | None:
    """Arguments as a JSON object; None if they aren't one."""
    if len(text) > MAX_ARGUMENTS:
        return None
    parsed = parse_json(_written(text))
    return parsed if isinstance(parsed, Members) else None


def normal_arguments(text: str) -> str:
    """Arguments in one spelling: equal texts for what `conflict_json` takes for equal values.

    The order of keys, white space, and 1 or 1.0 make no difference; the order of a list does. Arguments that aren't a
    JSON object are left as they are.
    """
    parsed = parse_arguments(text)
    return text if parsed is None else normal_value(_spaced(parsed))


def _spaced(value: DocumentValue) -> DocumentValue:
    """The value with its last member of each key, and single spaces in its texts."""
    match value:
        case Members():
            return Members(tuple((key, _spaced(child)) for key, child in dict(value.pairs).items()))
        case list():
            return [_spaced(element) for element in value]
        case str():
            return " ".join(value.split())
    return value


def _written(arguments: str) -> str:
    return "{}" if arguments.strip() in NO_ARGUMENTS else arguments
