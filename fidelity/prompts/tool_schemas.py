"""The arguments of a tool call against the JSON Schema of its function."""

import json
from collections.abc import Hashable, Iterator
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
    if not isinstance(schema.get("$schema", ""), str):
        return "'$schema' must be a text"
    keys = {key for key, _ in _members(schema)}
    if keys >= {"patternProperties", "unevaluatedProperties"}:
        return "'unevaluatedProperties' with 'patternProperties' is not supported; use 'additionalProperties'"
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
    bounded: type[Validator] = extend(base, BOUNDED)  # type: ignore[no-untyped-call]
    return bounded(parsed, registry=Registry())


def _matches(pattern: str, text: str) -> bool:
    """Whether a pattern occurs in a text.

    Raises:
        TimeoutError: It takes too long.
    """
    return regex.search(pattern, text, timeout=PATTERN_S) is not None


def _pattern(_: Validator, pattern: str, instance: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not _matches(pattern, instance):
        yield ValidationError("does not match the pattern")


def _pattern_properties(validator: Any, patterns: dict[str, Any], instance: Any, _: Any) -> Iterator[ValidationError]:
    for pattern, schema in patterns.items() if isinstance(instance, dict) else ():
        for key, value in instance.items():
            if _matches(pattern, key):
                yield from validator.descend(value, schema)


def _additional_properties(
    validator: Any, allowed: Any, instance: Any, schema: dict[str, Any]
) -> Iterator[ValidationError]:
    patterns = schema.get("patternProperties", {})
    for key, value in instance.items() if isinstance(instance, dict) else ():
        if key not in schema.get("properties", {}) and not any(_matches(pattern, key) for pattern in patterns):
            yield from validator.descend(value, allowed)


def _unique_items(_: Validator, unique: bool, instance: Any, __: Any) -> Iterator[ValidationError]:
    if unique and isinstance(instance, list) and len(set(map(_hashable, instance))) < len(instance):
        yield ValidationError("has equal items")


def _hashable(value: Any) -> Hashable:
    """Equal for equal JSON values only: 1 is 1.0 and not true."""
    match value:
        case dict():
            return frozenset((key, _hashable(member)) for key, member in value.items())
        case list():
            return tuple(map(_hashable, value))
        case bool():
            return str(value), bool
        case None | int() | float() | str():
            return value
    raise TypeError(f"no JSON value: {type(value).__name__}")


BOUNDED = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
}
"""Keywords that jsonschema checks without a limit of time: Python's patterns can't be stopped, and items are compared
pair by pair."""


def _patterns(schema: Any) -> Iterator[str]:
    for key, value in _members(schema):
        if key == "pattern" and isinstance(value, str):
            yield value
        elif key == "patternProperties" and isinstance(value, dict):
            yield from value


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
