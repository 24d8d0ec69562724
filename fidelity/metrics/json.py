"""JSON (and YAML): whether it still parses, and whether its keys, types and values are those of the baseline."""

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from typing import ClassVar, Literal, NamedTuple

from rapidfuzz.distance import LCSseq

from fidelity.metrics.base import Metric
from fidelity.records import Column, Pair, Side
from fidelity.text.documents import Document, DocumentValue, Members, Numeral, documents, parsed, share_that_parses

PACKAGES = ("markdown-it-py", "PyYAML", "rapidfuzz")


class Json(Metric):
    """Four columns about the JSON and YAML in both texts: in fences, on lines of its own, or the whole text.

    `json_parses` is the share of the baseline's parsing documents whose partner in the candidate (the n-th of the same
    format) parses too: 0 or 1 in most texts. None where the baseline has none.

    `json_keys` is the F1 of the paths of all members and elements, each as often as it occurs; an array's elements
    share one path, `items[].name`. `json_types` is the same of paths with types (object, array, string, number,
    boolean, null). `json_values` is the F1 of the longest common subsequence of the leaves, each with its path, where
    elements have an order and members have none. All in [0, 1] and symmetric; 1 and 1.0 are equal. A document on one
    side only, or one that doesn't parse, has no paths: nothing of its partner is kept. None where nothing parses.

    JSON is RFC 8259's, without NaN and Infinity. Taken as not parsing is what is nested deeper than 100 levels, and
    YAML of more than 100,000 characters, or of as many nodes once its aliases are written out. Texts of more than
    500,000 characters are unscored.
    """

    kind: Literal["json"] = "json"

    extra: ClassVar[str] = "structure"

    @property
    def packages(self) -> tuple[str, ...]:
        return PACKAGES

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
    if a is None or b is None or not (parsed(a) or parsed(b)):
        side: Side = "baseline" if a is None else "candidate" if b is None else "pair"
        return Similarities(side, side, side, side)
    share = share_that_parses(a, b)
    parses: float | Side = "pair" if share is None else share
    numbers: dict[Hashable, int] = {}
    ours, theirs = (list(_entries(side, numbers)) for side in (a, b))
    if not (ours or theirs):  # {} or [] and nothing else
        same = float({key: type(root) for key, root in parsed(a).items()} == {k: type(r) for k, r in parsed(b).items()})
        return Similarities(parses, same, same, same)
    leaves, others = ([e.leaf for e in side if e.leaf is not None] for side in (ours, theirs))
    return Similarities(
        parses,
        _f1([e.path for e in ours], [e.path for e in theirs]),
        _f1([(e.path, e.type) for e in ours], [(e.path, e.type) for e in theirs]),
        2 * LCSseq.similarity(leaves, others) / (len(leaves) + len(others)),
    )


class JsonNode(NamedTuple):
    """A member or an element, with its path and leaf as numbers that are equal where path and leaf are."""

    path: int
    type: str
    leaf: int | None
    """None for a container that holds something."""


def _entries(found: Sequence[Document], numbers: dict[Hashable, int]) -> Iterator[JsonNode]:
    """All members and elements of all documents; an object's members in the order of their keys."""

    def number(key: Hashable) -> int:
        return numbers.setdefault(key, len(numbers))

    def below(value: DocumentValue, path: int) -> list[tuple[int, DocumentValue]]:
        """What is in a value, with its paths; the last first."""
        return [(number((path, key)), child) for key, child in reversed(_children(value))]

    for key, root in sorted(parsed(found).items(), key=lambda item: item[0]):
        waiting = below(root, number(key))
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
