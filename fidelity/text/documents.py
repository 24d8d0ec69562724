"""Finding and parsing JSON and YAML in a text. Safe on hostile text: linear time, and nothing is raised."""

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple, get_args

import yaml

from fidelity.text.blocks import MAX_CHARACTERS, Fence, fences, without_fences
from fidelity.text.counterparts import counterparts

MAX_DEPTH = 100
"""More deeply nested documents count as not parsing."""
MAX_YAML = 100_000
"""YAML with more characters, or more nodes with expanded aliases, counts as not parsing, since libyaml's time is
quadratic in unclosed brackets."""
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
    source: str
    """As it is written."""


def documents(text: str) -> list[Document] | None:
    """The JSON and YAML in a text, in order; None for a text that is too long to be read.

    It is the whole text if that parses as JSON. Otherwise:

    - fences tagged json, json5, jsonc, yaml or yml, also those that don't parse, and each line of one tagged jsonl;
    - what parses as JSON in any other fence or, outside of fences, from the start of a line on or from a colon to the
      line's end, if it begins as an object with a quoted key or as an array of strings, objects or arrays;
    - what parses as YAML in a fence without a tag, if each of its two lines or more looks like YAML.

    Comments, commas before a closing bracket and keys without quotes are part of json5 and jsonc, not of json. JSON in
    the middle of a sentence is talk about JSON, and what is inside of something that is never closed is a
    fragment: neither counts.
    """
    if len(text) > MAX_CHARACTERS:
        return None
    if (whole := parse_json(text)) is not None:
        return [Document("json", whole, text)]
    if not re.search(r"[{\[]|```|~~~", text):
        return []
    return list(_pieces(text))


def paired(
    baseline: Sequence[Document], candidate: Sequence[Document]
) -> list[tuple[Document | None, Document | None]]:
    """The baseline's documents with their counterparts in the same format, by content; then the candidate's others."""
    pairs: list[tuple[Document | None, Document | None]] = []
    for kind in get_args(Format):
        own, others = ([d for d in side if d.format == kind] for side in (baseline, candidate))
        partners = counterparts([d.source.strip() for d in own], [d.source.strip() for d in others])
        pairs += [(d, None if partner is None else others[partner]) for d, partner in zip(own, partners, strict=True)]
        taken = set(partners)
        pairs += [(None, d) for place, d in enumerate(others) if place not in taken]
    return pairs


def share_that_parses(pairs: Sequence[tuple[Document | None, Document | None]]) -> float | None:
    """Share of the baseline's parsing documents with a parsing counterpart; None if it has none."""
    parsing = [other is not None and other.root is not None for own, other in pairs if own and own.root is not None]
    return sum(parsing) / len(parsing) if parsing else None


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


_JSON_START = re.compile(r'(?:^[ \t]*+|(?P<colon>:[ \t]++))(?=\{\s*+"|\[\s*+["{\[])', re.MULTILINE)
_LINE_END = re.compile(r"[ \t.]*+$", re.MULTILINE)
_RELAXED = re.compile(
    r"""("(?:[^"\\\n]++|\\.)*+"|'(?:[^'\\\n]++|\\.)*+')|//[^\n]*+|/\*(?:[^*]++|\*(?!/))*+\*/|,(?=\s*+[}\]])"""
)
_YAML_LINE = re.compile(r"""[ \t]*(?:#|---|- |[\w."'-]+:(?: |$)|-$|[\]}])""")
JSON_TAGS = frozenset({"json", "json5", "jsonc"})
RELAXED_TAGS = frozenset({"json5", "jsonc"})
_JSON_TOKEN = re.compile(r'"(?:[^"\\\n]++|\\.)*+"?|[\[\]{}]')
_CLOSING = {"{": "}", "[": "]"}


def _pieces(text: str) -> Iterator[Document]:
    blocks = fences(text)
    before, *after = without_fences(text, blocks)
    yield from _in_prose(before)
    for fence, prose in zip(blocks, after, strict=True):
        yield from _in_fence(fence)
        yield from _in_prose(prose)


def _in_fence(fence: Fence) -> Iterator[Document]:
    code = fence.content
    match fence.language:
        case "yaml" | "yml":
            yield from (Document("yaml", root, code) for root in parse_yaml(code))
        case "jsonl" | "ndjson" | "jsonlines":
            yield from (Document("json", parse_json(line), line) for line in code.splitlines() if line.strip())
        case tag if tag in JSON_TAGS or _JSON_START.match(code):
            root = parse_json(code)
            if root is None and tag in RELAXED_TAGS:
                root = _parse_relaxed(code)
            if root is not None or tag in JSON_TAGS:
                yield Document("json", root, code)
        case "" if (lines := [line for line in code.splitlines() if line.strip()])[1:]:
            if all(map(_YAML_LINE.match, lines)) and None not in (roots := parse_yaml(code)):
                yield from (Document("yaml", root, code) for root in roots)


def _in_prose(text: str) -> Iterator[Document]:
    position = 0
    while start := _JSON_START.search(text, position):
        position, balanced = _end(text, start.end())
        if start["colon"] and not _LINE_END.match(text, position):
            continue
        if balanced and (root := parse_json(text[start.end() : position])) is not None:
            yield Document("json", root, text[start.end() : position])


def _parse_relaxed(code: str) -> Members | list[DocumentValue] | None:
    """JSON with what JSON5 allows: comments, commas at the end, and, as in YAML, keys without quotes."""
    plain = _RELAXED.sub(lambda match: match[1] or " ", code)
    root = parse_json(plain)
    if root is None and plain.lstrip()[:1] in ("{", "["):
        (root, *_) = parse_yaml(plain)
    return root


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
