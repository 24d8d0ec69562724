"""JSON and YAML in a text: where it stands and what it says. Safe on hostile text: linear time, and nothing raised."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import yaml

from fidelity.text.blocks import MAX_CHARACTERS, fences, without_fences

MAX_DEPTH = 100
"""What is nested deeper is taken as not parsing, whatever room the stack has."""
MAX_YAML = 100_000
"""YAML of more characters, or more nodes with each alias counted for all that it stands for, is taken as not parsing:
libyaml's time is quadratic in brackets that are never closed."""
MAX_DIGITS = 4_000
"""A longer number is compared as it is written."""

Format = Literal["json", "yaml"]


class Members(NamedTuple):
    """An object: its keys and values in order, repeated keys included."""

    pairs: "tuple[tuple[str, DocumentValue], ...]"


class Numeral(NamedTuple):
    """A number that is neither a Python integer nor a finite float, as it is written."""

    text: str


DocumentValue = Members | list["DocumentValue"] | str | int | float | bool | Numeral | None


class Document(NamedTuple):
    """A piece of JSON or YAML."""

    format: Format
    root: Members | list[DocumentValue] | None
    """None where it doesn't parse to an object or an array."""


def documents(text: str) -> list[Document] | None:
    """The JSON and YAML in a text, in order; None for a text that is too long to be read.

    It is the whole text if that parses as JSON. Otherwise: fences tagged json, yaml or yml, also those that don't
    parse; and what parses as JSON in a fence without a tag or, outside of fences, from the start of a line on, if it
    begins as an object with a quoted key or as an array of strings, objects or arrays. JSON in the middle of a sentence
    is talk about JSON, and what stands inside of something that is never closed is a fragment: neither counts.
    """
    if len(text) > MAX_CHARACTERS:
        return None
    if (whole := parse_json(text)) is not None:
        return [Document("json", whole)]
    if not re.search(r"[{\[]|```|~~~", text):
        return []
    return list(_pieces(text))


def parsed(pieces: Sequence[Document]) -> "dict[tuple[Format, int], Members | list[DocumentValue]]":
    """What parses, by format and place among the documents of that format."""
    seen: Counter[Format] = Counter()
    roots = {}
    for document in pieces:
        if document.root is not None:
            roots[document.format, seen[document.format]] = document.root
        seen[document.format] += 1
    return roots


def share_that_parses(baseline: Sequence[Document], candidate: Sequence[Document]) -> float | None:
    """Share of the baseline's parsing documents whose partner in the candidate parses too; None if it has none."""
    wanted, parsing = parsed(baseline).keys(), parsed(candidate).keys()
    return len(wanted & parsing) / len(wanted) if wanted else None


def parse_json(text: str) -> Members | list[DocumentValue] | None:
    """The object or array that a text is, by RFC 8259: NaN and Infinity don't parse. None for anything else."""
    if text.lstrip()[:1] not in ("{", "[") or _is_too_deep(text):
        return None
    try:
        value = json.loads(
            text,
            object_pairs_hook=lambda pairs: Members(tuple(pairs)),
            parse_int=_number,
            parse_float=_number,
            parse_constant=_refuse,
        )
    except ValueError:
        return None
    return value if isinstance(value, Members | list) else None


def parse_yaml(text: str) -> list[Members | list[DocumentValue] | None]:
    """The mapping or sequence that each document in YAML is, None for one that is neither; [None] if it doesn't parse.

    Nothing is constructed: scalars have the type that YAML 1.1 gives them, and all but numbers are compared as written.
    """
    if len(text) > MAX_YAML or _is_too_deep(text):
        return [None]
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        if _is_too_large(yaml.parse(text, Loader=loader)):
            return [None]
        roots = [_from_yaml(node) for node in yaml.compose_all(text, Loader=loader)]
    except (yaml.YAMLError, ValueError):
        return [None]
    return [root if isinstance(root, Members | list) else None for root in roots]


