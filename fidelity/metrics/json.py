"""JSON (and YAML): whether it still parses, and whether its keys, types and values equal the baseline's."""

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from typing import ClassVar, Literal, NamedTuple

from rapidfuzz.distance import LCSseq

from fidelity.metrics.base import Metric
from fidelity.records import Column, Pair, Side
from fidelity.text.documents import Document, DocumentValue, Members, Numeral, documents, paired, share_that_parses


class Json(Metric):
    """Four columns about the JSON and YAML in both texts: in fences, on lines of its own, or the whole text.

    `json_parses` is the share of the baseline's parsing documents whose counterpart in the candidate parses too: 0 or 1
    in most texts. None where the baseline has none. Counterparts are of the same format and alike in their text, so
    that another block in front, or another order, separates none.

    `json_keys` is the F1 of the paths of all members and elements, each as often as it occurs; an array's elements
    share one path, `items[].name`. `json_types` is the same of paths with types (object, array, string, number,
    boolean, null). `json_values` is the F1 of the longest common subsequence of the leaves, each with its path, where
    elements have an order and members have none. All in [0, 1] and symmetric; 1 and 1.0 are equal. A document on one
    side only, or one that doesn't parse, has no paths, so its counterpart scores 0. None if nothing parses.

    JSON is RFC 8259's, without NaN and Infinity. Taken as not parsing is what is nested deeper than 100 levels, and
    YAML of more than 100,000 characters, or of as many nodes once its aliases are written out. Texts of more than
    500,000 characters are unscored.
    """

    kind: Literal["json"] = "json"

    extra: ClassVar[str] = "structure"
    packages: ClassVar[tuple[str, ...]] = ("markdown-it-py", "PyYAML", "rapidfuzz")
    revision: ClassVar[int] = 3

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        if pairs:
            self.require_packages()
        scored = [_compare(p.baseline.text, p.candidate.text) for p in pairs]
        return [Column.of(f"json_{name}", [getattr(s, name) for s in scored]) for name in Similarities._fields]


class Similarities(NamedTuple):
    """The four columns of one pair."""

    parses: float | Side
    keys: float | Side
    types: float | Side
    values: float | Side


def _compare(baseline: str, candidate: str) -> Similarities:
    a = documents(baseline)
    b = a if baseline == candidate else documents(candidate)
    if a is None or b is None:
        return _unscored("baseline" if a is None else "candidate")
    if not any(document.root is not None for document in (*a, *b)):
        return _unscored("pair")
    pairs = paired(a, b)
    share = share_that_parses(pairs)
    parses: float | Side = "pair" if share is None else share
    numbers: dict[Hashable, int] = {}
    nodes, others = (list(_nodes([pair[side] for pair in pairs], numbers)) for side in (0, 1))
    if not (nodes or others):  # only {} or []
        same = float(all(_root_type(own) == _root_type(other) for own, other in pairs))
        return Similarities(parses, same, same, same)
    leaves, other_leaves = ([n.leaf for n in side if n.leaf is not None] for side in (nodes, others))
    return Similarities(
        parses,
        _f1([n.path for n in nodes], [n.path for n in others]),
        _f1([(n.path, n.type) for n in nodes], [(n.path, n.type) for n in others]),
        2 * LCSseq.similarity(leaves, other_leaves) / (len(leaves) + len(other_leaves)),
    )


def _unscored(side: Side) -> Similarities:
    return Similarities(side, side, side, side)


def _root_type(document: Document | None) -> str | None:
    return None if document is None or document.root is None else _type(document.root)


class JsonNode(NamedTuple):
    """A member or an element, with its path and leaf as numbers that are equal where path and leaf are."""

    path: int
    type: str
    leaf: int | None
    """The leaf of a value; None for a container that isn't empty."""


def _nodes(side: Sequence[Document | None], numbers: dict[Hashable, int]) -> Iterator[JsonNode]:
    """All members and elements of one side's documents, pair by pair; an object's members by key."""

    def number(key: Hashable) -> int:
        return numbers.setdefault(key, len(numbers))

    def below(value: DocumentValue, path: int) -> list[tuple[int, DocumentValue]]:
        """The members and elements of a value with their paths, in reverse order."""
        return [(number((path, key)), child) for key, child in reversed(_children(value))]

    for place, document in enumerate(side):
        if document is None or document.root is None:
            continue
        waiting = below(document.root, number(place))
        while waiting:
            path, value = waiting.pop()
            inside, kind = below(value, path), _type(value)
            yield JsonNode(path, kind, None if inside else number((path, kind, _scalar(value))))
            waiting += inside


def _children(value: DocumentValue) -> "Sequence[tuple[str | None, DocumentValue]]":
    match value:
        case Members():
            return sorted(value.pairs, key=lambda pair: pair[0])
        case list():
            return [(None, element) for element in value]
    return ()


def _type(value: DocumentValue) -> str:
    match value:
        case Members():
            return "object"
        case list():
            return "array"
        case bool():
            return "boolean"
        case int() | float() | Numeral():
            return "number"
        case str():
            return "string"
    return "null"


def _scalar(value: DocumentValue) -> Hashable:
    return None if isinstance(value, Members | list) else value


def _f1(a: Sequence[Hashable], b: Sequence[Hashable]) -> float:
    return 2 * (Counter(a) & Counter(b)).total() / (len(a) + len(b))
