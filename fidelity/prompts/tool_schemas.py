"""The arguments of a tool call against the JSON Schema of its function."""

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import regex
from jsonschema import ValidationError
from jsonschema.exceptions import SchemaError, UnknownType
from jsonschema.protocols import Validator
from jsonschema.validators import Draft202012Validator, extend, validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

PATTERN_S = 0.5
"""Seconds for a regular expression of a schema, which can take exponential time on some texts."""
SHOWN = 200
"""Characters of the reason in a message."""
MAX_ARGUMENTS = 500_000
"""Characters of a call's arguments; longer ones count as invalid."""


def wrong_schema(schema: Any) -> str:
    """Why an object is not a JSON Schema that can be used offline; empty if it is one."""
    if not isinstance(schema, dict):
        return f"it must be an object, got {json.dumps(schema, default=str)[:80]}"
    try:
        validator_for(schema, default=Draft202012Validator).check_schema(schema)
        for pattern in _patterns(schema):
            regex.compile(pattern)
        remote = next((ref for ref in _references(schema) if not ref.startswith("#")), None)
        if remote is not None:
            return f"the $ref {remote[:80]!r} is outside of it; write the definition into '$defs'"
        valid_against(json.dumps(schema), {})
        valid_against(json.dumps(schema), [])
    except SchemaError as error:
        place = ".".join(map(str, error.absolute_path))
        return f"{place + ': ' if place else ''}{error.message[:SHOWN]}"
    except regex.error as error:
        return f"a pattern is not a regular expression ({error})"
    except RecursionError:
        return "it refers to itself without end"
    except Unresolvable as error:
        return f"a $ref has no definition ({str(error)[:SHOWN]})"
    return ""


def valid_against(schema: str, arguments: Any) -> bool:
    """Whether parsed arguments fit a JSON Schema, given as JSON text.

    A pattern that takes longer than half a second doesn't fit. Nothing is fetched.
    """
    try:
        return bool(_validator(schema).is_valid(arguments))
    except (ArithmeticError, TimeoutError, UnknownType):
        return False


@lru_cache(maxsize=1024)
def _validator(schema: str) -> Validator:
    parsed = json.loads(schema)
    base = validator_for(parsed, default=Draft202012Validator)
    bounded: type[Validator] = extend(base, {"pattern": _pattern})  # type: ignore[no-untyped-call]
    return bounded(parsed, registry=Registry())


def _pattern(_: Validator, pattern: str, instance: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not regex.search(pattern, instance, timeout=PATTERN_S):
        yield ValidationError("does not match the pattern")


def _patterns(schema: Any) -> Iterator[str]:
    yield from (value for key, value in _members(schema) if key == "pattern" and isinstance(value, str))


def _references(schema: Any) -> Iterator[str]:
    yield from (value for key, value in _members(schema) if key in ("$ref", "$dynamicRef") and isinstance(value, str))


def _members(schema: Any) -> Iterator[tuple[str, Any]]:
    waiting = [schema]
    while waiting:
        match waiting.pop():
            case dict() as members:
                yield from members.items()
                waiting += members.values()
            case list() as elements:
                waiting += elements