_JSON_START = re.compile(r'^[ \t]*+(?:\{\s*+"|\[\s*+["{\[])', re.MULTILINE)
_JSON_TOKEN = re.compile(r'"(?:[^"\\\n]++|\\.)*+"?|[\[\]{}]')
_CLOSING = {"{": "}", "[": "]"}


def _pieces(text: str) -> Iterator[Document]:
    code = fences(text)
    before, *after = without_fences(text, code)
    yield from _in_prose(before)
    for fence, prose in zip(code, after, strict=True):
        match fence.language:
            case "json":
                yield Document("json", parse_json(fence.content))
            case "yaml" | "yml":
                yield from (Document("yaml", root) for root in parse_yaml(fence.content))
            case "" if _JSON_START.match(fence.content) and (root := parse_json(fence.content)) is not None:
                yield Document("json", root)
        yield from _in_prose(prose)


def _in_prose(text: str) -> Iterator[Document]:
    position = 0
    while start := _JSON_START.search(text, position):
        position, balanced = _end(text, start.start())
        if balanced and (root := parse_json(text[start.start() : position])) is not None:
            yield Document("json", root)


def _end(text: str, start: int) -> tuple[int, bool]:
    """Where the bracket that opens at `start` is closed, or where it is clear that it isn't, and which of the two."""
    expected: list[str] = []
    for token in _JSON_TOKEN.finditer(text, start):
        bracket = token.group()
        if bracket in _CLOSING:
            expected.append(_CLOSING[bracket])
        elif bracket in ("]", "}") and expected.pop() != bracket:
            return token.end(), False
        if not expected:
            return token.end(), True
    return len(text), False


def _is_too_deep(text: str) -> bool:
    depth = 0
    for token in _JSON_TOKEN.finditer(text):
        depth += {"{": 1, "[": 1, "]": -1, "}": -1}.get(token.group(), 0)
        if depth > MAX_DEPTH:
            return True
    return False


def _number(text: str) -> int | float | Numeral:
    try:
        if len(text) <= MAX_DIGITS and text.lstrip("+-").isdecimal():
            return int(text)
        number = float(text)
    except ValueError:
        return Numeral(text)
    return number if math.isfinite(number) else Numeral(text)


def _refuse(literal: str) -> None:
    raise ValueError(f"{literal} is no JSON")


def _is_too_large(events: Iterator[Any]) -> bool:
    """Whether YAML is too deep, too large once its aliases are written out, or endless (an alias inside its anchor)."""
    sizes: dict[str | None, int] = {}
    waiting: list[tuple[str | None, int]] = []
    """The collections that are open: anchor and nodes so far."""
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            waiting.append((event.anchor, 1))
            sizes[event.anchor] = MAX_YAML
            continue
        if isinstance(event, yaml.AliasEvent):
            anchor, nodes = None, sizes.get(event.anchor, 1)
        elif isinstance(event, yaml.ScalarEvent):
            anchor, nodes = event.anchor, 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, nodes = waiting.pop()
        else:
            continue
        sizes[anchor] = nodes
        if waiting:
            waiting[-1] = waiting[-1][0], waiting[-1][1] + nodes
        if nodes > MAX_YAML or len(waiting) > MAX_DEPTH:
            return True
    return False


def _from_yaml(node: Any) -> Any:
    match node:
        case yaml.MappingNode():
            return Members(tuple((_key(key), _from_yaml(value)) for key, value in node.value))
        case yaml.SequenceNode():
            return [_from_yaml(child) for child in node.value]
    match node.tag.rpartition(":")[2]:
        case "int" | "float":
            return _number(node.value)
        case "bool":
            return node.value.lower() in ("yes", "true", "on")
        case "null":
            return None
    return str(node.value)


def _key(node: Any) -> str:
    return node.value if isinstance(node, yaml.ScalarNode) else "?"
